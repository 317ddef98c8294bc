// Sums of products of interpolated grids on the CPU. An entry's features are contiguous, and SIMD vectors run along
// them: a corner of a cell is one load.
//
// Gradients of the tables need neither atomics nor copies. Every grid is partitioned along its slowest axis, the points
// of a tile are listed by partition, and each partition is summed by one thread in the order of the points. So a sum
// does not depend on the number of threads, and a partition stays in the cache.
#pragma once

#include "factor_grid_types.h"

#include <type_traits>

#include "grid_rows.h"
#include "parallel.h"

namespace fs::FS_ISA {
namespace {

constexpr int TILE = 512;  // points processed together
constexpr int MAX_PARTITIONS = 16;
constexpr int PREFETCH_DISTANCE = 8;   // points between the prefetch of a table entry and its use
constexpr int64_t L2_BYTES = 1 << 18;  // grids up to this size stay in the second-level cache and are not prefetched
constexpr int64_t CHUNK_BYTES = int64_t(4) << 20;  // data stored between the two passes over a chunk of points

// An integer known at compile time.
template <int n>
using Constant = std::integral_constant<int, n>;

// Sum of the first F lanes.
template <int F, class V>
FS_HOST_DEVICE auto total(const V& lanes) {
    if constexpr (F == 1) {
        return lanes[0];
    } else if constexpr (F == 2) {
        return lanes[0] + lanes[1];
    } else {
        using T = std::remove_reference_t<decltype(lanes[0])>;
        typedef std::remove_const_t<T> Half __attribute__((vector_size(F / 2 * sizeof(T))));
        Half low, high;
        __builtin_memcpy(&low, &lanes, sizeof(Half));
        __builtin_memcpy(&high, reinterpret_cast<const char*>(&lanes) + sizeof(Half), sizeof(Half));
        return total<F / 2>(Half(low + high));
    }
}

// The arithmetic of a call: with plain values (first order), or with dual numbers (second order).
template <class T, int F, bool second_order>
struct Arithmetic {
    using Lanes = typename Row<T, F>::Lanes;
    using Scalar = T;
    using Vector = Lanes;
    FS_HOST_DEVICE static T constant(double value) { return T(value); }
    FS_HOST_DEVICE static T make(T value, T) { return value; }
    FS_HOST_DEVICE static Lanes load(const T* value, const T*, int64_t at) { return Row<T, F>::load(value + at); }
    FS_HOST_DEVICE static void store(T* value, T*, int64_t at, Lanes v) { Row<T, F>::store(value + at, v); }
    FS_HOST_DEVICE static Lanes scaled(Lanes v, T s) { return v * s; }
    FS_HOST_DEVICE static Lanes add_scaled(Lanes sum, Lanes v, T s) { return multiply_add(v, Lanes{} + s, sum); }
    FS_HOST_DEVICE static T dot(Lanes a, Lanes b) { return total<F>(Lanes(a * b)); }
    FS_HOST_DEVICE static T result(T s) { return s; }
    FS_HOST_DEVICE static Lanes result(Lanes v) { return v; }
};
template <class T, int F>
struct Arithmetic<T, F, true> {
    using Lanes = typename Row<T, F>::Lanes;
    using Scalar = Dual<T>;
    using Vector = Dual<Lanes>;
    FS_HOST_DEVICE static Scalar constant(double value) { return {T(value), T(0)}; }
    FS_HOST_DEVICE static Scalar make(T value, T tangent) { return {value, tangent}; }
    FS_HOST_DEVICE static Vector load(const T* value, const T* tangent, int64_t at) {
        return {Row<T, F>::load(value + at), tangent ? Row<T, F>::load(tangent + at) : Lanes{}};
    }
    FS_HOST_DEVICE static void store(T* value, T* tangent, int64_t at, Vector v) {
        Row<T, F>::store(value + at, v.value);
        Row<T, F>::store(tangent + at, v.tangent);
    }
    FS_HOST_DEVICE static Vector scaled(Vector v, Scalar s) {
        return {v.value * s.value, v.tangent * s.value + v.value * s.tangent};
    }
    FS_HOST_DEVICE static Vector add_scaled(Vector sum, Vector v, Scalar s) { return sum + scaled(v, s); }
    FS_HOST_DEVICE static Scalar dot(Vector a, Vector b) {
        return {total<F>(Lanes(a.value * b.value)), total<F>(Lanes(a.value * b.tangent + a.tangent * b.value))};
    }
    // The result of a second-order call is the tangent.
    FS_HOST_DEVICE static T result(Scalar s) { return s.tangent; }
    FS_HOST_DEVICE static Lanes result(Vector v) { return v.tangent; }
};

// Rows of values. `tangent` is null in first-order calls and where the tangent is zero.
template <class T>
struct DualRows {
    T *value, *tangent;
    int64_t stride;
};

// Positions of a tile's points. For each grid axis: the cell, the fraction, the fraction's derivative along the
// direction, and its derivative by the coordinate. For each factor: the entry of the lowest corner. Each is an array of
// TILE values.
template <class T>
struct Positions {
    int32_t *cell, *entry;
    T *fraction, *tangent, *slope;
};

// The points of a tile by partition, for each factor: order[start[s] .. start[s + 1] - 1], in the order of the points.
// A cell that crosses a border between partitions is in both.
struct PartitionLists {
    uint16_t* order;  // [factors][2 * TILE]
    uint16_t* start;  // [factors][MAX_PARTITIONS + 1]
};

// A partition is 2^shift rows along the slowest axis.
inline int partition_shift(int nodes) {
    int shift = 0;
    while (((nodes - 1) >> shift) >= MAX_PARTITIONS) ++shift;
    return shift;
}
inline int partition_count(int nodes) { return ((nodes - 1) >> partition_shift(nodes)) + 1; }

template <class T, bool second_order>
struct Grids {
    const FactorCall& call;
    const T* coords = static_cast<const T*>(call.coords);
    const T* direction = static_cast<const T*>(call.direction);
    const T* table = static_cast<const T*>(call.table);
    const T* rows = static_cast<const T*>(call.rows);
    const T* grad = static_cast<const T*>(call.grad);
    const int C = call.features;
    const int64_t width = int64_t(call.slots) * C;

