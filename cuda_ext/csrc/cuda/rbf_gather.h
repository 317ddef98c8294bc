// Interpolation of radial basis functions around each point on CUDA.
#pragma once

#include <cuda_runtime_api.h>

#include "../common/rbf_gather.h"
#include "interface.h"
#include "workspace.h"

// Shapes, dtypes and layouts of all arrays: `RbfCall`. What all functions have in common: interface.h.

// Writes `output`, the features at the points.
FS_API int32_t fs_rbf_gather_forward(const fs::RbfCall* call, int32_t device, void* stream);

// Writes the gradients of <grad, output>, each where its pointer is not null. Without a workspace the gradients of
// centres, shapes, weights and phases are summed with atomics, in no fixed order; with one, in an order that depends on
// the sizes alone. The gradient of the coordinates is reproducible either way.
FS_API int32_t fs_rbf_gather_backward(const fs::RbfCall* call, int32_t device, void* stream, void* workspace,
                                      int64_t workspace_bytes);

// Size of the workspace that makes fs_rbf_gather_backward reproducible.
FS_API int64_t fs_rbf_gather_workspace(const fs::RbfCall* call, int32_t device);

namespace fs {

// Pairs of a point and a kernel that are sorted at a time. Tests set less.
#if !defined(FS_RBF_PAIRS_AT_ONCE)
#define FS_RBF_PAIRS_AT_ONCE (1 << 23)
#endif
inline int64_t rbf_points_per_sort(const RbfCall& call) {
    const int64_t limit = int64_t(FS_RBF_PAIRS_AT_ONCE) / call.neighbours;
    return call.points < limit ? call.points : limit;
}

// Blocks of the backward pass, each of which leaves a sum of the phases' gradients.
constexpr int RBF_MAX_BLOCKS = 1024;

// Bytes of the parts of a workspace.
struct RbfParts {
    int64_t pairs;   // a value a pair; two of these
    int64_t keys;    // a key or index a pair; four of these
    int64_t phases;  // the blocks' sums of the phases' gradients

    explicit RbfParts(const RbfCall& call) {
        const int64_t count = rbf_points_per_sort(call) * call.neighbours, value = call.is_double ? 8 : 4;
        pairs = align_bytes(count * value);
        keys = align_bytes(count * 4);
        phases = align_bytes(int64_t(RBF_MAX_BLOCKS) * call.features * value);
    }
    int64_t total() const { return 2 * pairs + 4 * keys + phases; }
};

// A source file for each type T: float and double.
template <class T>
cudaError_t rbf_gather_forward(const RbfCall& call, cudaStream_t stream);
template <class T>
cudaError_t rbf_gather_backward(const RbfCall& call, cudaStream_t stream, Workspace workspace);

}  // namespace fs
