// The multiresolution hash grid on CUDA (Müller et al. 2022, section 3).
#pragma once

#include <cuda_runtime_api.h>

#include "../common/grid.h"
#include "interface.h"
#include "workspace.h"

// Shapes, dtypes and layouts of all arrays: `GridCall`. What all functions have in common: interface.h.

// Writes `output`, the features at the points; with a direction, the derivative of the features along it.
FS_API int32_t fs_hash_grid_forward(const fs::GridCall* call, int32_t device, void* stream);

// Writes `grad_coords` and `grad_table`, the gradients of <grad, output>, each where its pointer is not null; with a
// direction, those of <grad, derivative of output along the direction>. Without a workspace `grad_table` is summed with
// atomics, in no fixed order; with one, in an order that depends on the sizes alone, so that the same call gives the
// same bits. `grad_coords` is reproducible either way.
FS_API int32_t fs_hash_grid_backward(const fs::GridCall* call, int32_t device, void* stream, void* workspace,
                                     int64_t workspace_bytes);

// Size of the workspace that makes fs_hash_grid_backward reproducible.
FS_API int64_t fs_hash_grid_workspace(const fs::GridCall* call, int32_t device);

namespace fs {

constexpr int MAX_LEVELS = 64;

// T: type of the arrays; E: type of the table. A source file for each combination: float and double, and float with a
// table of half or bfloat16.
template <class T, class E = T>
cudaError_t hash_grid_forward(const GridCall& call, cudaStream_t stream);
template <class T, class E = T>
cudaError_t hash_grid_backward(const GridCall& call, cudaStream_t stream, Workspace workspace);

// Pairs of a point and a corner that are sorted at a time: bounds the workspace, and keeps a pair's index within 32
// bits. Tests set less.
#if !defined(FS_PAIRS_SORTED_AT_ONCE)
#define FS_PAIRS_SORTED_AT_ONCE (1 << 23)
#endif
inline int64_t points_per_sort(const GridCall& call) {
    const int64_t limit = int64_t(FS_PAIRS_SORTED_AT_ONCE) >> call.dimensions;
    return call.points < limit ? call.points : limit;
}

// A workspace holds keys and values, two buffers each, then the sort's own scratch memory.
inline int64_t workspace_slot(const GridCall& call) {
    return align_bytes((points_per_sort(call) << call.dimensions) * int64_t(sizeof(uint32_t)));
}

}  // namespace fs
