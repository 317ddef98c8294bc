// Sums of products of interpolated grids on CUDA. A point is processed by as many adjacent lanes as its features fill,
// which read the rows of a corner and write the rows of the output in coalesced accesses. Each kernel also compiles for
// the host, for tests without a GPU.
#include "factor_grid.h"

#include <cuda_runtime.h>

#include <type_traits>

#include "device.h"
#include "grid_point.h"
#include "launch.h"
#include "sort.h"
#include "workspace.h"

namespace fs {
namespace {

// Pairs of a point and a corner that are sorted at a time: bounds the workspace, and keeps a pair's index within 32
// bits. Tests set less.
#if !defined(FS_PAIRS_SORTED_AT_ONCE)
#define FS_PAIRS_SORTED_AT_ONCE (1 << 23)
#endif

// The arguments of the kernels, passed by value, so that nothing is copied to the device beforehand.
template <class T>
struct Arguments {
    GridAxis grid_axis[MAX_GRID_AXES];
    Factor factor[MAX_FACTORS];
    Product product[MAX_FACTORS];
    int32_t dimensions, features, products, slots, lanes;  // lanes of a point, a power of two
    int64_t points;
    const T *coords, *table, *grad, *direction, *rows;
    T *output, *grad_coords, *grad_table;
};
static_assert(sizeof(Arguments<double>) <= 4000, "the arguments of a kernel are 4 KiB");

// The arithmetic of a call: with plain values (first order), or with dual numbers (second order).
template <class T, bool second_order>
struct Arithmetic {
    using S = T;
    FS_HOST_DEVICE static S of(T value, T) { return value; }
    FS_HOST_DEVICE static T result(S s) { return s; }
};
template <class T>
struct Arithmetic<T, true> {
    using S = Dual<T>;
    FS_HOST_DEVICE static S of(T value, T tangent) { return {value, tangent}; }
    FS_HOST_DEVICE static T result(S s) { return s.tangent; }
};

// V features of a row.
template <class T, int V, bool second_order>
struct RowPart {
    using N = Arithmetic<T, second_order>;
    using S = typename N::S;
    S of[V];

    FS_HOST_DEVICE static RowPart zero() {
        RowPart part;
        FS_UNROLL_FOR (int i = 0; i < V; ++i) part.of[i] = N::of(T(0), T(0));
        return part;
    }
    FS_HOST_DEVICE static RowPart load(const T* value, const T* tangent, int64_t at) {
        const Row<T, V> a = Row<T, V>::load(value + at),
                        b = second_order && tangent ? Row<T, V>::load(tangent + at) : Row<T, V>::zero();
        RowPart part;
        FS_UNROLL_FOR (int i = 0; i < V; ++i) part.of[i] = N::of(a.of[i], b.of[i]);
        return part;
    }
    FS_HOST_DEVICE void add(const RowPart& other, S weight) {
        FS_UNROLL_FOR (int i = 0; i < V; ++i) of[i] = of[i] + other.of[i] * weight;
    }
    FS_HOST_DEVICE void multiply(const RowPart& other) {
        FS_UNROLL_FOR (int i = 0; i < V; ++i) of[i] = of[i] * other.of[i];
    }
    FS_HOST_DEVICE S dot(const RowPart& other) const {
        S sum = of[0] * other.of[0];
        FS_UNROLL_FOR (int i = 1; i < V; ++i) sum = sum + of[i] * other.of[i];
        return sum;
    }
    FS_HOST_DEVICE Row<T, V> results(S weight) const {
        Row<T, V> row;
        FS_UNROLL_FOR (int i = 0; i < V; ++i) row.of[i] = N::result(of[i] * weight);
        return row;
    }
};

// The position of a point in a factor: the lowest corner of its cell, and stride and weights of each axis.
template <class T, bool second_order>
struct FactorPosition {
    using N = Arithmetic<T, second_order>;
    using S = typename N::S;
    int axes;
    int64_t entry;
    int32_t stride[MAX_AXES], axis[MAX_AXES];
    S lower[MAX_AXES], upper[MAX_AXES];
    T slope[MAX_AXES];

