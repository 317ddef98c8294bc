// The multiresolution grid on CUDA: the library's functions, and what lies behind them.
#pragma once

#include <cuda_runtime_api.h>

#include "../common/api.h"
#include "../common/grid.h"

// As on the CPU, with the device and the stream in place of the workers; nothing waits for the device. Results other
// than bytes are cudaError_t, 0 for success.

// output = features at the points; with a direction, their derivative along it.
FS_API int32_t fs_hash_grid_forward(const fs::GridCall* call, int32_t device, void* stream);

// grad_coords and grad_table of <grad, output>; with a direction, of <grad, derivative of the output along it>.
// Without a workspace the table's gradient is summed atomically, in no fixed order; with one, in an order that depends
// on nothing but the sizes, so that the same call gives the same bits. grad_coords is the same in every run either way.
FS_API int32_t fs_hash_grid_backward(const fs::GridCall* call, int32_t device, void* stream, void* workspace,
                                     int64_t workspace_bytes);

// Bytes of the workspace; negative: an error's number.
FS_API int64_t fs_hash_grid_workspace(const fs::GridCall* call, int32_t device);

// What an error's number means.
FS_API const char* fs_error(int32_t error);

namespace fs {

constexpr int MOST_LEVELS = 64;

struct Workspace {
    void* at;  // null: sum atomically
    int64_t bytes;
};

// One unit for each type T, float and double, and for each narrower type E of a table.
template <class T, class E = T>
cudaError_t hash_grid_forward(const GridCall& call, cudaStream_t stream);
template <class T, class E = T>
cudaError_t hash_grid_backward(const GridCall& call, cudaStream_t stream, Workspace workspace);

// Points whose corners are sorted at a time; bounds the workspace and keeps a pair's number in 32 bits. Tests set less.
#if !defined(FS_PAIRS_SORTED_AT_ONCE)
#define FS_PAIRS_SORTED_AT_ONCE (1 << 23)
#endif
inline int64_t points_sorted_at_once(const GridCall& call) {
    const int64_t most = int64_t(FS_PAIRS_SORTED_AT_ONCE) >> call.dimensions;
    return call.points < most ? call.points : most;
}

// A workspace holds keys and values, each twice, then the sort's own scratch.
inline int64_t workspace_slot(const GridCall& call) {
    const int64_t bytes = (points_sorted_at_once(call) << call.dimensions) * int64_t(sizeof(uint32_t));
    return (bytes + 255) / 256 * 256;
}

}  // namespace fs
