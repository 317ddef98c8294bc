// Sums of products of interpolated grids on the CPU. An entry's features lie side by side, so the vectors run along
// them: a corner of a cell is one load.
//
// Gradients of the tables need no atomics and no copies: every grid is cut into slabs along its slowest axis, the
// points of a tile are listed by slab, and a slab is summed by one thread in the order of the points. So a sum does not
// depend on how many threads there are, and a slab stays in the cache.
#include "factor_grid.h"

#include <type_traits>

#include "grid_rows.h"
#include "parallel.h"

namespace fs::FS_ISA {
namespace {

constexpr int TILE = 512;  // points
constexpr int MOST_SLABS = 16;
constexpr int AHEAD = 8;                           // points that tables are asked for ahead of use
constexpr int64_t NEAR_BYTES = 1 << 18;            // of a grid that stays in the second-level cache without being asked
constexpr int64_t CHUNK_BYTES = int64_t(4) << 20;  // of what is kept between the two passes over a chunk

// A whole number that is known at compile time.
template <int n>
using Whole = std::integral_constant<int, n>;

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

// The arithmetic of a call, once with plain numbers (first order) and once with numbers that carry their change.
template <class T, int F, bool second>
struct Numbers {
    using Lanes = typename Row<T, F>::Lanes;
    using Scalar = T;
    using Vector = Lanes;
    FS_HOST_DEVICE static T constant(double value) { return T(value); }
    FS_HOST_DEVICE static T number(T value, T) { return value; }
    FS_HOST_DEVICE static Lanes load(const T* value, const T*, int64_t at) { return Row<T, F>::load(value + at); }
    FS_HOST_DEVICE static void store(T* value, T*, int64_t at, Lanes v) { Row<T, F>::store(value + at, v); }
    FS_HOST_DEVICE static Lanes scaled(Lanes v, T s) { return v * s; }
    FS_HOST_DEVICE static Lanes add_scaled(Lanes sum, Lanes v, T s) { return multiply_add(v, Lanes{} + s, sum); }
    FS_HOST_DEVICE static T dot(Lanes a, Lanes b) { return total<F>(Lanes(a * b)); }
    FS_HOST_DEVICE static T result(T s) { return s; }
    FS_HOST_DEVICE static Lanes result(Lanes v) { return v; }
};
template <class T, int F>
struct Numbers<T, F, true> {
    using Lanes = typename Row<T, F>::Lanes;
    using Scalar = Dual<T>;
    using Vector = Dual<Lanes>;
    FS_HOST_DEVICE static Scalar constant(double value) { return {T(value), T(0)}; }
    FS_HOST_DEVICE static Scalar number(T value, T change) { return {value, change}; }
    FS_HOST_DEVICE static Vector load(const T* value, const T* change, int64_t at) {
        return {Row<T, F>::load(value + at), change ? Row<T, F>::load(change + at) : Lanes{}};
    }
    FS_HOST_DEVICE static void store(T* value, T* change, int64_t at, Vector v) {
        Row<T, F>::store(value + at, v.value);
        Row<T, F>::store(change + at, v.change);
    }
    FS_HOST_DEVICE static Vector scaled(Vector v, Scalar s) {
        return {v.value * s.value, v.change * s.value + v.value * s.change};
    }
    FS_HOST_DEVICE static Vector add_scaled(Vector sum, Vector v, Scalar s) { return sum + scaled(v, s); }
    FS_HOST_DEVICE static Scalar dot(Vector a, Vector b) {
        return {total<F>(Lanes(a.value * b.value)), total<F>(Lanes(a.value * b.change + a.change * b.value))};
    }
    // What the call asks for: the change.
    FS_HOST_DEVICE static T result(Scalar s) { return s.change; }
    FS_HOST_DEVICE static Lanes result(Vector v) { return v.change; }
};

// Rows of numbers: `change` is null in the first order, and where nothing changes.
template <class T>
struct Rows_ {
    T *value, *change;
    int64_t stride;
};

// What is known of a tile's points: by ruler the cell, the share, how that changes along the direction, and with the
// coordinate; by factor the entry of the lowest corner. Each is an array of TILE.
template <class T>
struct Places {
    int32_t *cell, *entry;
    T *share, *change, *slope;
};

// The points of a tile by slab, for each factor: order[start[s] .. start[s + 1]), in the order of the points. A cell
// that lies across a border is in both slabs.
struct Lists {
    uint16_t* order;  // [factors][2 * TILE]
    uint16_t* start;  // [factors][MOST_SLABS + 1]
};

// Slabs are 2^shift rows of the slowest axis.
inline int slab_shift(int nodes) {
    int shift = 0;
    while (((nodes - 1) >> shift) >= MOST_SLABS) ++shift;
    return shift;
}
inline int slab_count(int nodes) { return ((nodes - 1) >> slab_shift(nodes)) + 1; }

template <class T, bool second>
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

