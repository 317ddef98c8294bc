// Sums of products of interpolated grids on CUDA: the library's functions.
#pragma once

#include <cuda_runtime_api.h>

#include "../common/api.h"
#include "../common/factors.h"

// As on the CPU, with the device and the stream in place of the workers; nothing waits for the device. Rulers, factors
// and products are read before the call returns, and there are at most MOST_RULERS, MOST_FACTORS and MOST_FACTORS of
// them. Results other than bytes are cudaError_t, 0 for success.

FS_API int32_t fs_factor_grid_forward(const fs::FactorCall* call, int32_t device, void* stream);

// Without a workspace the tables' gradient is summed atomically, in no fixed order; with one, in the order of the
// points. grad_coords is the same in every run either way.
FS_API int32_t fs_factor_grid_backward(const fs::FactorCall* call, int32_t device, void* stream, void* workspace,
                                       int64_t workspace_bytes);

// Bytes of the workspace; negative: an error's number.
FS_API int64_t fs_factor_grid_workspace(const fs::FactorCall* call, int32_t device);

namespace fs {

// What fits into the arguments of a kernel, which are 4 KiB.
constexpr int MOST_RULERS = 48;
constexpr int MOST_FACTORS = 40;

}  // namespace fs
