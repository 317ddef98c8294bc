// Sums of products of interpolated grids. A point is taken by as many neighbouring lanes as its features fill: they
// read the rows of a corner, and write the rows of the output, side by side. Each kernel also compiles for the host,
// for tests without a GPU.
#include "factor_grid.h"

#include <cuda_runtime.h>

#include <type_traits>

#include "device.h"
#include "grid_point.h"
#include "launch.h"
#include "sort.h"

namespace fs {
namespace {

// Points whose corners are sorted at a time; bounds the workspace and keeps a pair's number in 32 bits. Tests set less.
#if !defined(FS_PAIRS_SORTED_AT_ONCE)
#define FS_PAIRS_SORTED_AT_ONCE (1 << 23)
#endif

// A call as the kernels get it: by value, so that nothing is copied to the device beforehand.
template <class T>
struct Arguments {
    Ruler ruler[MOST_RULERS];
    Factor factor[MOST_FACTORS];
    Product product[MOST_FACTORS];
    int32_t dimensions, features, products, slots, lanes;  // of a point, a power of two
    int64_t points;
    const T *coords, *table, *grad, *direction, *rows;
    T *output, *grad_coords, *grad_table;
};
static_assert(sizeof(Arguments<double>) <= 4000, "the arguments of a kernel are 4 KiB");

// A plain number in the first order; in the second, one that carries its change.
template <class T, bool second>
struct Number {
    using S = T;
    FS_HOST_DEVICE static S of(T value, T) { return value; }
    FS_HOST_DEVICE static T result(S s) { return s; }
};
template <class T>
struct Number<T, true> {
    using S = Dual<T>;
    FS_HOST_DEVICE static S of(T value, T change) { return {value, change}; }
    FS_HOST_DEVICE static T result(S s) { return s.change; }
};

// V features of a row.
template <class T, int V, bool second>
struct Some {
    using N = Number<T, second>;
    using S = typename N::S;
    S of[V];