    FS_HOST_DEVICE static FactorPosition find(const Arguments<T>& a, const Factor& factor, int64_t point) {
        FactorPosition at;
        at.axes = factor.axes;
        at.entry = factor.offset;
        FS_UNROLL_FOR (int i = 0; i < MAX_AXES; ++i) {
            if (i >= at.axes) break;
            const GridAxis& grid_axis = a.grid_axis[factor.grid_axis[i]];
            int32_t cell;
            T fraction;
            locate_on_axis(grid_axis, a.coords[point * a.dimensions + grid_axis.axis], cell, fraction, at.slope[i]);
            const T tangent =
                second_order && a.direction ? at.slope[i] * a.direction[point * a.dimensions + grid_axis.axis] : T(0);
            at.axis[i] = grid_axis.axis;
            at.stride[i] = grid_axis.nodes > 1 ? factor.stride[i] : 0;
            at.upper[i] = N::of(fraction, tangent);
            at.lower[i] = N::of(T(1) - fraction, -tangent);
            at.entry += int64_t(cell) * factor.stride[i];
        }
        return at;
    }
    FS_HOST_DEVICE int64_t corner(int k) const {
        int64_t at = entry;
        FS_UNROLL_FOR (int i = 0; i < MAX_AXES; ++i)
            if (i < axes && (k >> i & 1)) at += stride[i];
        return at;
    }
    // Weight of corner k; with `by`, its derivative by the fraction along that axis.
    FS_HOST_DEVICE S weight(int k, int by = -1) const {
        S product = N::of(T(1), T(0));
        FS_UNROLL_FOR (int i = 0; i < MAX_AXES; ++i) {
            if (i >= axes) break;
            const bool high = k >> i & 1;
            product = product * (i == by ? N::of(high ? T(1) : T(-1), T(0)) : high ? upper[i] : lower[i]);
        }
        return product;
    }
};

template <class T, int V, bool second_order>
FS_HOST_DEVICE RowPart<T, V, second_order> interpolate(const Arguments<T>& a, const FactorPosition<T, second_order>& at,
                                                       int channel, int by = -1) {
    RowPart<T, V, second_order> sum = RowPart<T, V, second_order>::zero();
    for (int k = 0; k < (1 << at.axes); ++k)
        sum.add(RowPart<T, V, second_order>::load(a.table, a.rows, at.corner(k) * a.features + channel),
                at.weight(k, by));
    return sum;
}

// The gradient of the value of factor k: that of the output times the values of all other factors of the product.
template <class T, int V, bool second_order>
FS_HOST_DEVICE RowPart<T, V, second_order> gradient_of(const Arguments<T>& a, const Product& product, int k,
                                                       int64_t point, int channel) {
    auto grad =
        RowPart<T, V, second_order>::load(a.grad, nullptr, (point * a.slots + product.slot) * a.features + channel);
    for (int j = 0; j < product.count; ++j)
        if (j != k)
            grad.multiply(interpolate<T, V, second_order>(
                a, FactorPosition<T, second_order>::find(a, a.factor[product.first + j], point), channel));
    return grad;
}

template <class T, int V, bool second_order>
__global__ void __launch_bounds__(THREADS) factor_forward_kernel(const __grid_constant__ Arguments<T> a) {
    const int64_t thread = int64_t(blockIdx.x) * THREADS + threadIdx.x, point = thread / a.lanes;
    if (point >= a.points) return;
    for (int channel = int(thread % a.lanes) * V; channel < a.features; channel += a.lanes * V) {
        RowPart<T, V, second_order> sum = RowPart<T, V, second_order>::zero();
        for (int g = 0; g < a.products; ++g) {
            const Product& product = a.product[g];
            RowPart<T, V, second_order> value;
            for (int k = 0; k < product.count; ++k) {
                const auto one = interpolate<T, V, second_order>(
                    a, FactorPosition<T, second_order>::find(a, a.factor[product.first + k], point), channel);
                if (k) {
                    value.multiply(one);
                } else {
                    value = one;
                }
            }
            sum.add(value, Arithmetic<T, second_order>::of(T(1), T(0)));
            if (g + 1 == a.products || a.product[g + 1].slot != product.slot) {
                sum.results(Arithmetic<T, second_order>::of(T(1), T(0)))
                    .store(a.output + (point * a.slots + product.slot) * a.features + channel);
                sum = RowPart<T, V, second_order>::zero();
            }
        }
    }
}

// Adds the row to memory, atomically for each value.
template <class T, int V>
__device__ __forceinline__ void add_to_row(T* to, const Row<T, V>& row) {
#if __CUDA_ARCH__ >= 900 || defined(FS_VECTOR_ATOMICS)
    constexpr bool vectors = std::is_same_v<T, float> && V == 4;
#else
    constexpr bool vectors = false;
#endif
    if constexpr (vectors) {
        atomicAdd(reinterpret_cast<float4*>(to), make_float4(row.of[0], row.of[1], row.of[2], row.of[3]));
    } else {
        FS_UNROLL_FOR (int i = 0; i < V; ++i) atomicAdd(to + i, row.of[i]);
    }
}

// Both gradients, with atomics for the tables. The lanes of a point sum the gradients of its coordinates in a tree.
template <class T, int V, bool second_order>
__global__ void __launch_bounds__(THREADS) factor_backward_kernel(const __grid_constant__ Arguments<T> a) {
    const int64_t thread = int64_t(blockIdx.x) * THREADS + threadIdx.x, point = thread / a.lanes;
    const int lane = int(thread % a.lanes);
    T sums[MAX_AXES] = {};
    for (int channel = lane * V; point < a.points && channel < a.features; channel += a.lanes * V) {
        for (int g = 0; g < a.products; ++g) {
            const Product& product = a.product[g];
            for (int k = 0; k < product.count; ++k) {
                const auto at = FactorPosition<T, second_order>::find(a, a.factor[product.first + k], point);
                const auto grad = gradient_of<T, V, second_order>(a, product, k, point, channel);
                for (int i = 0; a.grad_coords && i < at.axes; ++i) {
                    const T slope = Arithmetic<T, second_order>::result(
                        grad.dot(interpolate<T, V, second_order>(a, at, channel, i)));
                    FS_UNROLL_FOR (int axis = 0; axis < MAX_AXES; ++axis)
                        if (axis == at.axis[i]) sums[axis] += slope * at.slope[i];
                }
                for (int c = 0; a.grad_table && c < (1 << at.axes); ++c)
                    add_to_row(a.grad_table + at.corner(c) * a.features + channel, grad.results(at.weight(c)));
            }
        }
    }
    if (!a.grad_coords) return;
    for (int step = a.lanes / 2; step > 0; step /= 2)
        FS_UNROLL_FOR (int axis = 0; axis < MAX_AXES; ++axis)
            sums[axis] += __shfl_down_sync(ALL_LANES, sums[axis], step);
    if (lane == 0 && point < a.points)
        FS_UNROLL_FOR (int axis = 0; axis < MAX_AXES; ++axis)
            if (axis < a.dimensions) a.grad_coords[point * a.dimensions + axis] = sums[axis];
}

// The reproducible gradient of a table: the corners of a factor are sorted by entry, then each entry sums its own. The
// index of a pair is point * 2^axes + corner and the sort is stable, so the pairs of an entry are in the order of the
// points.
template <class T>
__global__ void __launch_bounds__(THREADS)
    factor_pairs_kernel(const __grid_constant__ Arguments<T> a, int f, int64_t first_point, int points, uint32_t* keys,
                        uint32_t* pairs) {
    const int p = int(blockIdx.x * THREADS + threadIdx.x);
    if (p >= points) return;
    const Factor& factor = a.factor[f];
    const auto at = FactorPosition<T, false>::find(a, factor, first_point + p);
    for (int c = 0; c < (1 << at.axes); ++c) {
        const uint32_t pair = uint32_t(p) << at.axes | uint32_t(c);
        keys[pair] = uint32_t(at.corner(c) - factor.offset);
        pairs[pair] = pair;
    }
}

template <class T, int V, bool second_order>
__global__ void __launch_bounds__(THREADS)
    factor_entries_kernel(const __grid_constant__ Arguments<T> a, int g, int k, uint32_t entries, int64_t first_point,
                          const uint32_t* keys, const uint32_t* pairs, uint32_t count) {
    const int64_t thread = int64_t(blockIdx.x) * THREADS + threadIdx.x, entry = thread / a.lanes;
    if (entry >= entries) return;
    const Product& product = a.product[g];
    const Factor& factor = a.factor[product.first + k];
    const uint32_t begin = lower_bound(keys, count, uint32_t(entry)),
                   end = lower_bound(keys, count, uint32_t(entry) + 1);
    for (int channel = int(thread % a.lanes) * V; channel < a.features; channel += a.lanes * V) {
        T* to = a.grad_table + (factor.offset + entry) * a.features + channel;
        Row<T, V> sum = Row<T, V>::load(to);
        for (uint32_t i = begin; i < end; ++i) {
            const int64_t point = first_point + (pairs[i] >> factor.axes);
            const int corner = int(pairs[i] & ((1u << factor.axes) - 1));
            const auto at = FactorPosition<T, second_order>::find(a, factor, point);
            sum.add(gradient_of<T, V, second_order>(a, product, k, point, channel).results(at.weight(corner)));
        }
        sum.store(to);
    }
}

template <class... Parameters, class... Given>
cudaError_t launch_threads(cudaStream_t stream, int64_t threads, void (*kernel)(Parameters...), const Given&... given) {
    return launch(stream, blocks_for(threads, THREADS), kernel, given...);
}

int bits_for(int64_t entries) {
    int bits = 1;
    while (bits < 32 && (entries - 1) >> bits) ++bits;
    return bits;
}

int64_t entries_of(const Factor& factor) { return int64_t(factor.stride[factor.axes - 1]) * factor.nodes; }

int64_t points_per_sort(const FactorCall& call) {
    const int64_t limit = int64_t(FS_PAIRS_SORTED_AT_ONCE) >> MAX_AXES;
    return call.points < limit ? call.points : limit;
}
// A workspace holds keys and values, two buffers each, then the sort's own scratch memory.
int64_t workspace_slot(const FactorCall& call) {
    return align_bytes((points_per_sort(call) << MAX_AXES) * int64_t(sizeof(uint32_t)));
}

cudaError_t check(const FactorCall& call) {
    const bool fits = call.dimensions >= 1 && call.dimensions <= MAX_AXES && call.features >= 1 && call.points >= 0 &&
                      call.grid_axes >= 1 && call.grid_axes <= MAX_GRID_AXES && call.factors >= 1 &&
                      call.factors <= MAX_FACTORS && call.products >= 1 && call.products <= call.factors;
    return fits ? cudaSuccess : cudaErrorInvalidValue;
}

// The operation for a type, vector width and order known at compile time.
template <class T, int V, bool second_order>
struct Kernels {
    const FactorCall& call;
    cudaStream_t stream;
    Arguments<T> a = {};