    static int64_t padded(int64_t bytes) { return (bytes + 63) / 64 * 64; }
    static int tile_size(int64_t points, int64_t first) { return int(points - first < TILE ? points - first : TILE); }

    // Hands out blocks of one piece of memory.
    struct Arena {
        char* at;
        template <class X>
        X* take(int64_t count) {
            char* block = at;
            at += padded(count * int64_t(sizeof(X)));
            return reinterpret_cast<X*>(block);
        }
    };

    int64_t position_bytes() const {
        return call.grid_axes * (padded(TILE * 4) + 3 * padded(TILE * sizeof(T))) + call.factors * padded(TILE * 4);
    }
    Positions<T> take_positions(Arena& arena) const {
        Positions<T> positions;
        positions.cell = arena.template take<int32_t>(int64_t(call.grid_axes) * TILE);
        positions.entry = arena.template take<int32_t>(int64_t(call.factors) * TILE);
        positions.fraction = arena.template take<T>(int64_t(call.grid_axes) * TILE);
        positions.tangent = arena.template take<T>(int64_t(call.grid_axes) * TILE);
        positions.slope = arena.template take<T>(int64_t(call.grid_axes) * TILE);
        return positions;
    }

    void find_positions(int64_t first, int points, const Positions<T>& positions) const {
        const int D = call.dimensions;
        for (int r = 0; r < call.grid_axes; ++r) {
            const GridAxis& grid_axis = call.grid_axis[r];
            int32_t* cell = positions.cell + r * TILE;
            T *fraction = positions.fraction + r * TILE, *tangent = positions.tangent + r * TILE,
              *slope = positions.slope + r * TILE;
            const T* from = coords + first * D + grid_axis.axis;
            for (int p = 0; p < points; ++p)
                locate_on_axis(grid_axis, from[int64_t(p) * D], cell[p], fraction[p], slope[p]);
            if (!second_order) continue;
            const T* along = direction ? direction + first * D + grid_axis.axis : nullptr;
            for (int p = 0; p < points; ++p) tangent[p] = along ? slope[p] * along[int64_t(p) * D] : T(0);
        }
        for (int f = 0; f < call.factors; ++f) {
            const Factor& factor = call.factor[f];
            int32_t* entry = positions.entry + f * TILE;
            for (int p = 0; p < points; ++p) entry[p] = int32_t(factor.offset);
            for (int i = 0; i < factor.axes; ++i) {
                const int32_t* cell = positions.cell + factor.grid_axis[i] * TILE;
                const int32_t stride = factor.stride[i];
                for (int p = 0; p < points; ++p) entry[p] += cell[p] * stride;
            }
        }
    }

