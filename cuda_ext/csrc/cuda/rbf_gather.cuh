// Interpolation of radial basis functions on CUDA. One warp processes a point: one lane a neighbour for the kernels'
// values, then one lane a feature, so that rows are accessed whole. Each kernel also compiles for the host, for tests
// without a GPU.
#pragma once

#include "launch.h"
#include "rbf_gather.h"
#include "sort.h"

namespace fs {
namespace {

template <class T>
struct RbfArguments {
    int32_t k, features, kernel, normalise;
    int64_t points, kernels;
    const int32_t* nearest;
    const T *coords, *centres, *shapes, *weights, *frequencies, *phases, *grad;
    T *output, *grad_coords, *grad_centres, *grad_shapes, *grad_weights, *grad_phases;
};

// Intermediate results of the reproducible gradients, for the pairs of points first_point, first_point + 1, ...
template <class T>
struct PairWorkspace {
    int64_t first_point;
    T* normalised;
    T* slope;       // gradient of the kernel's value
    T* phase_sums;  // [blocks, features]
};

__device__ __forceinline__ void sine_and_cosine(float x, float& sine, float& cosine) { sincosf(x, &sine, &cosine); }
__device__ __forceinline__ void sine_and_cosine(double x, double& sine, double& cosine) { sincos(x, &sine, &cosine); }

template <int D, class T>
__device__ __forceinline__ T value_of(int kernel, const T (&offset)[D], const T (&shape)[packed_size(D)]) {
    switch (kernel) {
        case inverse_quadratic: return rbf_value<inverse_quadratic, D>(offset, shape);
        case inverse_multiquadric: return rbf_value<inverse_multiquadric, D>(offset, shape);
        case gaussian: return rbf_value<gaussian, D>(offset, shape);
        case hat: return rbf_value<hat, D>(offset, shape);
        default: return rbf_value<markov, D>(offset, shape);
    }
}

template <int D, class T>
__device__ __forceinline__ void slopes_of(int kernel, const T (&offset)[D], const T (&shape)[packed_size(D)], T value,
                                          T upstream, T (&by_offset)[D], T (&by_shape)[packed_size(D)]) {
    switch (kernel) {
        case inverse_quadratic:
            return rbf_slopes<inverse_quadratic, D>(offset, shape, value, upstream, by_offset, by_shape);
        case inverse_multiquadric:
            return rbf_slopes<inverse_multiquadric, D>(offset, shape, value, upstream, by_offset, by_shape);
        case gaussian: return rbf_slopes<gaussian, D>(offset, shape, value, upstream, by_offset, by_shape);
        case hat: return rbf_slopes<hat, D>(offset, shape, value, upstream, by_offset, by_shape);
        default: return rbf_slopes<markov, D>(offset, shape, value, upstream, by_offset, by_shape);
    }
}

// The neighbour of the warp's point that a lane processes.
template <class T, int D>
struct NeighbourState {
    static constexpr int S = packed_size(D);
    bool present, valid;  // there is such a neighbour; its index is that of a kernel
    int32_t number;
    T offset[D], shape[S], value, normalised, sum;

