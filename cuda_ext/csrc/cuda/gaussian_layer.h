// A layer of Gaussian units on CUDA.
#pragma once

#include <cuda_runtime_api.h>

#include "../common/gaussian_layer.h"
#include "interface.h"

// Shapes, dtypes and layouts of all arrays: `GaussianCall`. What all functions have in common: interface.h.

// Writes `output`.
FS_API int32_t fs_gaussian_layer_forward(const fs::GaussianCall* call, int32_t device, void* stream);

// Reads `output` and writes the gradients of <grad, output>, each where its pointer is not null. The workspace holds
// the sums of each block of points, which are added in their order: the same call gives the same bits.
FS_API int32_t fs_gaussian_layer_backward(const fs::GaussianCall* call, int32_t device, void* stream, void* workspace,
                                          int64_t workspace_bytes);

// Size of the workspace that fs_gaussian_layer_backward needs.
FS_API int64_t fs_gaussian_layer_workspace(const fs::GaussianCall* call);