    // A factor over A axes and F of its channels, from channel c on.
    template <int A, int F>
    struct View {
        using N = Arithmetic<T, F, second_order>;
        using Scalar = typename N::Scalar;
        using Vector = typename N::Vector;

        const int32_t* entry;
        const int32_t* last_cell;  // cell along the slowest axis
        const T *fraction[A], *tangent[A], *slope[A];
        int64_t corner_offset[1 << A];  // values from the lowest corner to each corner
        int64_t features;
        bool prefetching;  // the grid is too large for the cache

        View(const FactorCall& call, int f, const Positions<T>& positions) {
            const Factor& factor = call.factor[f];
            features = call.features;
            entry = positions.entry + f * TILE;
            last_cell = positions.cell + factor.grid_axis[A - 1] * TILE;
            corner_offset[0] = 0;
            for (int i = 0; i < A; ++i) {
                const int r = factor.grid_axis[i];
                fraction[i] = positions.fraction + r * TILE;
                tangent[i] = positions.tangent + r * TILE;
                slope[i] = positions.slope + r * TILE;
                const int64_t stride = call.grid_axis[r].nodes > 1 ? factor.stride[i] * features : 0;
                for (int c = 0; c < (1 << i); ++c) corner_offset[c | (1 << i)] = corner_offset[c] + stride;
            }
            const int64_t entries = int64_t(factor.stride[A - 1]) * factor.nodes;
            prefetching = entries * features * int64_t(sizeof(T)) > L2_BYTES;
        }

        FS_HOST_DEVICE void fractions(int p, Scalar (&lower)[A], Scalar (&upper)[A]) const {
            for (int i = 0; i < A; ++i) {
                upper[i] = N::make(fraction[i][p], second_order ? tangent[i][p] : T(0));
                lower[i] = N::make(T(1) - fraction[i][p], second_order ? -tangent[i][p] : T(0));
            }
        }
        FS_HOST_DEVICE void weights(int p, Scalar (&weight)[1 << A]) const {
            Scalar lower[A], upper[A];
            fractions(p, lower, upper);
            corner_weights<A>(lower, upper, weight);
        }
        FS_HOST_DEVICE void prefetch(const T* values, int p) const {
            const T* at = values + entry[p] * features;
            for (int c = 0; c < (1 << A); ++c) __builtin_prefetch(at + corner_offset[c]);
        }
    };

    enum Combine { set, multiply, add };

    // Writes the factor's value at every point to rows `to`.
    template <int A, int F>
    void interpolate(int f, int c, const Positions<T>& positions, int points, Combine combine,
                     const DualRows<T>& to) const {
        using N = Arithmetic<T, F, second_order>;
        const View<A, F> view(call, f, positions);
        for (int p = 0; p < points; ++p) {
            if (view.prefetching && p + PREFETCH_DISTANCE < points) view.prefetch(table + c, p + PREFETCH_DISTANCE);
            typename N::Scalar weight[1 << A];
            view.weights(p, weight);
            const int64_t from = view.entry[p] * view.features + c;
            auto sum = N::scaled(N::load(table, rows, from), weight[0]);
            for (int k = 1; k < (1 << A); ++k)
                sum = N::add_scaled(sum, N::load(table, rows, from + view.corner_offset[k]), weight[k]);
            const int64_t at = p * to.stride;
            if (combine == multiply) sum = sum * N::load(to.value, to.tangent, at);
            if (combine == add) sum = sum + N::load(to.value, to.tangent, at);
            N::store(to.value, to.tangent, at, sum);
        }
    }