    FS_HOST_DEVICE static Some zero() {
        Some some;
        FS_UNROLL_FOR (int i = 0; i < V; ++i) some.of[i] = N::of(T(0), T(0));
        return some;
    }
    FS_HOST_DEVICE static Some load(const T* value, const T* change, int64_t at) {
        const Row<T, V> a = Row<T, V>::load(value + at),
                        b = second && change ? Row<T, V>::load(change + at) : Row<T, V>::zero();
        Some some;
        FS_UNROLL_FOR (int i = 0; i < V; ++i) some.of[i] = N::of(a.of[i], b.of[i]);
        return some;
    }
    FS_HOST_DEVICE void add(const Some& other, S weight) {
        FS_UNROLL_FOR (int i = 0; i < V; ++i) of[i] = of[i] + other.of[i] * weight;
    }
    FS_HOST_DEVICE void multiply(const Some& other) {
        FS_UNROLL_FOR (int i = 0; i < V; ++i) of[i] = of[i] * other.of[i];
    }
    FS_HOST_DEVICE S dot(const Some& other) const {
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

// A point in a factor: the lowest corner of its cell, and each axis's step and weights.
template <class T, bool second>
struct At {
    using N = Number<T, second>;
    using S = typename N::S;
    int axes;
    int64_t entry;
    int32_t step[MOST_AXES], axis[MOST_AXES];
    S lower[MOST_AXES], upper[MOST_AXES];
    T slope[MOST_AXES];

    FS_HOST_DEVICE static At find(const Arguments<T>& a, const Factor& factor, int64_t point) {
        At at;
        at.axes = factor.axes;
        at.entry = factor.offset;
        FS_UNROLL_FOR (int i = 0; i < MOST_AXES; ++i) {
            if (i >= at.axes) break;
            const Ruler& ruler = a.ruler[factor.ruler[i]];
            int32_t cell;
            T share;
            place_on(ruler, a.coords[point * a.dimensions + ruler.axis], cell, share, at.slope[i]);
            const T change =
                second && a.direction ? at.slope[i] * a.direction[point * a.dimensions + ruler.axis] : T(0);
            at.axis[i] = ruler.axis;
            at.step[i] = ruler.nodes > 1 ? factor.step[i] : 0;
            at.upper[i] = N::of(share, change);
            at.lower[i] = N::of(T(1) - share, -change);
            at.entry += int64_t(cell) * factor.step[i];
        }
        return at;
    }
    FS_HOST_DEVICE int64_t corner(int k) const {
        int64_t at = entry;
        FS_UNROLL_FOR (int i = 0; i < MOST_AXES; ++i)
            if (i < axes && (k >> i & 1)) at += step[i];
        return at;
    }
    // Of corner k; `by` an axis: its change with the share along that axis.
    FS_HOST_DEVICE S weight(int k, int by = -1) const {
        S product = N::of(T(1), T(0));
        FS_UNROLL_FOR (int i = 0; i < MOST_AXES; ++i) {
            if (i >= axes) break;
            const bool high = k >> i & 1;
            product = product * (i == by ? N::of(high ? T(1) : T(-1), T(0)) : high ? upper[i] : lower[i]);
        }
        return product;
    }
};

template <class T, int V, bool second>
FS_HOST_DEVICE Some<T, V, second> interpolate(const Arguments<T>& a, const At<T, second>& at, int channel,
                                              int by = -1) {
    Some<T, V, second> sum = Some<T, V, second>::zero();
    for (int k = 0; k < (1 << at.axes); ++k)
        sum.add(Some<T, V, second>::load(a.table, a.rows, at.corner(k) * a.features + channel), at.weight(k, by));
    return sum;
}

// The gradient of factor k's value: that of the output times all others of the product.
template <class T, int V, bool second>
FS_HOST_DEVICE Some<T, V, second> gradient_of(const Arguments<T>& a, const Product& product, int k, int64_t point,
                                              int channel) {
    auto grad = Some<T, V, second>::load(a.grad, nullptr, (point * a.slots + product.slot) * a.features + channel);
    for (int j = 0; j < product.count; ++j)
        if (j != k)
            grad.multiply(
                interpolate<T, V, second>(a, At<T, second>::find(a, a.factor[product.first + j], point), channel));
    return grad;
}

template <class T, int V, bool second>
__global__ void __launch_bounds__(THREADS) factor_forward_kernel(const __grid_constant__ Arguments<T> a) {
    const int64_t thread = int64_t(blockIdx.x) * THREADS + threadIdx.x, point = thread / a.lanes;
    if (point >= a.points) return;
    for (int channel = int(thread % a.lanes) * V; channel < a.features; channel += a.lanes * V) {
        Some<T, V, second> sum = Some<T, V, second>::zero();
        for (int g = 0; g < a.products; ++g) {
            const Product& product = a.product[g];
            Some<T, V, second> value;
            for (int k = 0; k < product.count; ++k) {
                const auto one =
                    interpolate<T, V, second>(a, At<T, second>::find(a, a.factor[product.first + k], point), channel);
                if (k) {
                    value.multiply(one);
                } else {
                    value = one;
                }
            }
            sum.add(value, Number<T, second>::of(T(1), T(0)));
            if (g + 1 == a.products || a.product[g + 1].slot != product.slot) {
                sum.results(Number<T, second>::of(T(1), T(0)))
                    .store(a.output + (point * a.slots + product.slot) * a.features + channel);
                sum = Some<T, V, second>::zero();
            }
        }
    }
}

// to += row, atomically in each number.
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

// Both gradients, that of the tables atomically. The lanes of a point add up what they found for its coordinates as a
// tree.
template <class T, int V, bool second>
__global__ void __launch_bounds__(THREADS) factor_backward_kernel(const __grid_constant__ Arguments<T> a) {
    const int64_t thread = int64_t(blockIdx.x) * THREADS + threadIdx.x, point = thread / a.lanes;
    const int lane = int(thread % a.lanes);
    T sums[MOST_AXES] = {};
    for (int channel = lane * V; point < a.points && channel < a.features; channel += a.lanes * V) {
        for (int g = 0; g < a.products; ++g) {
            const Product& product = a.product[g];
            for (int k = 0; k < product.count; ++k) {
                const auto at = At<T, second>::find(a, a.factor[product.first + k], point);
                const auto grad = gradient_of<T, V, second>(a, product, k, point, channel);
                for (int i = 0; a.grad_coords && i < at.axes; ++i) {
                    const T slope = Number<T, second>::result(grad.dot(interpolate<T, V, second>(a, at, channel, i)));
                    FS_UNROLL_FOR (int axis = 0; axis < MOST_AXES; ++axis)
                        if (axis == at.axis[i]) sums[axis] += slope * at.slope[i];
                }
                for (int c = 0; a.grad_table && c < (1 << at.axes); ++c)
                    add_to_row(a.grad_table + at.corner(c) * a.features + channel, grad.results(at.weight(c)));
            }
        }
    }
    if (!a.grad_coords) return;
    for (int step = a.lanes / 2; step > 0; step /= 2)
        FS_UNROLL_FOR (int axis = 0; axis < MOST_AXES; ++axis)
            sums[axis] += __shfl_down_sync(ALL_LANES, sums[axis], step);
    if (lane == 0 && point < a.points)
        FS_UNROLL_FOR (int axis = 0; axis < MOST_AXES; ++axis)
            if (axis < a.dimensions) a.grad_coords[point * a.dimensions + axis] = sums[axis];
}

// The deterministic gradient of a table: a factor's corners are sorted by entry, then each entry adds up its own. A
// pair's number is point * 2^axes + corner and the sort is stable, so an entry's pairs are in the order of the points.
template <class T>
__global__ void __launch_bounds__(THREADS)
    factor_pairs_kernel(const __grid_constant__ Arguments<T> a, int f, int64_t first_point, int points, uint32_t* keys,
                        uint32_t* pairs) {
    const int p = int(blockIdx.x * THREADS + threadIdx.x);
    if (p >= points) return;
    const Factor& factor = a.factor[f];
    const auto at = At<T, false>::find(a, factor, first_point + p);
    for (int c = 0; c < (1 << at.axes); ++c) {
        const uint32_t pair = uint32_t(p) << at.axes | uint32_t(c);
        keys[pair] = uint32_t(at.corner(c) - factor.offset);
        pairs[pair] = pair;
    }
}

template <class T, int V, bool second>
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
            const auto at = At<T, second>::find(a, factor, point);
            sum.add(gradient_of<T, V, second>(a, product, k, point, channel).results(at.weight(corner)));
        }
        sum.store(to);
    }
}

template <class... Parameters, class... Given>
cudaError_t start(cudaStream_t stream, int64_t threads, void (*kernel)(Parameters...), const Given&... given) {
    return launch(stream, blocks_for(threads, THREADS), kernel, given...);
}

int bits_for(int64_t entries) {
    int bits = 1;
    while (bits < 32 && (entries - 1) >> bits) ++bits;
    return bits;
}

int64_t entries_of(const Factor& factor) { return int64_t(factor.step[factor.axes - 1]) * factor.nodes; }

int64_t points_at_once(const FactorCall& call) {
    const int64_t most = int64_t(FS_PAIRS_SORTED_AT_ONCE) >> MOST_AXES;
    return call.points < most ? call.points : most;
}
// Keys and values, each twice, then the sort's own scratch.
int64_t slot_bytes(const FactorCall& call) {
    return ((points_at_once(call) << MOST_AXES) * int64_t(sizeof(uint32_t)) + 255) / 256 * 256;
}

cudaError_t check(const FactorCall& call) {
    const bool fits = call.dimensions >= 1 && call.dimensions <= MOST_AXES && call.features >= 1 && call.points >= 0 &&
                      call.rulers >= 1 && call.rulers <= MOST_RULERS && call.factors >= 1 &&
                      call.factors <= MOST_FACTORS && call.products >= 1 && call.products <= call.factors;
    return fits ? cudaSuccess : cudaErrorInvalidValue;
}

// What is known at compile time about a call.
template <class T, int V, bool second>
struct Kernels {
    const FactorCall& call;
    cudaStream_t stream;
    Arguments<T> a = {};

