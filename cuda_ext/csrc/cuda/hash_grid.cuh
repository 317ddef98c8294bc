// The hash grid's CUDA kernels. A thread processes a point at a level, and a warp stays within one level, so that its
// lanes agree on the addressing and share cache lines. Each kernel also compiles for the host, for tests without a GPU.
#pragma once

#include <type_traits>

#include "grid_point.h"
#include "hash_grid.h"
#include "launch.h"
#include "sort.h"

namespace fs {

// The arguments of the kernels, passed by value, so that nothing is copied to the device beforehand. E is the type of
// the table.
template <class T, class E = T>
struct GridArguments {
    GridLevel level[MAX_LEVELS];
    int32_t levels;
    bool smooth;
    int64_t points;
    const E* table;
    const T *coords, *grad, *direction;
    T *output, *grad_coords, *grad_table;
};

namespace {

// Mapping of a block of threads to points and levels: as many adjacent levels as fill a 32-byte sector of a row of
// features, so that every sector is read and written whole.
template <class T, int F>
struct Tile {
    static constexpr int row_bytes = F * int(sizeof(T));
    static constexpr int levels = row_bytes < 32 ? 32 / row_bytes : 1;
    static constexpr int points = THREADS / levels;
    static_assert(points % WARP == 0, "a warp stays within a level");

    static dim3 blocks(int64_t all_points, int all_levels) {
        return dim3(blocks_for(all_points, points), blocks_for(all_levels, levels));
    }
};

template <class T, class E, int D, int F>
__global__ void __launch_bounds__(THREADS) forward_kernel(const __grid_constant__ GridArguments<T, E> a) {
    using Tile = Tile<T, F>;
    __shared__ Row<T, F> rows[Tile::points][Tile::levels];
    const int64_t first_point = int64_t(blockIdx.x) * Tile::points;
    const int first_level = blockIdx.y * Tile::levels;
    {
        const int p = threadIdx.x % Tile::points, l = threadIdx.x / Tile::points;
        const int64_t point = first_point + p;
        if (point < a.points && first_level + l < a.levels) {
            const GridLevel& level = a.level[first_level + l];
            rows[p][l] = features_at<T, E, D, F>(level, a.table + level.offset * F, a.coords + point * D, a.smooth,
                                                 direction_of<T, D>(a.direction, point));
        }
    }
    __syncthreads();
    // Store the rows in the order of memory.
    const int p = threadIdx.x / Tile::levels, l = threadIdx.x % Tile::levels;
    const int64_t point = first_point + p;
    if (point < a.points && first_level + l < a.levels)
        rows[p][l].store(a.output + (point * a.levels + first_level + l) * F);
}

// A thread processes every eighth level of its point; the partial sums are added in a fixed order.
template <class T, class E, int D, int F>
__global__ void __launch_bounds__(THREADS) coords_kernel(const __grid_constant__ GridArguments<T, E> a) {
    constexpr int WARPS = THREADS / WARP;
    __shared__ T parts[WARPS][WARP * D];
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    const int64_t first_point = int64_t(blockIdx.x) * WARP, point = first_point + lane;
    T sums[D] = {};
    if (point < a.points) {
        const Direction<T, D> direction = direction_of<T, D>(a.direction, point);
        for (int l = warp; l < a.levels; l += WARPS) {
            const GridLevel& level = a.level[l];
            const Row<T, F> grad = Row<T, F>::load(a.grad + (point * a.levels + l) * F);
            add_coords_gradient<T, E, D, F>(level, a.table + level.offset * F, a.coords + point * D, a.smooth,
                                            direction, grad, sums);
        }
    }
    FS_UNROLL_FOR (int axis = 0; axis < D; ++axis) parts[warp][lane * D + axis] = sums[axis];
    __syncthreads();
    const int i = threadIdx.x;
    if (i < WARP * D && first_point * D + i < a.points * D) {
        T sum = parts[0][i];
        FS_UNROLL_FOR (int w = 1; w < WARPS; ++w) sum += parts[w][i];
        a.grad_coords[first_point * D + i] = sum;
    }
}

// Adds the row to memory, atomically for each value.
template <class T, int F>
__device__ __forceinline__ void add_atomically(T* to, const Row<T, F>& row) {
#if __CUDA_ARCH__ >= 900 || defined(FS_VECTOR_ATOMICS)
    constexpr bool vectors = std::is_same_v<T, float> && F > 1;
#else
    constexpr bool vectors = false;
#endif
    if constexpr (!vectors) {
        FS_UNROLL_FOR (int f = 0; f < F; ++f) atomicAdd(to + f, row.of[f]);
    } else if constexpr (F == 2) {
        atomicAdd(reinterpret_cast<float2*>(to), make_float2(row.of[0], row.of[1]));
    } else {
        FS_UNROLL_FOR (int f = 0; f < F; f += 4)
            atomicAdd(reinterpret_cast<float4*>(to + f),
                      make_float4(row.of[f], row.of[f + 1], row.of[f + 2], row.of[f + 3]));
    }
}

// A run of adjacent lanes whose points lie in the same cell and so add to the same entries.
struct CellRun {
    int end;          // the first lane after the run
    bool head;        // this lane is the first of the run
    bool worthwhile;  // summing runs before adding saves at least half of the warp's atomics