    // Memory is handed out piece by piece.
    struct Pieces {
        char* at;
        template <class X>
        X* take(int64_t count) {
            char* piece = at;
            at += padded(count * int64_t(sizeof(X)));
            return reinterpret_cast<X*>(piece);
        }
    };

    int64_t place_bytes() const {
        return call.rulers * (padded(TILE * 4) + 3 * padded(TILE * sizeof(T))) + call.factors * padded(TILE * 4);
    }
    Places<T> take_places(Pieces& pieces) const {
        Places<T> places;
        places.cell = pieces.take<int32_t>(int64_t(call.rulers) * TILE);
        places.entry = pieces.take<int32_t>(int64_t(call.factors) * TILE);
        places.share = pieces.take<T>(int64_t(call.rulers) * TILE);
        places.change = pieces.take<T>(int64_t(call.rulers) * TILE);
        places.slope = pieces.take<T>(int64_t(call.rulers) * TILE);
        return places;
    }

    void find_places(int64_t first, int points, const Places<T>& places) const {
        const int D = call.dimensions;
        for (int r = 0; r < call.rulers; ++r) {
            const Ruler& ruler = call.ruler[r];
            int32_t* cell = places.cell + r * TILE;
            T *share = places.share + r * TILE, *change = places.change + r * TILE, *slope = places.slope + r * TILE;
            const T* from = coords + first * D + ruler.axis;
            for (int p = 0; p < points; ++p) place_on(ruler, from[int64_t(p) * D], cell[p], share[p], slope[p]);
            if (!second) continue;
            const T* along = direction ? direction + first * D + ruler.axis : nullptr;
            for (int p = 0; p < points; ++p) change[p] = along ? slope[p] * along[int64_t(p) * D] : T(0);
        }
        for (int f = 0; f < call.factors; ++f) {
            const Factor& factor = call.factor[f];
            int32_t* entry = places.entry + f * TILE;
            for (int p = 0; p < points; ++p) entry[p] = int32_t(factor.offset);
            for (int i = 0; i < factor.axes; ++i) {
                const int32_t* cell = places.cell + factor.ruler[i] * TILE;
                const int32_t step = factor.step[i];
                for (int p = 0; p < points; ++p) entry[p] += cell[p] * step;
            }
        }
    }

    // A factor over A axes, seen by the F channels from c on.
    template <int A, int F>
    struct View {
        using N = Numbers<T, F, second>;
        using Scalar = typename N::Scalar;
        using Vector = typename N::Vector;

        const int32_t* entry;
        const int32_t* last_cell;  // along the slowest axis
        const T *share[A], *change[A], *slope[A];
        int64_t jump[1 << A];  // numbers from the lowest corner to each
        int64_t features;
        bool far;  // too large for the cache

