// Sums of products of interpolated grids: what a call says, where a point lies in a grid, and numbers that carry their
// change. Shared by both processors.
#pragma once

#include "grid.h"

namespace fs {

constexpr int MOST_AXES = 4;
constexpr int MOST_IN_A_PRODUCT = 16;

// `RULER_RECORD` in fields/ops/factor_layout.py: along `axis` lie `nodes` nodes, and x at x * scale + shift among them.
struct Ruler {
    int32_t axis, nodes;
    float scale, shift;
};

// `FACTOR_RECORD`: a grid over some axes, its first axis the fastest in memory.
struct Factor {
    int64_t offset;  // first entry in the table
    int32_t axes;
    int32_t ruler[MOST_AXES], step[MOST_AXES];  // of each axis: where it is measured, entries from node to node
    int32_t nodes;                              // along the last axis, the slowest
};

// `PRODUCT_RECORD`: factors first .. first + count - 1, multiplied, then added to a slot.
struct Product {
    int32_t first, count, slot;
};

// What a call is given. The pointers are to float, or to double where is_double; rows are contiguous. Null results are
// not computed. With a direction or rows, each result is how it would change if coords went along the direction and the
// table along the rows: so the gradients of a gradient come from the code of the gradient.
struct FactorCall {
    int32_t dimensions, features, rulers, factors, products, slots, is_double, workers;
    int64_t points, entries;
    const Ruler* ruler;
    const Factor* factor;
    const Product* product;
    const void* coords;     // [points, dimensions]
    const void* table;      // [entries, features]
    const void* grad;       // [points, slots * features], gradient of the output
    const void* direction;  // [points, dimensions]
    const void* rows;       // [entries, features]
    void* output;           // [points, slots * features]
    void* grad_coords;      // [points, dimensions]
    void* grad_table;       // [entries, features]
};

// A number, or vector, and how it changes.
template <class X>
struct Dual {
    X value, change;
};
template <class X>
FS_HOST_DEVICE Dual<X> operator+(const Dual<X>& a, const Dual<X>& b) {
    return {a.value + b.value, a.change + b.change};
}
template <class X>
FS_HOST_DEVICE Dual<X> operator-(const Dual<X>& a) {
    return {-a.value, -a.change};
}
template <class X, class Y>
FS_HOST_DEVICE auto operator*(const Dual<X>& a, const Dual<Y>& b) -> Dual<decltype(a.value * b.value)> {
    return {a.value * b.value, a.value * b.change + a.change * b.value};
}

// x * scale + shift, the product rounded before the sum, as plain torch does it, so that every backend finds the same
// cell. (The CPU build has contraction off.)
template <class T>
FS_HOST_DEVICE T between_nodes(T x, T scale, T shift) {
#if defined(__CUDA_ARCH__)
    if constexpr (sizeof(T) == sizeof(double)) {
        return __dadd_rn(__dmul_rn(x, scale), shift);
    } else {
        return __fadd_rn(__fmul_rn(x, scale), shift);
    }
#else
    return x * scale + shift;
#endif
}

// Where x lies: behind which node, at which share of the cell, and how that share changes with x: not at all where the
// position was clamped to the outermost nodes. A NaN lands in cell 0 with a NaN share: in bounds, and visible.
template <class T>
FS_HOST_DEVICE void place_on(const Ruler& ruler, T x, int32_t& cell, T& share, T& slope) {
    const T last = T(ruler.nodes - 1), wanted = between_nodes(x, T(ruler.scale), T(ruler.shift));
    T position = wanted < T(0) ? T(0) : wanted;
    position = position > last ? last : position;
    slope = wanted >= T(0) && wanted <= last ? T(ruler.scale) : T(0);
    const int32_t most = ruler.nodes > 1 ? ruler.nodes - 2 : 0;
    cell = int32_t(position > T(0) ? position : T(0));
    cell = cell > most ? most : cell;
    share = position - T(cell);
}

}  // namespace fs