    template <int D>
    __device__ __forceinline__ static CellRun find(const uint32_t (&cell)[D], int lane) {
        bool same = lane > 0;
        FS_UNROLL_FOR (int axis = 0; axis < D; ++axis) same &= __shfl_up_sync(ALL_LANES, cell[axis], 1) == cell[axis];
        const unsigned heads = __ballot_sync(ALL_LANES, !same), after = heads >> lane >> 1;
        return {after ? lane + __ffs(after) : WARP, !same, __popc(heads) <= WARP / 2};
    }

    // Sum over the run from this lane on; in the head that is the sum over all of the run.
    template <class T, int F>
    __device__ __forceinline__ Row<T, F> sum(Row<T, F> row, int lane) const {
        for (int step = 1; step < WARP; step *= 2) {
            FS_UNROLL_FOR (int f = 0; f < F; ++f) {
                const T received = __shfl_down_sync(ALL_LANES, row.of[f], step);
                if (lane + step < end) row.of[f] += received;
            }
        }
        return row;
    }
};

// Points along a ray or a row of pixels share cells, most of all at coarse levels; randomly scattered points do not.
template <class T, int D, int F>
__global__ void __launch_bounds__(THREADS) table_kernel(const __grid_constant__ GridArguments<T> a) {
    using Tile = Tile<T, F>;
    const int l = blockIdx.y * Tile::levels + threadIdx.x / Tile::points, lane = threadIdx.x % WARP;
    if (l >= a.levels) return;  // whole warps return
    const GridLevel& level = a.level[l];
    int64_t point = int64_t(blockIdx.x) * Tile::points + threadIdx.x % Tile::points;
    const bool exists = point < a.points;
    // Lanes beyond the last point repeat it with a gradient of zero, so that warps stay whole.
    point = exists ? point : a.points - 1;
    const Row<T, F> grad = exists ? Row<T, F>::load(a.grad + (point * a.levels + l) * F) : Row<T, F>::zero();
    const Direction<T, D> direction = direction_of<T, D>(a.direction, point);
    const CellPosition<T, D> at = cell_position<T, D>(level, a.coords + point * D, a.smooth);
    const Entries<D> entries = entries_of<D>(level, at.cell);
    T* rows = a.grad_table + level.offset * F;
    const CellRun cell_run = CellRun::find(at.cell, lane);
    FS_UNROLL_FOR (int c = 0; c < (1 << D); ++c) {
        Row<T, F> row = grad.times(weight(at, c, direction));
        if (cell_run.worthwhile) row = cell_run.sum(row, lane);
        if (cell_run.worthwhile ? cell_run.head : exists) add_atomically(rows + int64_t(entries.of[c]) * F, row);
    }
}

// The reproducible gradient of the table: the corners of a level are sorted by entry, then each entry sums its own. The
// index of a pair is point * 2^D + corner and the sort is stable, so the pairs of an entry are in the order of the
// points.
template <class T, int D>
__global__ void __launch_bounds__(THREADS)
    pairs_kernel(const __grid_constant__ GridArguments<T> a, int l, int64_t first_point, int points, uint32_t* keys,
                 uint32_t* pairs) {
    const int p = blockIdx.x * THREADS + threadIdx.x;
    if (p >= points) return;
    const GridLevel& level = a.level[l];
    const CellPosition<T, D> at = cell_position<T, D>(level, a.coords + (first_point + p) * D, a.smooth);
    const Entries<D> entries = entries_of<D>(level, at.cell);
    FS_UNROLL_FOR (int c = 0; c < (1 << D); ++c) {
        const uint32_t pair = uint32_t(p) << D | uint32_t(c);
        keys[pair] = entries.of[c];
        pairs[pair] = pair;
    }
}

// `lanes` threads (a power of two) share an entry's pairs and then sum in a tree.
template <class T, int D, int F>
__global__ void __launch_bounds__(THREADS)
    entries_kernel(const __grid_constant__ GridArguments<T> a, int l, int64_t first_point, const uint32_t* keys,
                   const uint32_t* pairs, uint32_t count, int lanes) {
    __shared__ Row<T, F> sums[THREADS];
    const GridLevel& level = a.level[l];
    const uint32_t entry = blockIdx.x * unsigned(THREADS / lanes) + threadIdx.x / lanes;
    const int lane = threadIdx.x % lanes;
    Row<T, F> sum = Row<T, F>::zero();
    if (entry < level.size) {
        const uint32_t last = lower_bound(keys, count, entry + 1);
        for (uint32_t i = lower_bound(keys, count, entry) + lane; i < last; i += lanes) {
            const int64_t point = first_point + (pairs[i] >> D);
            const int corner = pairs[i] & ((1 << D) - 1);
            const CellPosition<T, D> at = cell_position<T, D>(level, a.coords + point * D, a.smooth);
            sum.add(Row<T, F>::load(a.grad + (point * a.levels + l) * F),
                    weight(at, corner, direction_of<T, D>(a.direction, point)));
        }
    }
    sums[threadIdx.x] = sum;
    for (int half = lanes / 2; half > 0; half /= 2) {
        __syncthreads();
        if (lane < half) sums[threadIdx.x].add(sums[threadIdx.x + half]);
    }
    if (lane == 0 && entry < level.size) {
        T* to = a.grad_table + (level.offset + entry) * F;
        Row<T, F> row = Row<T, F>::load(to);
        row.add(sums[threadIdx.x]);
        row.store(to);
    }
}

inline int bits_of(uint32_t size) {
    int bits = 1;
    while (bits < 32 && (size - 1) >> bits) ++bits;
    return bits;
}

// Threads for an entry that has `pairs` pairs on average.
inline int lanes_for(int64_t pairs) {
    int lanes = 1;
    while (lanes < THREADS && lanes * 4 < pairs) lanes *= 2;
    return lanes;
}

template <class T, int D, int F>
cudaError_t deterministic_table_gradient(const GridCall& call, const GridArguments<T>& a, cudaStream_t stream,
                                         Workspace workspace) {
    const int64_t slot = workspace_slot(call), batch = points_per_sort(call);
    if (workspace.bytes < 4 * slot) return cudaErrorInvalidValue;
    char* at = static_cast<char*>(workspace.at);
    const auto part = [&](int i) { return reinterpret_cast<uint32_t*>(at + i * slot); };
    for (int l = 0; l < a.levels; ++l) {
        const uint32_t size = a.level[l].size;
        for (int64_t first = 0; first < a.points; first += batch) {
            const int points = int(a.points - first < batch ? a.points - first : batch);
            const int count = points << D, lanes = lanes_for(count / size);
            DoubleBuffer keys = {part(0), part(1)}, pairs = {part(2), part(3)};
            cudaError_t error = launch(stream, blocks_for(points, THREADS), pairs_kernel<T, D>, a, l, first, points,
                                       keys.current, pairs.current);
            if (!error)
                error =
                    sort_by_key(keys, pairs, count, bits_of(size), at + 4 * slot, workspace.bytes - 4 * slot, stream);
            if (!error)
                error = launch(stream, blocks_for(size, THREADS / lanes), entries_kernel<T, D, F>, a, l, first,
                               keys.current, pairs.current, uint32_t(count), lanes);
            if (error) return error;
        }
    }
    return cudaSuccess;
}

template <class T, class E>
GridArguments<T, E> arguments_of(const GridCall& call) {
    GridArguments<T, E> a = {};
    for (int l = 0; l < call.levels; ++l) a.level[l] = call.level[l];
    a.levels = call.levels;
    a.smooth = call.smooth != 0;
    a.points = call.points;
    a.coords = static_cast<const T*>(call.coords);
    a.table = static_cast<const E*>(call.table);
    a.grad = static_cast<const T*>(call.grad);
    a.direction = static_cast<const T*>(call.direction);
    a.output = static_cast<T*>(call.output);
    a.grad_coords = static_cast<T*>(call.grad_coords);
    a.grad_table = static_cast<T*>(call.grad_table);
    return a;
}

// The operation for types and sizes known at compile time.
template <class T, class E, int D, int F>
struct Grid {
    static cudaError_t forward(const GridCall& call, cudaStream_t stream) {
        return launch(stream, Tile<T, F>::blocks(call.points, call.levels), forward_kernel<T, E, D, F>,
                      arguments_of<T, E>(call));
    }