        View(const FactorCall& call, int f, const Places<T>& places) {
            const Factor& factor = call.factor[f];
            features = call.features;
            entry = places.entry + f * TILE;
            last_cell = places.cell + factor.ruler[A - 1] * TILE;
            jump[0] = 0;
            for (int i = 0; i < A; ++i) {
                const int r = factor.ruler[i];
                share[i] = places.share + r * TILE;
                change[i] = places.change + r * TILE;
                slope[i] = places.slope + r * TILE;
                const int64_t step = call.ruler[r].nodes > 1 ? factor.step[i] * features : 0;
                for (int c = 0; c < (1 << i); ++c) jump[c | (1 << i)] = jump[c] + step;
            }
            const int64_t entries = int64_t(factor.step[A - 1]) * factor.nodes;
            far = entries * features * int64_t(sizeof(T)) > NEAR_BYTES;
        }

        FS_HOST_DEVICE void shares(int p, Scalar (&lower)[A], Scalar (&upper)[A]) const {
            for (int i = 0; i < A; ++i) {
                upper[i] = N::number(share[i][p], second ? change[i][p] : T(0));
                lower[i] = N::number(T(1) - share[i][p], second ? -change[i][p] : T(0));
            }
        }
        FS_HOST_DEVICE void weights(int p, Scalar (&weight)[1 << A]) const {
            Scalar lower[A], upper[A];
            shares(p, lower, upper);
            products<A>(lower, upper, weight);
        }
        FS_HOST_DEVICE void ask_for(const T* numbers, int p) const {
            const T* at = numbers + entry[p] * features;
            for (int c = 0; c < (1 << A); ++c) __builtin_prefetch(at + jump[c]);
        }
    };

    enum How { set, multiply, add };

    // The factor's value at every point → rows `to`.
    template <int A, int F>
    void interpolate(int f, int c, const Places<T>& places, int points, How how, const Rows_<T>& to) const {
        using N = Numbers<T, F, second>;
        const View<A, F> view(call, f, places);
        for (int p = 0; p < points; ++p) {
            if (view.far && p + AHEAD < points) view.ask_for(table + c, p + AHEAD);
            typename N::Scalar weight[1 << A];
            view.weights(p, weight);
            const int64_t from = view.entry[p] * view.features + c;
            auto sum = N::scaled(N::load(table, rows, from), weight[0]);
            for (int k = 1; k < (1 << A); ++k)
                sum = N::add_scaled(sum, N::load(table, rows, from + view.jump[k]), weight[k]);
            const int64_t at = p * to.stride;
            if (how == multiply) sum = sum * N::load(to.value, to.change, at);
            if (how == add) sum = sum + N::load(to.value, to.change, at);
            N::store(to.value, to.change, at, sum);
        }
    }

    // sums[axis][p] += what <grad, the factor's value> changes by with each coordinate.
    template <int A, int F>
    void add_slopes(int f, int c, const Places<T>& places, int points, const Rows_<const T>& grads, T* sums) const {
        using N = Numbers<T, F, second>;
        const View<A, F> view(call, f, places);
        for (int p = 0; p < points; ++p) {
            typename N::Scalar lower[A], upper[A], weight[1 << A];
            view.shares(p, lower, upper);
            const int64_t from = view.entry[p] * view.features + c;
            const auto g = N::load(grads.value, grads.change, p * grads.stride + c);
            for (int i = 0; i < A; ++i) {
                const auto low = lower[i], high = upper[i];
                lower[i] = N::constant(-1), upper[i] = N::constant(1);
                products<A>(lower, upper, weight);
                lower[i] = low, upper[i] = high;
                auto sum = N::scaled(N::load(table, rows, from), weight[0]);
                for (int k = 1; k < (1 << A); ++k)
                    sum = N::add_scaled(sum, N::load(table, rows, from + view.jump[k]), weight[k]);
                const int axis = call.ruler[call.factor[f].ruler[i]].axis;
                sums[axis * TILE + p] += N::result(N::dot(sum, g)) * view.slope[i][p];
            }
        }
    }