    Kernels(const FactorCall& call, cudaStream_t stream) : call(call), stream(stream) {
        for (int r = 0; r < call.grid_axes; ++r) a.grid_axis[r] = call.grid_axis[r];
        for (int f = 0; f < call.factors; ++f) a.factor[f] = call.factor[f];
        for (int g = 0; g < call.products; ++g) a.product[g] = call.product[g];
        a.dimensions = call.dimensions;
        a.features = call.features;
        a.products = call.products;
        a.slots = call.slots;
        a.lanes = 1;
        while (a.lanes < WARP && a.lanes * V < call.features) a.lanes *= 2;
        a.points = call.points;
        a.coords = static_cast<const T*>(call.coords);
        a.table = static_cast<const T*>(call.table);
        a.grad = static_cast<const T*>(call.grad);
        a.direction = static_cast<const T*>(call.direction);
        a.rows = static_cast<const T*>(call.rows);
        a.output = static_cast<T*>(call.output);
        a.grad_coords = static_cast<T*>(call.grad_coords);
        a.grad_table = static_cast<T*>(call.grad_table);
    }

    cudaError_t forward() const {
        return launch_threads(stream, a.points * a.lanes, factor_forward_kernel<T, V, second_order>, a);
    }

    cudaError_t backward(void* workspace, int64_t bytes) {
        if (!a.grad_table || !workspace)
            return launch_threads(stream, a.points * a.lanes, factor_backward_kernel<T, V, second_order>, a);
        if (a.grad_coords) {
            Arguments<T> coords = a;
            coords.grad_table = nullptr;
            if (const cudaError_t error =
                    launch_threads(stream, a.points * a.lanes, factor_backward_kernel<T, V, second_order>, coords))
                return error;
        }
        for (int g = 0; g < call.products; ++g)
            for (int k = 0; k < call.product[g].count; ++k)
                if (const cudaError_t error = deterministic_table_gradient(g, k, static_cast<char*>(workspace), bytes))
                    return error;
        return cudaSuccess;
    }

