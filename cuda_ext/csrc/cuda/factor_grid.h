// Sums of products of interpolated grids on CUDA.
#pragma once

#include <cuda_runtime_api.h>

#include "../common/factor_grid.h"
#include "interface.h"

// Shapes, dtypes and layouts of all arrays: `FactorCall`. What all functions have in common: interface.h. Grid axes,
// factors and products are host arrays that are read before the function returns; there are at most MAX_GRID_AXES,
// MAX_FACTORS and MAX_FACTORS of them.

// Writes `output`, the features at the points.
FS_API int32_t fs_factor_grid_forward(const fs::FactorCall* call, int32_t device, void* stream);

// Writes `grad_coords` and `grad_table`, the gradients of <grad, output>, each where its pointer is not null. Without a
// workspace `grad_table` is summed with atomics, in no fixed order; with one, in the order of the points. `grad_coords`
// is reproducible either way.
FS_API int32_t fs_factor_grid_backward(const fs::FactorCall* call, int32_t device, void* stream, void* workspace,
                                       int64_t workspace_bytes);

// Size of the workspace that makes fs_factor_grid_backward reproducible.
FS_API int64_t fs_factor_grid_workspace(const fs::FactorCall* call, int32_t device);

namespace fs {

// What fits into the arguments of a kernel, which are limited to 4 KiB.
constexpr int MAX_GRID_AXES = 48;
constexpr int MAX_FACTORS = 40;

}  // namespace fs