    // Adds the gradients of a list of points to the rows of one slab.
    template <int A, int F>
    void scatter(int f, int c, const Places<T>& places, const Rows_<const T>& grads, const uint16_t* order, int count,
                 int first_row, int rows_end) const {
        using N = Numbers<T, F, second>;
        const View<A, F> view(call, f, places);
        T* const to = static_cast<T*>(call.grad_table);
        constexpr int half = (1 << A) / 2;
        for (int n = 0; n < count; ++n) {
            if (n + AHEAD < count) {
                const int next = order[n + AHEAD];
                __builtin_prefetch(grads.value + next * grads.stride + c);
                if (view.far) view.ask_for(to + c, next);
            }
            const int p = order[n];
            typename N::Scalar weight[1 << A];
            view.weights(p, weight);
            const auto g = N::load(grads.value, grads.change, p * grads.stride + c);
            T* const at = to + view.entry[p] * view.features + c;
            const int row = view.last_cell[p];
            const auto add_to = [&](int k) {
                T* const corner = at + view.jump[k];
                if constexpr (second) {
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

    // Channels are taken as many at a time as a pack holds, then in the smaller blocks that are compiled (double serves
    // checks alone, so it has fewer).
    static constexpr bool compiled(int wide) {
        if (sizeof(T) == 8) return wide == 1 || wide == (WIDTH<T> < 4 ? WIDTH<T> : 4);
        return wide == 1 || wide == 4 || wide == WIDTH<T> || (wide == 2 && !second);
    }
    static int block_of(int channels) {
        int wide = WIDTH<T>;
        while (wide > channels || !compiled(wide)) wide /= 2;
        return wide;
    }
    template <class Action>
    static void with_block(int wide, const Action& action) {
        switch (wide) {
            case 1: return action(Whole<1>());
            case 2:
                if constexpr (compiled(2)) return action(Whole<2>());
                break;
            case 4:
                if constexpr (compiled(4)) return action(Whole<4>());
                break;
            case 8:
                if constexpr (compiled(8)) return action(Whole<8>());
                break;
            case 16:
                if constexpr (compiled(16)) return action(Whole<16>());
                break;
        }
    }
    // Calls action(A, F) with the factor's number of axes and that of the channels.
    template <class Action>
    void with_axes(int f, int wide, const Action& action) const {
        with_block(wide, [&](auto F) {
            switch (call.factor[f].axes) {
                case 1: return action(Whole<1>(), F);
                case 2: return action(Whole<2>(), F);
                case 3: return action(Whole<3>(), F);
                case 4: return action(Whole<4>(), F);
            }
        });
    }

    // Features of a tile → rows of the output. `product` has room for the rows of one product.
    void forward_tile(int64_t first, int points, const Places<T>& places, const Rows_<T>& product) const {
        find_places(first, points, places);
        T* const out = static_cast<T*>(call.output) + first * width;
        // In the second order it is the change that is asked for, and values are needed beside it.
        for (int g = 0; g < call.products; ++g) {
            const Product& factors = call.product[g];
            const bool begins = g == 0 || call.product[g - 1].slot != factors.slot;
            const bool direct = !second && factors.count == 1;
            for (int c = 0, wide; c < C; c += wide) {
                wide = block_of(C - c);
                T* const to = out + int64_t(factors.slot) * C + c;
                for (int k = 0; k < factors.count; ++k) {
                    const How how = direct ? (begins ? set : add) : k == 0 ? set : multiply;
                    const Rows_<T> rows_to = direct ? Rows_<T>{to, nullptr, width} : product;
                    const int f = factors.first + k;
                    with_axes(f, wide,
                              [&](auto A, auto F) { interpolate<A(), F()>(f, c, places, points, how, rows_to); });
                }
                if (direct) continue;
                const T* from = second ? product.change : product.value;
                for (int p = 0; p < points; ++p)
                    for (int i = 0; i < wide; ++i) {
                        const T value = from[p * product.stride + i];
                        to[p * width + i] = begins ? value : to[p * width + i] + value;
                    }
            }
        }
    }

    void forward() const {
        expect_writes(call.output, size_t(call.points) * width * sizeof(T));
        const int64_t tiles = (call.points + TILE - 1) / TILE;
        parallel(call.workers, [&](int worker) {
            const int64_t row_bytes = padded(TILE * WIDTH<T> * sizeof(T));
            Pieces pieces{static_cast<char*>(scratch(0, size_t(place_bytes() + 2 * row_bytes)))};
            const Places<T> places = take_places(pieces);
            T* const value = pieces.template take<T>(TILE * WIDTH<T>);
            const Rows_<T> product = {value, pieces.template take<T>(TILE * WIDTH<T>), WIDTH<T>};
            const Part part = part_of(tiles, call.workers, worker);
            for (int64_t t = part.first; t < part.last; ++t)
                forward_tile(t * TILE, tile_size(call.points, t * TILE), places, product);
        });
    }

    // What the first pass over a tile leaves for the second.
    struct Kept {
        Places<T> places;
        Lists lists;
        T* factor_grads;  // [factors][1 or 2][TILE][C], where a factor has others beside it in its product
    };

    bool multiplied(int f) const { return product_of(f).count > 1; }
    const Product& product_of(int f) const {
        int g = 0;
        while (call.product[g].first + call.product[g].count <= f) ++g;
        return call.product[g];
    }
    // Among the factors that have others beside them.
    int multiplied_before(int f) const {
        int count = 0;
        for (int g = 0; g < call.products && call.product[g].first < f; ++g)
            if (call.product[g].count > 1)
                count += call.product[g].count < f - call.product[g].first ? call.product[g].count
                                                                           : f - call.product[g].first;
        return count;
    }
    int64_t grads_of_a_factor() const { return (second ? 2 : 1) * int64_t(TILE) * C; }

    int64_t kept_bytes() const {
        return place_bytes() + call.factors * (padded(2 * TILE * 2) + padded((MOST_SLABS + 1) * 2)) +
               padded(multiplied_before(call.factors) * grads_of_a_factor() * int64_t(sizeof(T)));
    }
    Kept kept_at(char* memory) const {
        Pieces pieces{memory};
        Kept kept;
        kept.places = take_places(pieces);
        kept.lists.order = pieces.template take<uint16_t>(int64_t(call.factors) * 2 * TILE);
        kept.lists.start = pieces.template take<uint16_t>(int64_t(call.factors) * (MOST_SLABS + 1));
        kept.factor_grads = pieces.template take<T>(multiplied_before(call.factors) * grads_of_a_factor());
        return kept;
    }

    // The gradient of a factor's value: of the output itself where the factor stands alone.
    Rows_<T> own_grads(int f, const Kept& kept) const {
        T* const value = kept.factor_grads + multiplied_before(f) * grads_of_a_factor();
        return {value, second ? value + int64_t(TILE) * C : nullptr, C};
    }
    Rows_<const T> grads_of(int f, int64_t first, const Kept& kept) const {
        if (!multiplied(f)) return {grad + first * width + int64_t(product_of(f).slot) * C, nullptr, width};
        const Rows_<T> own = own_grads(f, kept);
        return {own.value, own.change, own.stride};
    }

    // Turns the factors' values, which lie where their gradients go, into these: times `grad` and all others.
    template <int F>
    void multiply_out(const Product& product, int c, int64_t first, int points, const Kept& kept) const {
        using N = Numbers<T, F, second>;
        Rows_<T> own[MOST_IN_A_PRODUCT];
        for (int k = 0; k < product.count; ++k) own[k] = own_grads(product.first + k, kept);
        const T* const from = grad + first * width + int64_t(product.slot) * C + c;
        for (int p = 0; p < points; ++p) {
            typename N::Vector value[MOST_IN_A_PRODUCT];
            const int64_t at = int64_t(p) * C + c;
            for (int k = 0; k < product.count; ++k) value[k] = N::load(own[k].value, own[k].change, at);
            auto before = N::load(from, nullptr, p * width);
            for (int k = 0; k < product.count; ++k) {
                N::store(own[k].value, own[k].change, at, before);
                before = before * value[k];
            }
            auto after = value[product.count - 1];
            for (int k = product.count - 2; k >= 0; --k) {
                N::store(own[k].value, own[k].change, at, N::load(own[k].value, own[k].change, at) * after);
                after = after * value[k];
            }
        }
    }

    void list_points(int points, const Kept& kept) const {
        for (int f = 0; f < call.factors; ++f) {
            const Factor& factor = call.factor[f];
            const int32_t* cell = kept.places.cell + factor.ruler[factor.axes - 1] * TILE;
            uint16_t* const order = kept.lists.order + f * 2 * TILE;
            uint16_t* const start = kept.lists.start + f * (MOST_SLABS + 1);
            const int shift = slab_shift(factor.nodes), last = factor.nodes - 1;
            int next[MOST_SLABS] = {};
            const auto upper_slab = [&](int32_t row) { return (row + 1 > last ? last : row + 1) >> shift; };
            for (int p = 0; p < points; ++p) {
                const int low = cell[p] >> shift, high = upper_slab(cell[p]);
                ++next[low];
                next[high] += high != low;
            }
            int sum = 0;
            for (int s = 0; s < MOST_SLABS; ++s) {
                const int count = next[s];
                start[s] = uint16_t(sum);
                next[s] = sum;
                sum += count;
            }
            start[MOST_SLABS] = uint16_t(sum);
            for (int p = 0; p < points; ++p) {
                const int low = cell[p] >> shift, high = upper_slab(cell[p]);
                order[next[low]++] = uint16_t(p);
                if (high != low) order[next[high]++] = uint16_t(p);
            }
        }
    }

    // The first pass: places, lists, gradients of the factors' values, and those of the coordinates.
    void first_pass(int64_t first, int points, const Kept& kept) const {
        find_places(first, points, kept.places);
        if (call.grad_table) list_points(points, kept);
        for (int g = 0; g < call.products; ++g) {
            const Product& product = call.product[g];
            if (product.count == 1) continue;
            for (int c = 0, wide; c < C; c += wide) {
                wide = block_of(C - c);
                for (int k = 0; k < product.count; ++k) {
                    const int f = product.first + k;
                    const Rows_<T> own = own_grads(f, kept);
                    const Rows_<T> to = {own.value + c, second ? own.change + c : nullptr, own.stride};
                    with_axes(f, wide,
                              [&](auto A, auto F) { interpolate<A(), F()>(f, c, kept.places, points, set, to); });
                }
                with_block(wide, [&](auto F) { multiply_out<F()>(product, c, first, points, kept); });
            }
        }
        if (call.grad_coords) coords_gradient(first, points, kept);
    }

    void coords_gradient(int64_t first, int points, const Kept& kept) const {
        const int D = call.dimensions;
        T* const sums = static_cast<T*>(scratch(1, size_t(D) * TILE * sizeof(T)));
        for (int i = 0; i < D * TILE; ++i) sums[i] = T(0);
        for (int f = 0; f < call.factors; ++f) {
            const Rows_<const T> grads = grads_of(f, first, kept);
            for (int c = 0, wide; c < C; c += wide) {
                wide = block_of(C - c);
                with_axes(f, wide,
                          [&](auto A, auto F) { add_slopes<A(), F()>(f, c, kept.places, points, grads, sums); });
            }
        }
        T* const out = static_cast<T*>(call.grad_coords) + first * D;
        for (int p = 0; p < points; ++p)
            for (int axis = 0; axis < D; ++axis) out[p * D + axis] = sums[axis * TILE + p];
    }

    // The second pass, over one slab of one factor.
    void sum_slab(int f, int s, int64_t begin, int64_t end, char* memory) const {
        const Factor& factor = call.factor[f];
        const int rows = 1 << slab_shift(factor.nodes), first_row = s * rows;
        for (int c = 0, wide; c < C; c += wide) {
            wide = block_of(C - c);
            for (int64_t first = begin; first < end; first += TILE) {
                const Kept kept = kept_at(memory + (first - begin) / TILE * kept_bytes());
                const uint16_t* const start = kept.lists.start + f * (MOST_SLABS + 1) + s;
                const uint16_t* const order = kept.lists.order + f * 2 * TILE + start[0];
                const Rows_<const T> grads = grads_of(f, first, kept);
                with_axes(f, wide, [&](auto A, auto F) {
                    scatter<A(), F()>(f, c, kept.places, grads, order, start[1] - start[0], first_row,
                                      first_row + rows);
                });
            }
        }
    }

    void clear_slab(int f, int s) const {
        const Factor& factor = call.factor[f];
        const int rows = 1 << slab_shift(factor.nodes), first = s * rows;
        const int end = first + rows < factor.nodes ? first + rows : factor.nodes;
        const int64_t row = int64_t(factor.step[factor.axes - 1]) * C;
        T* const to = static_cast<T*>(call.grad_table) + factor.offset * C;
        __builtin_memset(to + first * row, 0, size_t((end - first) * row) * sizeof(T));
    }

    template <class Action>
    void each_slab(const Action& action) const {
        int count = 0;
        for (int f = 0; f < call.factors; ++f) count += slab_count(call.factor[f].nodes);
        for_each(count, call.workers, [&](int index) {
            int f = 0;
            for (; index >= slab_count(call.factor[f].nodes); ++f) index -= slab_count(call.factor[f].nodes);
            action(f, index);
        });
    }

    void backward() const {
        if (call.grad_table) {
            expect_writes(call.grad_table, size_t(call.entries) * C * sizeof(T));
            each_slab([&](int f, int s) { clear_slab(f, s); });
        }
        const int64_t bytes = kept_bytes();
        int64_t tiles = CHUNK_BYTES / bytes;
        if (tiles < 2 * call.workers) tiles = 2 * call.workers;
        if (tiles > (call.points + TILE - 1) / TILE) tiles = (call.points + TILE - 1) / TILE;
        char* const memory = static_cast<char*>(scratch(0, size_t(tiles * bytes)));
        for (int64_t begin = 0; begin < call.points; begin += tiles * TILE) {
            const int64_t end = begin + tiles * TILE < call.points ? begin + tiles * TILE : call.points;
            for_each(int((end - begin + TILE - 1) / TILE), call.workers, [&](int t) {
                first_pass(begin + int64_t(t) * TILE, tile_size(end, begin + int64_t(t) * TILE),
                           kept_at(memory + t * bytes));
            });
            if (call.grad_table) each_slab([&](int f, int s) { sum_slab(f, s, begin, end, memory); });
        }
    }
};

// Runs the action on the instance that the call asks for.
template <class Action>
void with_grids(const FactorCall& call, const Action& action) {
    const bool second = call.direction || call.rows;
    if (call.is_double) {
        second ? action(Grids<double, true>{call}) : action(Grids<double, false>{call});
    } else {
        second ? action(Grids<float, true>{call}) : action(Grids<float, false>{call});
    }
}

}  // namespace

void factor_grid_forward(const FactorCall& call) {
    with_grids(call, [](const auto& grids) { grids.forward(); });
}

void factor_grid_backward(const FactorCall& call) {
    with_grids(call, [](const auto& grids) { grids.backward(); });
}

}  // namespace fs::FS_ISA