    cudaError_t deterministic_table_gradient(int g, int k, char* at, int64_t bytes) const {
        const int f = call.product[g].first + k;
        const Factor& factor = call.factor[f];
        const int64_t slot = workspace_slot(call), entries = entries_of(factor), batch = points_per_sort(call);
        if (bytes < 4 * slot) return cudaErrorInvalidValue;
        const auto part = [&](int i) { return reinterpret_cast<uint32_t*>(at + i * slot); };
        for (int64_t first = 0; first < a.points; first += batch) {
            const int points = int(a.points - first < batch ? a.points - first : batch), count = points << factor.axes;
            DoubleBuffer keys = {part(0), part(1)}, pairs = {part(2), part(3)};
            cudaError_t error = launch_threads(stream, points, factor_pairs_kernel<T>, a, f, first, points,
                                               keys.current, pairs.current);
            if (!error)
                error =
                    sort_by_key(keys, pairs, count, bits_for(entries), at + 4 * slot, size_t(bytes - 4 * slot), stream);
            if (!error)
                error = launch_threads(stream, entries * a.lanes, factor_entries_kernel<T, V, second_order>, a, g, k,
                                       uint32_t(entries), first, keys.current, pairs.current, uint32_t(count));
            if (error) return error;
        }
        return cudaSuccess;
    }
};

template <class T, int V, class Action>
cudaError_t with_order(const FactorCall& call, cudaStream_t stream, const Action& action) {
    if (call.direction || call.rows) return action(Kernels<T, V, true>(call, stream));
    return action(Kernels<T, V, false>(call, stream));
}

// Rows are moved 16 bytes at a time if their size and alignment allow it.
template <class T, class Action>
cudaError_t with_vectors(const FactorCall& call, cudaStream_t stream, const Action& action) {
    constexpr int V = 16 / int(sizeof(T));
    uintptr_t all = 0;
    for (const void* rows : {call.table, call.grad, call.rows, (const void*)call.output, (const void*)call.grad_table})
        all |= reinterpret_cast<uintptr_t>(rows);
    if (call.features % V || all % 16) return with_order<T, 1>(call, stream, action);
    return with_order<T, V>(call, stream, action);
}

template <class Action>
cudaError_t with_kernels(const FactorCall& call, void* stream, const Action& action) {
    const cudaStream_t cuda_stream = static_cast<cudaStream_t>(stream);
    return call.is_double ? with_vectors<double>(call, cuda_stream, action)
                          : with_vectors<float>(call, cuda_stream, action);
}

}  // namespace
}  // namespace fs

