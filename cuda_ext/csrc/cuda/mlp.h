// A small MLP in one kernel on CUDA (after the fully fused MLP of Müller et al. 2021, "Real-time neural radiance
// caching for path tracing", section 5).
#pragma once

#include <cuda_runtime_api.h>

#include "../common/mlp.h"
#include "interface.h"

// Shapes, dtypes and layouts of all arrays: `MlpCall` and `MlpRecord`. What all functions have in common: interface.h.
// Both passes need a workspace. Gradients of the weights are summed in an order that depends on the sizes alone: the
// same call gives the same bits.

// Writes `values`.
FS_API int32_t fs_mlp_forward(const fs::MlpCall* call, int32_t device, void* stream, void* workspace,
                              int64_t workspace_bytes);
// Writes the gradients of <grad, values>: of every weight and bias, and of the features where `grad_features` is not
// null.
FS_API int32_t fs_mlp_backward(const fs::MlpCall* call, int32_t device, void* stream, void* workspace,
                               int64_t workspace_bytes);

// Size of the workspace of the forward pass, or of the backward pass where `backward` is not 0.
FS_API int64_t fs_mlp_workspace(const fs::MlpCall* call, int32_t backward);

namespace fs {

// Blocks of the backward pass, each of which sums gradients of its own.
constexpr int MAX_MLP_BLOCKS = 264;
// Shared memory of a block, in bytes; every GPU that is supported has as much (A100: 163 KB).
constexpr int64_t MAX_SHARED_BYTES = 160 * 1024;

// A source file for each type N in which matrices are multiplied: float, double and half.
template <class N>
cudaError_t run_mlp(const MlpCall& call, cudaStream_t stream, void* workspace, int64_t bytes, bool backward);
template <class N>
int64_t mlp_workspace(const MlpCall& call, bool backward);

}  // namespace fs