    __device__ __forceinline__ static NeighbourState at(const RbfArguments<T>& a, int64_t point, int lane) {
        NeighbourState m;
        m.present = lane < a.k;
        const int32_t number = m.present ? a.nearest[point * a.k + lane] : 0;
        m.valid = number >= 0 && number < a.kernels;
        m.number = m.valid ? number : 0;
        for (int i = 0; i < D; ++i) m.offset[i] = a.coords[point * D + i] - a.centres[int64_t(m.number) * D + i];
        for (int i = 0; i < S; ++i) m.shape[i] = a.shapes[int64_t(m.number) * S + i];
        m.value = !m.present ? T(0) : m.valid ? value_of<D>(a.kernel, m.offset, m.shape) : T(__builtin_nanf(""));
        m.sum = a.normalise == normalise_none ? T(1) : warp_sum(m.value) + T(RBF_SUM_FLOOR);
        m.normalised = m.value / m.sum;
        return m;
    }
};

template <class T, int D>
__global__ void __launch_bounds__(THREADS) rbf_forward_kernel(const __grid_constant__ RbfArguments<T> a) {
    const int lane = threadIdx.x % WARP;
    const int64_t point = int64_t(blockIdx.x) * (THREADS / WARP) + threadIdx.x / WARP;
    if (point >= a.points) return;  // whole warps return
    const NeighbourState<T, D> m = NeighbourState<T, D>::at(a, point, lane);
    for (int column = 0; column < a.features; column += WARP) {
        const int f = column + lane;
        const bool exists = f < a.features;
        const T frequency = a.frequencies && exists ? a.frequencies[f] : T(0),
                phase = a.phases && exists ? a.phases[f] : T(0);
        T sum = T(0);
        for (int i = 0; i < a.k; ++i) {
            const T normalised = __shfl_sync(ALL_LANES, m.normalised, i);
            const int32_t number = __shfl_sync(ALL_LANES, m.number, i);
            if (!exists) continue;
            T factor = normalised, cosine;
            if (a.frequencies) sine_and_cosine(normalised * frequency + phase, factor, cosine);
            sum += factor * a.weights[int64_t(number) * a.features + f];
        }
        if (exists) a.output[point * a.features + f] = sum;
    }
}

// Gradients of every point; a warp strides over the points. If `ordered`, the gradients of the kernels are left to
// rbf_kernels_kernel.
template <class T, int D, bool ordered>
__global__ void __launch_bounds__(THREADS)
    rbf_points_kernel(const __grid_constant__ RbfArguments<T> a,
                      const __grid_constant__ PairWorkspace<T> pair_workspace, int64_t last_point, int blocks) {
    constexpr int WARPS = THREADS / WARP, COLUMNS = RBF_MAX_FEATURES / WARP;
    __shared__ T phase_parts[WARPS][RBF_MAX_FEATURES];
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    T phase_sum[COLUMNS] = {};
    for (int64_t point = pair_workspace.first_point + int64_t(blockIdx.x) * WARPS + warp; point < last_point;
         point += int64_t(blocks) * WARPS) {
        NeighbourState<T, D> m = NeighbourState<T, D>::at(a, point, lane);
        T slope = T(0);  // gradient of this lane's normalised value
        for (int c = 0; c < COLUMNS; ++c) {
            if (c * WARP >= a.features) break;
            const int f = c * WARP + lane;
            const bool exists = f < a.features;
            const T frequency = a.frequencies && exists ? a.frequencies[f] : T(0),
                    phase = a.phases && exists ? a.phases[f] : T(0);
            const T upstream = exists ? a.grad[point * a.features + f] : T(0);
            for (int i = 0; i < a.k; ++i) {
                const T normalised = __shfl_sync(ALL_LANES, m.normalised, i);
                const int64_t row = int64_t(__shfl_sync(ALL_LANES, m.number, i)) * a.features + f;
                T part = exists ? upstream * a.weights[row] : T(0), factor = normalised, cosine;
                if (a.frequencies) {
                    sine_and_cosine(normalised * frequency + phase, factor, cosine);
                    part *= cosine;
                    phase_sum[c] += part;
                    part *= frequency;
                }
                const T whole = warp_sum(part);
                if (lane == i) slope += whole;
                if (!ordered && exists && a.grad_weights) atomicAdd(a.grad_weights + row, upstream * factor);
            }
        }
        const T common = a.normalise == normalise_full ? warp_sum(slope * m.normalised) : T(0);
        slope = (slope - common) / m.sum;
        T by_offset[D] = {}, by_shape[packed_size(D)] = {};
        if (m.present) slopes_of<D>(a.kernel, m.offset, m.shape, m.value, slope, by_offset, by_shape);
        if (a.grad_coords) {
            for (int i = 0; i < D; ++i) {
                const T sum = warp_sum(by_offset[i]);
                if (lane == i) a.grad_coords[point * D + i] = sum;
            }
        }
        if (!m.present) continue;
        if constexpr (ordered) {
            const int64_t pair = (point - pair_workspace.first_point) * a.k + lane;
            pair_workspace.normalised[pair] = m.normalised;
            pair_workspace.slope[pair] = slope;
        } else {
            for (int i = 0; i < D && a.grad_centres; ++i)
                atomicAdd(a.grad_centres + int64_t(m.number) * D + i, -by_offset[i]);
            for (int i = 0; i < packed_size(D) && a.grad_shapes; ++i)
                atomicAdd(a.grad_shapes + int64_t(m.number) * packed_size(D) + i, by_shape[i]);
        }
    }
    if (!a.grad_phases) return;  // whole blocks return
    for (int c = 0; c < COLUMNS; ++c) phase_parts[warp][c * WARP + lane] = phase_sum[c];
    __syncthreads();
    const int f = threadIdx.x;
    if (f >= a.features) return;
    T sum = T(0);
    for (int w = 0; w < WARPS; ++w) sum += phase_parts[w][f];
    if constexpr (ordered) {
        pair_workspace.phase_sums[int64_t(blockIdx.x) * a.features + f] = sum;
    } else {
        atomicAdd(a.grad_phases + f, sum);
    }
}

// Adds the blocks' sums to grad_phases, in their order.
template <class T>
__global__ void __launch_bounds__(THREADS)
    rbf_phases_kernel(const __grid_constant__ RbfArguments<T> a, const T* sums, int blocks) {
    const int f = threadIdx.x;
    if (f >= a.features) return;
    T sum = a.grad_phases[f];
    for (int b = 0; b < blocks; ++b) sum += sums[int64_t(b) * a.features + f];
    a.grad_phases[f] = sum;
}

template <class T>
__global__ void __launch_bounds__(THREADS)
    rbf_pairs_kernel(const __grid_constant__ RbfArguments<T> a, int64_t first_pair, int pairs, uint32_t* keys,
                     uint32_t* numbers) {
    const int pair = blockIdx.x * THREADS + threadIdx.x;
    if (pair >= pairs) return;
    const int32_t number = a.nearest[first_pair + pair];
    keys[pair] = number >= 0 && number < a.kernels ? uint32_t(number) : 0u;
    numbers[pair] = uint32_t(pair);
}

// One warp sums the pairs of a kernel in their order: one lane a feature; then every 32nd pair a lane, for centre and
// shape.
template <class T, int D>
__global__ void __launch_bounds__(THREADS)
    rbf_kernels_kernel(const __grid_constant__ RbfArguments<T> a,
                       const __grid_constant__ PairWorkspace<T> pair_workspace, const uint32_t* keys,
                       const uint32_t* pairs, uint32_t count) {
    constexpr int S = packed_size(D);
    const int lane = threadIdx.x % WARP;
    const int64_t n = int64_t(blockIdx.x) * (THREADS / WARP) + threadIdx.x / WARP;
    if (n >= a.kernels) return;  // whole warps return
    const uint32_t first = lower_bound(keys, count, uint32_t(n)), last = lower_bound(keys, count, uint32_t(n) + 1);
    for (int f = lane; f < a.features && a.grad_weights; f += WARP) {
        const T frequency = a.frequencies ? a.frequencies[f] : T(0), phase = a.phases ? a.phases[f] : T(0);
        T sum = a.grad_weights[n * a.features + f];
        for (uint32_t at = first; at < last; ++at) {
            const int64_t point = pair_workspace.first_point + pairs[at] / uint32_t(a.k);
            const T normalised = pair_workspace.normalised[pairs[at]];
            T factor = normalised, cosine;
            if (a.frequencies) sine_and_cosine(normalised * frequency + phase, factor, cosine);
            sum += a.grad[point * a.features + f] * factor;
        }
        a.grad_weights[n * a.features + f] = sum;
    }
    if (!a.grad_centres && !a.grad_shapes) return;
    T offset_sum[D] = {}, shape_sum[S] = {}, shape[S];
    for (int i = 0; i < S; ++i) shape[i] = a.shapes[n * S + i];
    for (uint32_t at = first + lane; at < last; at += WARP) {
        const int64_t point = pair_workspace.first_point + pairs[at] / uint32_t(a.k);
        T offset[D], by_offset[D], by_shape[S];
        for (int i = 0; i < D; ++i) offset[i] = a.coords[point * D + i] - a.centres[n * D + i];
        const T value = value_of<D>(a.kernel, offset, shape);
        slopes_of<D>(a.kernel, offset, shape, value, pair_workspace.slope[pairs[at]], by_offset, by_shape);
        for (int i = 0; i < D; ++i) offset_sum[i] += by_offset[i];
        for (int i = 0; i < S; ++i) shape_sum[i] += by_shape[i];
    }
    for (int i = 0; i < D && a.grad_centres; ++i) {
        const T sum = warp_sum(offset_sum[i]);
        if (lane == i) a.grad_centres[n * D + i] -= sum;
    }
    for (int i = 0; i < S && a.grad_shapes; ++i) {
        const T sum = warp_sum(shape_sum[i]);
        if (lane == i) a.grad_shapes[n * S + i] += sum;
    }
}

template <class T>
RbfArguments<T> arguments_of(const RbfCall& call) {
    const auto in = [](const void* at) { return static_cast<const T*>(at); };
    const auto out = [](void* at) { return static_cast<T*>(at); };
    return {call.neighbours,
            call.features,
            call.kernel,
            call.normalise,
            call.points,
            call.kernels,
            call.nearest,
            in(call.coords),
            in(call.centres),
            in(call.shapes),
            in(call.weights),
            in(call.frequencies),
            in(call.phases),
            in(call.grad),
            out(call.output),
            out(call.grad_coords),
            out(call.grad_centres),
            out(call.grad_shapes),
            out(call.grad_weights),
            out(call.grad_phases)};
}

template <class T>
cudaError_t clear_gradients(const RbfCall& call, int D, cudaStream_t stream) {
    const struct {
        void* at;
        int64_t count;
    } all[] = {{call.grad_centres, call.kernels * D},
               {call.grad_shapes, call.kernels * packed_size(D)},
               {call.grad_weights, call.kernels * call.features},
               {call.grad_phases, call.features}};
    for (const auto& gradient : all) {
        if (!gradient.at) continue;
        const cudaError_t error = cudaMemsetAsync(gradient.at, 0, size_t(gradient.count) * sizeof(T), stream);
        if (error) return error;
    }
    return cudaSuccess;
}

inline int point_blocks(int64_t points) {
    const int64_t blocks = blocks_for(points, THREADS / WARP);
    return int(blocks < RBF_MAX_BLOCKS ? blocks : RBF_MAX_BLOCKS);
}

template <class T, int D>
cudaError_t deterministic_gradients(const RbfCall& call, cudaStream_t stream, Workspace workspace) {
    const RbfArguments<T> a = arguments_of<T>(call);
    const RbfParts parts(call);
    if (workspace.bytes < parts.total()) return cudaErrorInvalidValue;
    char* at = static_cast<char*>(workspace.at);
    const auto next = [&](int64_t bytes) {
        char* part = at;
        at += bytes;
        return static_cast<void*>(part);
    };
    PairWorkspace<T> pair_workspace = {};
    pair_workspace.normalised = static_cast<T*>(next(parts.pairs));
    pair_workspace.slope = static_cast<T*>(next(parts.pairs));
    pair_workspace.phase_sums = static_cast<T*>(next(parts.phases));
    uint32_t* part[4];
    for (uint32_t*& one : part) one = static_cast<uint32_t*>(next(parts.keys));
    int bits = 1;
    while (bits < 32 && (call.kernels - 1) >> bits) ++bits;
    const int64_t batch = rbf_points_per_sort(call);
    for (int64_t first = 0; first < call.points; first += batch) {
        const int64_t last = first + batch < call.points ? first + batch : call.points;
        const int count = int((last - first) * call.neighbours), blocks = point_blocks(last - first);
        pair_workspace.first_point = first;
        DoubleBuffer keys = {part[0], part[1]}, pairs = {part[2], part[3]};
        cudaError_t error = launch(stream, blocks, rbf_points_kernel<T, D, true>, a, pair_workspace, last, blocks);
        if (!error && a.grad_phases)
            error =
                launch(stream, 1, rbf_phases_kernel<T>, a, static_cast<const T*>(pair_workspace.phase_sums), blocks);
        if (!error)
            error = launch(stream, blocks_for(count, THREADS), rbf_pairs_kernel<T>, a, first * call.neighbours, count,
                           keys.current, pairs.current);
        if (!error) error = sort_by_key(keys, pairs, count, bits, at, size_t(workspace.bytes - parts.total()), stream);
        if (!error)
            error = launch(stream, blocks_for(call.kernels, THREADS / WARP), rbf_kernels_kernel<T, D>, a,
                           pair_workspace, static_cast<const uint32_t*>(keys.current),
                           static_cast<const uint32_t*>(pairs.current), uint32_t(count));
        if (error) return error;
    }
    return cudaSuccess;
}

template <class T, int D>
cudaError_t gradients(const RbfCall& call, cudaStream_t stream, Workspace workspace) {
    if (const cudaError_t error = clear_gradients<T>(call, D, stream)) return error;
    if (call.points == 0) return cudaSuccess;
    if (workspace.at) return deterministic_gradients<T, D>(call, stream, workspace);
    const int blocks = point_blocks(call.points);
    return launch(stream, blocks, rbf_points_kernel<T, D, false>, arguments_of<T>(call), PairWorkspace<T>{},
                  call.points, blocks);
}

}  // namespace

template <class T>
cudaError_t rbf_gather_forward(const RbfCall& call, cudaStream_t stream) {
    const int64_t blocks = blocks_for(call.points, THREADS / WARP);
    if (blocks == 0) return cudaSuccess;
    if (call.dimensions == 2) return launch(stream, blocks, rbf_forward_kernel<T, 2>, arguments_of<T>(call));
    return launch(stream, blocks, rbf_forward_kernel<T, 3>, arguments_of<T>(call));
}

template <class T>
cudaError_t rbf_gather_backward(const RbfCall& call, cudaStream_t stream, Workspace workspace) {
    return call.dimensions == 2 ? gradients<T, 2>(call, stream, workspace) : gradients<T, 3>(call, stream, workspace);
}

}  // namespace fs
