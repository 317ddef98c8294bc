// Rasterisation on the CPU.
#pragma once

#include "../common/rasterise.h"
#include "isa.h"

FS_DECLARE(void rasterise(const RasteriseCall& call))

// Writes `triangles`, `weights` and `depth`. Shapes, dtypes and layouts of all arrays: `RasteriseCall`.
FS_API void fs_rasterise(const fs::RasteriseCall* call);