    static cudaError_t backward(const GridCall& call, cudaStream_t stream, Workspace workspace) {
        cudaError_t error = cudaSuccess;
        if (call.grad_coords)
            error = launch(stream, blocks_for(call.points, WARP), coords_kernel<T, E, D, F>, arguments_of<T, E>(call));
        if (error || !call.grad_table) return error;
        // The backward pass of the table does not read the table, so its type does not matter.
        const GridArguments<T> a = arguments_of<T, T>(call);
        if (workspace.at) return deterministic_table_gradient<T, D, F>(call, a, stream, workspace);
        return launch(stream, Tile<T, F>::blocks(a.points, a.levels), table_kernel<T, D, F>, a);
    }
};

template <class T, class E, int D, class Action>
cudaError_t with_features(const GridCall& call, const Action& action) {
    switch (call.features) {
        case 2: return action(Grid<T, E, D, 2>());
        case 8:
            return action(Grid<T, E, D, 8>());
// Sanitizers compile slowly.
#if !defined(FS_FEW_SHAPES)
        case 1: return action(Grid<T, E, D, 1>());
        case 4: return action(Grid<T, E, D, 4>());
#endif
    }
    return cudaErrorInvalidValue;
}

// Calls the action with the instance for the call's dimensions and features.
template <class T, class E, class Action>
cudaError_t with_grid(const GridCall& call, const Action& action) {
    switch (call.dimensions) {
        case 2: return with_features<T, E, 2>(call, action);
        case 3: return with_features<T, E, 3>(call, action);
#if !defined(FS_FEW_SHAPES)
        case 1: return with_features<T, E, 1>(call, action);
        case 4: return with_features<T, E, 4>(call, action);
#endif
    }
    return cudaErrorInvalidValue;
}

}  // namespace

template <class T, class E>
cudaError_t hash_grid_forward(const GridCall& call, cudaStream_t stream) {
    return with_grid<T, E>(call, [&](auto grid) { return grid.forward(call, stream); });
}

template <class T, class E>
cudaError_t hash_grid_backward(const GridCall& call, cudaStream_t stream, Workspace workspace) {
    return with_grid<T, E>(call, [&](auto grid) { return grid.backward(call, stream, workspace); });
}

}  // namespace fs
