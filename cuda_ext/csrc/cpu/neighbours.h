// Nearest neighbours on the CPU.
#pragma once

#include "../common/neighbours.h"
#include "isa.h"

FS_DECLARE(void nearest(const NearestCall& call))

// Writes `nearest`. Shapes, dtypes and layouts of all arrays: `NearestCall`.
FS_API void fs_nearest(const fs::NearestCall* call);
