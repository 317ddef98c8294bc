// Rasterisation on CUDA.
#pragma once

#include <cuda_runtime_api.h>

#include "../common/rasterise.h"
#include "interface.h"

// Writes `triangles`, `weights` and `depth`. Shapes, dtypes and layouts of all arrays: `RasteriseCall`. What all
// functions have in common: interface.h.
FS_API int32_t fs_rasterise(const fs::RasteriseCall* call, int32_t device, void* stream, void* workspace,
                            int64_t workspace_bytes);
FS_API int64_t fs_rasterise_workspace(const fs::RasteriseCall* call);