    // Adds the derivative of <grad, the factor's value> by each coordinate to sums[axis][p].
    template <int A, int F>
    void add_slopes(int f, int c, const Positions<T>& positions, int points, const DualRows<const T>& grads,
                    T* sums) const {
        using N = Arithmetic<T, F, second_order>;
        const View<A, F> view(call, f, positions);
        for (int p = 0; p < points; ++p) {
            typename N::Scalar lower[A], upper[A], weight[1 << A];
            view.fractions(p, lower, upper);
            const int64_t from = view.entry[p] * view.features + c;
            const auto g = N::load(grads.value, grads.tangent, p * grads.stride + c);
            for (int i = 0; i < A; ++i) {
                const auto low = lower[i], high = upper[i];
                lower[i] = N::constant(-1), upper[i] = N::constant(1);
                corner_weights<A>(lower, upper, weight);
                lower[i] = low, upper[i] = high;
                auto sum = N::scaled(N::load(table, rows, from), weight[0]);
                for (int k = 1; k < (1 << A); ++k)
                    sum = N::add_scaled(sum, N::load(table, rows, from + view.corner_offset[k]), weight[k]);
                const int axis = call.grid_axis[call.factor[f].grid_axis[i]].axis;
                sums[axis * TILE + p] += N::result(N::dot(sum, g)) * view.slope[i][p];
            }
        }
    }

    // Adds the gradients of a list of points to the rows of one partition.
    template <int A, int F>
    void scatter(int f, int c, const Positions<T>& positions, const DualRows<const T>& grads, const uint16_t* order,
                 int count, int first_row, int rows_end) const {
        using N = Arithmetic<T, F, second_order>;
        const View<A, F> view(call, f, positions);
        T* const to = static_cast<T*>(call.grad_table);
        constexpr int half = (1 << A) / 2;
        for (int n = 0; n < count; ++n) {
            if (n + PREFETCH_DISTANCE < count) {
                const int next = order[n + PREFETCH_DISTANCE];
                __builtin_prefetch(grads.value + next * grads.stride + c);
                if (view.prefetching) view.prefetch(to + c, next);
            }
            const int p = order[n];
            typename N::Scalar weight[1 << A];
            view.weights(p, weight);
            const auto g = N::load(grads.value, grads.tangent, p * grads.stride + c);
            T* const at = to + view.entry[p] * view.features + c;
            const int row = view.last_cell[p];
            const auto add_to = [&](int k) {
                T* const corner = at + view.corner_offset[k];
                if constexpr (second_order) {
                    Row<T, F>::store(corner, Row<T, F>::load(corner) + N::result(N::scaled(g, weight[k])));
                } else {
                    Row<T, F>::store(corner, N::add_scaled(Row<T, F>::load(corner), g, weight[k]));
                }
            };
            if (row >= first_row)
                for (int k = 0; k < half; ++k) add_to(k);
            if (row + 1 < rows_end)
                for (int k = half; k < (1 << A); ++k) add_to(k);
        }
    }

    // Channels are processed in blocks: of the SIMD width while there are enough, then of the smaller sizes that are
    // compiled. float64 is used for gradient checks only, so it has fewer sizes.
    static constexpr bool compiled(int lanes) {
        if (sizeof(T) == 8) return lanes == 1 || lanes == (WIDTH<T> < 4 ? WIDTH<T> : 4);
        return lanes == 1 || lanes == 4 || lanes == WIDTH<T> || (lanes == 2 && !second_order);
    }
    static int block_of(int channels) {
        int lanes = WIDTH<T>;
        while (lanes > channels || !compiled(lanes)) lanes /= 2;
        return lanes;
    }
    template <class Action>
    static void with_block(int lanes, const Action& action) {
        switch (lanes) {
            case 1: return action(Constant<1>());
            case 2:
                if constexpr (compiled(2)) return action(Constant<2>());
                break;
            case 4:
                if constexpr (compiled(4)) return action(Constant<4>());
                break;
            case 8:
                if constexpr (compiled(8)) return action(Constant<8>());
                break;
            case 16:
                if constexpr (compiled(16)) return action(Constant<16>());
                break;
        }
    }
    // Calls action(A, F) with the factor's number of axes and the block's number of channels.
    template <class Action>
    void with_axes(int f, int lanes, const Action& action) const {
        with_block(lanes, [&](auto F) {
            switch (call.factor[f].axes) {
                case 1: return action(Constant<1>(), F);
                case 2: return action(Constant<2>(), F);
                case 3: return action(Constant<3>(), F);
                case 4: return action(Constant<4>(), F);
            }
        });
    }

