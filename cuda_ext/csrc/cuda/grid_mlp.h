// A grid and the MLP behind it in one kernel, forward, and back as far as the features.
#pragma once

#include <cuda_runtime_api.h>

#include "../common/api.h"
#include "../common/grid_mlp.h"

// As fs_mlp_forward and fs_mlp_backward, whose workspace they take: features are found where the MLP wants them and
// never stored; on the way back they are found anew. The gradient of the features goes to `mlp.grad_features`, from
// where fs_hash_grid_backward takes it on. cudaErrorInvalidValue for a grid of other than 2 to 4 dimensions and 2
// features an entry.
FS_API int32_t fs_grid_mlp_forward(const fs::GridMlpCall* call, int32_t device, void* stream, void* workspace,
                                   int64_t workspace_bytes);
FS_API int32_t fs_grid_mlp_backward(const fs::GridMlpCall* call, int32_t device, void* stream, void* workspace,
                                    int64_t workspace_bytes);

namespace fs {

// One unit for each type of products: float and half.
template <class N>
cudaError_t run_grid_mlp(const GridMlpCall& call, cudaStream_t stream, void* workspace, int64_t bytes, bool backward);

}  // namespace fs
