// A hash grid and the MLP behind it in one kernel on CUDA: the forward pass, and the backward pass as far as the
// features.
#pragma once

#include <cuda_runtime_api.h>

#include "../common/grid_mlp.h"
#include "interface.h"

// Shapes, dtypes and layouts of all arrays: `GridMlpCall`. What all functions have in common: interface.h. The
// workspace is that of fs_mlp_workspace for `call->mlp`. Features are computed where the MLP needs them and never
// stored; the backward pass computes them again. cudaErrorInvalidValue for a grid of other than 2 to 4 dimensions and 2
// features an entry.

// Writes `mlp.values`.
FS_API int32_t fs_grid_mlp_forward(const fs::GridMlpCall* call, int32_t device, void* stream, void* workspace,
                                   int64_t workspace_bytes);
// Writes the gradients of weights and biases, and of the features to `mlp.grad_features`; fs_hash_grid_backward turns
// the latter into those of the table and the coordinates.
FS_API int32_t fs_grid_mlp_backward(const fs::GridMlpCall* call, int32_t device, void* stream, void* workspace,
                                    int64_t workspace_bytes);

namespace fs {

// A source file for each type N in which matrices are multiplied: float and half.
template <class N>
cudaError_t run_grid_mlp(const GridMlpCall& call, cudaStream_t stream, void* workspace, int64_t bytes, bool backward);

}  // namespace fs
