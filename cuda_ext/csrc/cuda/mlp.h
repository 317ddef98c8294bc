// The MLP on CUDA: the library's functions, and what lies behind them.
#pragma once

#include <cuda_runtime_api.h>

#include "../common/api.h"
#include "../common/mlp.h"

// As on the CPU, with the device and the stream in place of the workers; nothing waits for the device. The workspace is
// aligned to 256 bytes. Results other than bytes are cudaError_t, 0 for success. Gradients of the weights are summed in
// an order that depends on nothing but the sizes: the same call gives the same bits.
FS_API int32_t fs_mlp_forward(const fs::MlpCall* call, int32_t device, void* stream, void* workspace,
                              int64_t workspace_bytes);
FS_API int32_t fs_mlp_backward(const fs::MlpCall* call, int32_t device, void* stream, void* workspace,
                               int64_t workspace_bytes);

// Bytes of the workspace of either; negative: an error's number.
FS_API int64_t fs_mlp_workspace(const fs::MlpCall* call, int32_t backward);

namespace fs {

// Blocks share the batch out, each with a sum of gradients of its own.
constexpr int MOST_MLP_BLOCKS = 264;
// Shared memory that a block may have on every GPU that is served (A100: 163 KB).
constexpr int64_t MOST_SHARED = 160 * 1024;

// One unit for each type of products: float, double and half.
template <class N>
cudaError_t run_mlp(const MlpCall& call, cudaStream_t stream, void* workspace, int64_t bytes, bool backward);
template <class N>
int64_t mlp_workspace(const MlpCall& call, bool backward);

}  // namespace fs