    // Writes the features of a tile to the output. `product` has room for the rows of one product.
    void forward_tile(int64_t first, int points, const Positions<T>& positions, const DualRows<T>& product) const {
        find_positions(first, points, positions);
        T* const out = static_cast<T*>(call.output) + first * width;
        // A second-order call returns tangents, and computing them takes the values as well.
        for (int g = 0; g < call.products; ++g) {
            const Product& factors = call.product[g];
            const bool begins = g == 0 || call.product[g - 1].slot != factors.slot;
            const bool direct = !second_order && factors.count == 1;
            for (int c = 0, lanes; c < C; c += lanes) {
                lanes = block_of(C - c);
                T* const to = out + int64_t(factors.slot) * C + c;
                for (int k = 0; k < factors.count; ++k) {
                    const Combine combine = direct ? (begins ? set : add) : k == 0 ? set : multiply;
                    const DualRows<T> rows_to = direct ? DualRows<T>{to, nullptr, width} : product;
                    const int f = factors.first + k;
                    with_axes(f, lanes, [&](auto A, auto F) {
                        interpolate<A(), F()>(f, c, positions, points, combine, rows_to);
                    });
                }
                if (direct) continue;
                const T* from = second_order ? product.tangent : product.value;
                for (int p = 0; p < points; ++p)
                    for (int i = 0; i < lanes; ++i) {
                        const T value = from[p * product.stride + i];
                        to[p * width + i] = begins ? value : to[p * width + i] + value;
                    }
            }
        }
    }

    void forward() const {
        advise_huge_pages(call.output, size_t(call.points) * width * sizeof(T));
        const int64_t tiles = (call.points + TILE - 1) / TILE;
        parallel(call.num_threads, [&](int thread) {
            const int64_t row_bytes = padded(TILE * WIDTH<T> * sizeof(T));
            Arena arena{static_cast<char*>(scratch(0, size_t(position_bytes() + 2 * row_bytes)))};
            const Positions<T> positions = take_positions(arena);
            T* const value = arena.template take<T>(TILE * WIDTH<T>);
            const DualRows<T> product = {value, arena.template take<T>(TILE * WIDTH<T>), WIDTH<T>};
            const Range part = range_of(tiles, call.num_threads, thread);
            for (int64_t t = part.first; t < part.last; ++t)
                forward_tile(t * TILE, tile_size(call.points, t * TILE), positions, product);
        });
    }

    // What the first pass stores of a tile for the second pass.
    struct SavedTile {
        Positions<T> positions;
        PartitionLists lists;
        T* factor_grads;  // [factors][1 or 2][TILE][C], for factors in products of more than one
    };

    bool has_cofactors(int f) const { return product_of(f).count > 1; }
    const Product& product_of(int f) const {
        int g = 0;
        while (call.product[g].first + call.product[g].count <= f) ++g;
        return call.product[g];
    }
    // Number of factors before f that have cofactors: others in the same product.
    int cofactors_before(int f) const {
        int count = 0;
        for (int g = 0; g < call.products && call.product[g].first < f; ++g)
            if (call.product[g].count > 1)
                count += call.product[g].count < f - call.product[g].first ? call.product[g].count
                                                                           : f - call.product[g].first;
        return count;
    }
    int64_t factor_grad_size() const { return (second_order ? 2 : 1) * int64_t(TILE) * C; }

    int64_t saved_bytes() const {
        return position_bytes() + call.factors * (padded(2 * TILE * 2) + padded((MAX_PARTITIONS + 1) * 2)) +
               padded(cofactors_before(call.factors) * factor_grad_size() * int64_t(sizeof(T)));
    }
    SavedTile saved_at(char* memory) const {
        Arena arena{memory};
        SavedTile saved;
        saved.positions = take_positions(arena);
        saved.lists.order = arena.template take<uint16_t>(int64_t(call.factors) * 2 * TILE);
        saved.lists.start = arena.template take<uint16_t>(int64_t(call.factors) * (MAX_PARTITIONS + 1));
        saved.factor_grads = arena.template take<T>(cofactors_before(call.factors) * factor_grad_size());
        return saved;
    }

