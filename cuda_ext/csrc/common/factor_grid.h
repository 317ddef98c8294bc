// Sums of products of interpolated grids: the arguments of a call, the position of a point in a grid, and dual numbers
// for derivatives along a direction. This form covers tri-planes, the vector-matrix and CP decompositions (TensoRF,
// Chen et al. 2022, sections 3 and 4), k-planes (Fridovich-Keil et al. 2023, section 3.1) and dense grids. Shared by
// both processors.
#pragma once

#include "grid.h"

namespace fs {

constexpr int MAX_AXES = 4;
constexpr int MAX_FACTORS_PER_PRODUCT = 16;

// Mirrored by `GRID_AXIS_RECORD` in fields/ops/factor_layout.py: `nodes` nodes along coordinate `axis`; coordinate x
// has the position x * scale + shift among them.
struct GridAxis {
    int32_t axis, nodes;
    float scale, shift;
};

// Mirrored by `FACTOR_RECORD`: a grid over some of the coordinates, its first axis the fastest in memory.
struct Factor {
    int64_t offset;  // first entry in the table
    int32_t axes;
    int32_t grid_axis[MAX_AXES],
        stride[MAX_AXES];  // of each axis: index of its GridAxis, and entries from one node to the next
    int32_t nodes;         // along the last axis, which is the slowest in memory
};

// Mirrored by `PRODUCT_RECORD`: the product of factors first .. first + count - 1, added to output slot `slot`.
struct Product {
    int32_t first, count, slot;
};

// Mirrored by `FactorCall` in fields/ops/factor_grid.py. Arrays are float32, or float64 where is_double; rows are
// contiguous. Results whose pointer is null are not computed. If `direction` or `rows` is given, each result is
// replaced by its derivative when coords move along `direction` and the table along `rows`: the gradients of a gradient
// are computed by the code of the gradient.
struct FactorCall {
    int32_t dimensions, features, grid_axes, factors, products, slots, is_double, num_threads;
    int64_t points, entries;
    const GridAxis* grid_axis;
    const Factor* factor;
    const Product* product;
    const void* coords;     // [points, dimensions]
    const void* table;      // [entries, features]
    const void* grad;       // [points, slots * features]: gradient of the output
    const void* direction;  // [points, dimensions]
    const void* rows;       // [entries, features]
    void* output;           // [points, slots * features]
    void* grad_coords;      // [points, dimensions]
    void* grad_table;       // [entries, features]
};

// Dual number: a value, or vector of values, and its derivative along a direction.
template <class X>
struct Dual {
    X value, tangent;
};
template <class X>
FS_HOST_DEVICE Dual<X> operator+(const Dual<X>& a, const Dual<X>& b) {
    return {a.value + b.value, a.tangent + b.tangent};
}
template <class X>
FS_HOST_DEVICE Dual<X> operator-(const Dual<X>& a) {
    return {-a.value, -a.tangent};
}
template <class X, class Y>
FS_HOST_DEVICE auto operator*(const Dual<X>& a, const Dual<Y>& b) -> Dual<decltype(a.value * b.value)> {
    return {a.value * b.value, a.value * b.tangent + a.tangent * b.value};
}

// x * scale + shift, with the product rounded before the sum as plain torch does it, so that every backend finds the
// same cell. The CPU build has contraction switched off.
template <class T>
FS_HOST_DEVICE T position_on_axis(T x, T scale, T shift) {
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

// The cell of x, the fraction of the cell below x, and the derivative of that fraction by x, which is zero where the
// position was clamped to the outermost nodes. A NaN gives cell 0 and a NaN fraction: it stays in bounds and shows in
// the result.
template <class T>
FS_HOST_DEVICE void locate_on_axis(const GridAxis& grid_axis, T x, int32_t& cell, T& fraction, T& slope) {
    const T last = T(grid_axis.nodes - 1), unclamped = position_on_axis(x, T(grid_axis.scale), T(grid_axis.shift));
    T position = unclamped < T(0) ? T(0) : unclamped;
    position = position > last ? last : position;
    slope = unclamped >= T(0) && unclamped <= last ? T(grid_axis.scale) : T(0);
    const int32_t last_cell = grid_axis.nodes > 1 ? grid_axis.nodes - 2 : 0;
    cell = int32_t(position > T(0) ? position : T(0));
    cell = cell > last_cell ? last_cell : cell;
    fraction = position - T(cell);
}

}  // namespace fs