FS_API int32_t fs_factor_grid_forward(const fs::FactorCall* call, int32_t device, void* stream) {
    if (const cudaError_t error = fs::check(*call)) return error;
    if (call->points == 0) return cudaSuccess;
    const fs::DeviceGuard guard(device);
    if (guard.status) return guard.status;
    return fs::with_kernels(*call, stream, [](auto kernels) { return kernels.forward(); });
}

FS_API int32_t fs_factor_grid_backward(const fs::FactorCall* call, int32_t device, void* stream, void* workspace,
                                       int64_t workspace_bytes) {
    if (const cudaError_t error = fs::check(*call)) return error;
    const fs::DeviceGuard guard(device);
    if (guard.status) return guard.status;
    if (call->grad_table) {
        const size_t bytes =
            size_t(call->entries) * size_t(call->features) * (call->is_double ? sizeof(double) : sizeof(float));
        if (const cudaError_t error = cudaMemsetAsync(call->grad_table, 0, bytes, static_cast<cudaStream_t>(stream)))
            return error;
    }
    if (call->points == 0) return cudaSuccess;
    return fs::with_kernels(*call, stream, [&](auto kernels) { return kernels.backward(workspace, workspace_bytes); });
}

FS_API int64_t fs_factor_grid_workspace(const fs::FactorCall* call, int32_t device) {
    if (const cudaError_t error = fs::check(*call)) return -int64_t(error);
    const fs::DeviceGuard guard(device);
    if (guard.status) return -int64_t(guard.status);
    size_t scratch = 0;
    if (const cudaError_t error = fs::sort_bytes(int(fs::points_per_sort(*call) << fs::MAX_AXES), scratch))
        return -int64_t(error);
    return 4 * fs::workspace_slot(*call) + int64_t(scratch);
}
