// Radial basis functions on CUDA: the library's functions, and what lies behind them.
#pragma once

#include <cuda_runtime_api.h>

#include "../common/api.h"
#include "../common/gaussian_layer.h"
#include "../common/neighbours.h"
#include "../common/rbf.h"

// As on the CPU, with the device and the stream in place of the workers; nothing waits for the device. Results other
// than bytes are cudaError_t, 0 for success.

FS_API int32_t fs_rbf_gather_forward(const fs::RbfCall* call, int32_t device, void* stream);

// Without a workspace, gradients of what belongs to a kernel and of the phases are summed atomically, in no fixed
// order; with one, in an order that depends on nothing but the sizes. Gradients by the coords are the same in every run
// either way.
FS_API int32_t fs_rbf_gather_backward(const fs::RbfCall* call, int32_t device, void* stream, void* workspace,
                                      int64_t workspace_bytes);
FS_API int64_t fs_rbf_gather_workspace(const fs::RbfCall* call, int32_t device);

FS_API int32_t fs_gaussian_layer_forward(const fs::GaussianCall* call, int32_t device, void* stream);

// The workspace holds the blocks' sums, which are added in their order.
FS_API int32_t fs_gaussian_layer_backward(const fs::GaussianCall* call, int32_t device, void* stream, void* workspace,
                                          int64_t workspace_bytes);
FS_API int64_t fs_gaussian_layer_workspace(const fs::GaussianCall* call);

FS_API int32_t fs_nearest(const fs::NearestCall* call, int32_t device, void* stream);

namespace fs {

struct Space {
    void* at;  // null: sum atomically
    int64_t bytes;
};

// Pairs of a point and a kernel that are sorted at a time. Tests set less.
#if !defined(FS_RBF_PAIRS_AT_ONCE)
#define FS_RBF_PAIRS_AT_ONCE (1 << 23)
#endif
inline int64_t rbf_points_at_once(const RbfCall& call) {
    const int64_t most = int64_t(FS_RBF_PAIRS_AT_ONCE) / call.neighbours;
    return call.points < most ? call.points : most;
}

constexpr int RBF_MOST_BLOCKS = 1024;  // that each leave a sum of the phases' gradients

// The parts of a gather's workspace, each aligned for any number.
struct RbfParts {
    int64_t pairs, keys, phases;  // bytes of: numbers of a pair (twice), keys or pair numbers (four times), phase sums
    explicit RbfParts(const RbfCall& call) {
        const int64_t count = rbf_points_at_once(call) * call.neighbours, number = call.is_double ? 8 : 4;
        pairs = rounded(count * number);
        keys = rounded(count * 4);
        phases = rounded(int64_t(RBF_MOST_BLOCKS) * call.features * number);
    }
    int64_t total() const { return 2 * pairs + 4 * keys + phases; }
    static int64_t rounded(int64_t bytes) { return (bytes + 255) / 256 * 256; }
};

template <class T>
cudaError_t rbf_gather_forward(const RbfCall& call, cudaStream_t stream);
template <class T>
cudaError_t rbf_gather_backward(const RbfCall& call, cudaStream_t stream, Space workspace);
template <class T>
cudaError_t gaussian_layer_forward(const GaussianCall& call, cudaStream_t stream);
template <class T>
cudaError_t gaussian_layer_backward(const GaussianCall& call, cudaStream_t stream, T* sums);
cudaError_t nearest(const NearestCall& call, cudaStream_t stream);

// Blocks over which the points of a Gaussian layer are cut for its sums.
constexpr int GAUSSIAN_BLOCKS = 256;
inline int64_t gaussian_sum_numbers(const GaussianCall& call) { return int64_t(2) * call.units * call.inputs; }

}  // namespace fs