    Kernels(const FactorCall& call, cudaStream_t stream) : call(call), stream(stream) {
        for (int r = 0; r < call.rulers; ++r) a.ruler[r] = call.ruler[r];
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

    cudaError_t forward() const { return start(stream, a.points * a.lanes, factor_forward_kernel<T, V, second>, a); }

    cudaError_t backward(void* workspace, int64_t bytes) {
        if (!a.grad_table || !workspace)
            return start(stream, a.points * a.lanes, factor_backward_kernel<T, V, second>, a);
        if (a.grad_coords) {
            Arguments<T> coords = a;
            coords.grad_table = nullptr;
            if (const cudaError_t error =
                    start(stream, a.points * a.lanes, factor_backward_kernel<T, V, second>, coords))
                return error;
        }
        for (int g = 0; g < call.products; ++g)
            for (int k = 0; k < call.product[g].count; ++k)
                if (const cudaError_t error = table_in_order(g, k, static_cast<char*>(workspace), bytes)) return error;
        return cudaSuccess;
    }

    cudaError_t table_in_order(int g, int k, char* at, int64_t bytes) const {
        const int f = call.product[g].first + k;
        const Factor& factor = call.factor[f];
        const int64_t slot = slot_bytes(call), entries = entries_of(factor), together = points_at_once(call);
        if (bytes < 4 * slot) return cudaErrorInvalidValue;
        const auto part = [&](int i) { return reinterpret_cast<uint32_t*>(at + i * slot); };
        for (int64_t first = 0; first < a.points; first += together) {
            const int points = int(a.points - first < together ? a.points - first : together),
                      count = points << factor.axes;
            Buffers keys = {part(0), part(1)}, pairs = {part(2), part(3)};
            cudaError_t error = start(stream, points, factor_pairs_kernel<T>, a, f, first, points, keys.now, pairs.now);
            if (!error)
                error =
                    sort_by_key(keys, pairs, count, bits_for(entries), at + 4 * slot, size_t(bytes - 4 * slot), stream);
            if (!error)
                error = start(stream, entries * a.lanes, factor_entries_kernel<T, V, second>, a, g, k,
                              uint32_t(entries), first, keys.now, pairs.now, uint32_t(count));
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

// Rows are moved 16 bytes at a time where they consist of such pieces.
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
    const cudaStream_t queue = static_cast<cudaStream_t>(stream);
    return call.is_double ? with_vectors<double>(call, queue, action) : with_vectors<float>(call, queue, action);
}

}  // namespace
}  // namespace fs

FS_API int32_t fs_factor_grid_forward(const fs::FactorCall* call, int32_t device, void* stream) {
    if (const cudaError_t error = fs::check(*call)) return error;
    if (call->points == 0) return cudaSuccess;
    const fs::OnDevice on(device);
    if (on.status) return on.status;
    return fs::with_kernels(*call, stream, [](auto kernels) { return kernels.forward(); });
}

FS_API int32_t fs_factor_grid_backward(const fs::FactorCall* call, int32_t device, void* stream, void* workspace,
                                       int64_t workspace_bytes) {
    if (const cudaError_t error = fs::check(*call)) return error;
    const fs::OnDevice on(device);
    if (on.status) return on.status;
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
    const fs::OnDevice on(device);
    if (on.status) return -int64_t(on.status);
    size_t scratch = 0;
    if (const cudaError_t error = fs::sort_bytes(int(fs::points_at_once(*call) << fs::MOST_AXES), scratch))
        return -int64_t(error);
    return 4 * fs::slot_bytes(*call) + int64_t(scratch);
}
