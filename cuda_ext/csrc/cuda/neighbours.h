// Nearest neighbours on CUDA.
#pragma once

#include <cuda_runtime_api.h>

#include "../common/neighbours.h"
#include "interface.h"

// Writes `nearest`. Shapes, dtypes and layouts of all arrays: `NearestCall`. What all functions have in common:
// interface.h.
FS_API int32_t fs_nearest(const fs::NearestCall* call, int32_t device, void* stream);