    // The gradient of a factor's value; where the factor is a product by itself, that is the gradient of the output.
    DualRows<T> own_grads(int f, const SavedTile& saved) const {
        T* const value = saved.factor_grads + cofactors_before(f) * factor_grad_size();
        return {value, second_order ? value + int64_t(TILE) * C : nullptr, C};
    }
    DualRows<const T> grads_of(int f, int64_t first, const SavedTile& saved) const {
        if (!has_cofactors(f)) return {grad + first * width + int64_t(product_of(f).slot) * C, nullptr, width};
        const DualRows<T> own = own_grads(f, saved);
        return {own.value, own.tangent, own.stride};
    }

    // Replaces the factors' values by their gradients, in place: `grad` times the values of all other factors.
    template <int F>
    void product_gradients(const Product& product, int c, int64_t first, int points, const SavedTile& saved) const {
        using N = Arithmetic<T, F, second_order>;
        DualRows<T> own[MAX_FACTORS_PER_PRODUCT];
        for (int k = 0; k < product.count; ++k) own[k] = own_grads(product.first + k, saved);
        const T* const from = grad + first * width + int64_t(product.slot) * C + c;
        for (int p = 0; p < points; ++p) {
            typename N::Vector value[MAX_FACTORS_PER_PRODUCT];
            const int64_t at = int64_t(p) * C + c;
            for (int k = 0; k < product.count; ++k) value[k] = N::load(own[k].value, own[k].tangent, at);
            auto before = N::load(from, nullptr, p * width);
            for (int k = 0; k < product.count; ++k) {
                N::store(own[k].value, own[k].tangent, at, before);
                before = before * value[k];
            }
            auto after = value[product.count - 1];
            for (int k = product.count - 2; k >= 0; --k) {
                N::store(own[k].value, own[k].tangent, at, N::load(own[k].value, own[k].tangent, at) * after);
                after = after * value[k];
            }
        }
    }

    void list_points(int points, const SavedTile& saved) const {
        for (int f = 0; f < call.factors; ++f) {
            const Factor& factor = call.factor[f];
            const int32_t* cell = saved.positions.cell + factor.grid_axis[factor.axes - 1] * TILE;
            uint16_t* const order = saved.lists.order + f * 2 * TILE;
            uint16_t* const start = saved.lists.start + f * (MAX_PARTITIONS + 1);
            const int shift = partition_shift(factor.nodes), last = factor.nodes - 1;
            int next[MAX_PARTITIONS] = {};
            const auto upper_partition = [&](int32_t row) { return (row + 1 > last ? last : row + 1) >> shift; };
            for (int p = 0; p < points; ++p) {
                const int low = cell[p] >> shift, high = upper_partition(cell[p]);
                ++next[low];
                next[high] += high != low;
            }
            int sum = 0;
            for (int s = 0; s < MAX_PARTITIONS; ++s) {
                const int count = next[s];
                start[s] = uint16_t(sum);
                next[s] = sum;
                sum += count;
            }
            start[MAX_PARTITIONS] = uint16_t(sum);
            for (int p = 0; p < points; ++p) {
                const int low = cell[p] >> shift, high = upper_partition(cell[p]);
                order[next[low]++] = uint16_t(p);
                if (high != low) order[next[high]++] = uint16_t(p);
            }
        }
    }

    // The first pass over a tile: positions, lists, gradients of the factors' values, and gradients of the coordinates.
    void first_pass(int64_t first, int points, const SavedTile& saved) const {
        find_positions(first, points, saved.positions);
        if (call.grad_table) list_points(points, saved);
        for (int g = 0; g < call.products; ++g) {
            const Product& product = call.product[g];
            if (product.count == 1) continue;
            for (int c = 0, lanes; c < C; c += lanes) {
                lanes = block_of(C - c);
                for (int k = 0; k < product.count; ++k) {
                    const int f = product.first + k;
                    const DualRows<T> own = own_grads(f, saved);
                    const DualRows<T> to = {own.value + c, second_order ? own.tangent + c : nullptr, own.stride};
                    with_axes(f, lanes,
                              [&](auto A, auto F) { interpolate<A(), F()>(f, c, saved.positions, points, set, to); });
                }
                with_block(lanes, [&](auto F) { product_gradients<F()>(product, c, first, points, saved); });
            }
        }
        if (call.grad_coords) coords_gradient(first, points, saved);
    }

    void coords_gradient(int64_t first, int points, const SavedTile& saved) const {
        const int D = call.dimensions;
        T* const sums = static_cast<T*>(scratch(1, size_t(D) * TILE * sizeof(T)));
        for (int i = 0; i < D * TILE; ++i) sums[i] = T(0);
        for (int f = 0; f < call.factors; ++f) {
            const DualRows<const T> grads = grads_of(f, first, saved);
            for (int c = 0, lanes; c < C; c += lanes) {
                lanes = block_of(C - c);
                with_axes(f, lanes,
                          [&](auto A, auto F) { add_slopes<A(), F()>(f, c, saved.positions, points, grads, sums); });
            }
        }
        T* const out = static_cast<T*>(call.grad_coords) + first * D;
        for (int p = 0; p < points; ++p)
            for (int axis = 0; axis < D; ++axis) out[p * D + axis] = sums[axis * TILE + p];
    }

    // The second pass, over one partition of one factor.
    void sum_partition(int f, int s, int64_t begin, int64_t end, char* memory) const {
        const Factor& factor = call.factor[f];
        const int rows = 1 << partition_shift(factor.nodes), first_row = s * rows;
        for (int c = 0, lanes; c < C; c += lanes) {
            lanes = block_of(C - c);
            for (int64_t first = begin; first < end; first += TILE) {
                const SavedTile saved = saved_at(memory + (first - begin) / TILE * saved_bytes());
                const uint16_t* const start = saved.lists.start + f * (MAX_PARTITIONS + 1) + s;
                const uint16_t* const order = saved.lists.order + f * 2 * TILE + start[0];
                const DualRows<const T> grads = grads_of(f, first, saved);
                with_axes(f, lanes, [&](auto A, auto F) {
                    scatter<A(), F()>(f, c, saved.positions, grads, order, start[1] - start[0], first_row,
                                      first_row + rows);
                });
            }
        }
    }

    void clear_partition(int f, int s) const {
        const Factor& factor = call.factor[f];
        const int rows = 1 << partition_shift(factor.nodes), first = s * rows;
        const int end = first + rows < factor.nodes ? first + rows : factor.nodes;
        const int64_t row = int64_t(factor.stride[factor.axes - 1]) * C;
        T* const to = static_cast<T*>(call.grad_table) + factor.offset * C;
        __builtin_memset(to + first * row, 0, size_t((end - first) * row) * sizeof(T));
    }

    template <class Action>
    void for_each_partition(const Action& action) const {
        int count = 0;
        for (int f = 0; f < call.factors; ++f) count += partition_count(call.factor[f].nodes);
        parallel_for(count, call.num_threads, [&](int index) {
            int f = 0;
            for (; index >= partition_count(call.factor[f].nodes); ++f) index -= partition_count(call.factor[f].nodes);
            action(f, index);
        });
    }

    void backward() const {
        if (call.grad_table) {
            advise_huge_pages(call.grad_table, size_t(call.entries) * C * sizeof(T));
            for_each_partition([&](int f, int s) { clear_partition(f, s); });
        }
        const int64_t bytes = saved_bytes();
        int64_t tiles = CHUNK_BYTES / bytes;
        if (tiles < 2 * call.num_threads) tiles = 2 * call.num_threads;
        if (tiles > (call.points + TILE - 1) / TILE) tiles = (call.points + TILE - 1) / TILE;
        char* const memory = static_cast<char*>(scratch(0, size_t(tiles * bytes)));
        for (int64_t begin = 0; begin < call.points; begin += tiles * TILE) {
            const int64_t end = begin + tiles * TILE < call.points ? begin + tiles * TILE : call.points;
            parallel_for(int((end - begin + TILE - 1) / TILE), call.num_threads, [&](int t) {
                first_pass(begin + int64_t(t) * TILE, tile_size(end, begin + int64_t(t) * TILE),
                           saved_at(memory + t * bytes));
            });
            if (call.grad_table) for_each_partition([&](int f, int s) { sum_partition(f, s, begin, end, memory); });
        }
    }
};

}  // namespace

template <class T>
void FactorGrids<T>::forward(const FactorCall& call) {
    call.direction || call.rows ? Grids<T, true>{call}.forward() : Grids<T, false>{call}.forward();
}

template <class T>
void FactorGrids<T>::backward(const FactorCall& call) {
    call.direction || call.rows ? Grids<T, true>{call}.backward() : Grids<T, false>{call}.backward();
}

}  // namespace fs::FS_ISA
