// Where a point lies in a level of a multiresolution grid, and which entries of the table its corners are.
// Shared by both processors, so that a checkpoint means the same on each. Follows tiny-cuda-nn's addressing.
#pragma once

#include "number.h"

namespace fs {

enum Addressing : uint32_t {
    dense = 0,    // row by row, x fastest; only the points just outside leave [0, size), by less than size
    hashed = 1,   // size is a power of two
    wrapped = 2,  // row by row, modulo a size smaller than the level
};

// `LEVEL_RECORD` in fields/ops/grid_layout.py.
struct GridLevel {
    int64_t offset;  // first entry in the table
    float scale;     // cells along an axis
    uint32_t resolution;
    uint32_t size;  // entries
    uint32_t addressing;
};

// What the numbers of a table are. With a table of doubles everything is double, else everything but the table is
// float.
enum TableType : int32_t { table_float = 0, table_double = 1, table_half = 2, table_brain = 3 };

// What a call of the grid's functions is given. The pointers are to float, or to double where the table's numbers are;
// rows are contiguous. Null results are not computed. `workers` counts threads of the CPU.
struct GridCall {
    int32_t dimensions, features, levels, smooth, table_type, workers;
    int64_t points;
    const GridLevel* level;
    const void* coords;     // [points, dimensions]
    const void* table;      // [entries, features] of table_type
    const void* grad;       // [points, levels * features], gradient of the output
    const void* direction;  // [points, dimensions], gradient of the coordinates' gradient
    void* output;           // [points, levels * features]
    void* grad_coords;      // [points, dimensions]
    void* grad_table;       // [entries, features], of floats where the table is narrower
};

// Multiplier of each axis: primes where hashed, else strides (0 where the level has wrapped before that axis).
struct AxisSteps {
    uint32_t step[4];
};

FS_HOST_DEVICE AxisSteps axis_steps(const GridLevel& level, int dimensions) {
    if (level.addressing == hashed) return {{1u, 2654435761u, 805459861u, 3674653429u}};
    AxisSteps steps = {{0u, 0u, 0u, 0u}};
    uint64_t stride = 1;
    for (int axis = 0; axis < dimensions && stride <= level.size; ++axis) {
        steps.step[axis] = uint32_t(stride);
        stride *= level.resolution;
    }
    return steps;
}

// The formulas below serve single numbers and, on the CPU, vectors of them: Real says how a type of either sort makes a
// constant and changes between numbers and whole numbers.
template <class T>
struct Real {
    using Index = uint32_t;
    FS_HOST_DEVICE static T of(double value) { return T(value); }
    FS_HOST_DEVICE static Index whole(T x) { return uint32_t(int32_t(x)); }
    FS_HOST_DEVICE static T number(Index i) { return T(int32_t(i)); }
    // Of a and b the larger, the smaller; b where either is NaN.
    FS_HOST_DEVICE static T larger(T a, T b) { return a > b ? a : b; }
    FS_HOST_DEVICE static T smaller(T a, T b) { return a < b ? a : b; }
};

// Combines the axes' terms (cell * step) into one number, and that into an entry of the level.
template <uint32_t addressing, class I>
FS_HOST_DEVICE I join(I a, I b) {
    return addressing == hashed ? a ^ b : a + b;
}

template <uint32_t addressing, class I>
FS_HOST_DEVICE I entry(I joined, uint32_t size) {
    if constexpr (addressing == hashed) {
        return joined & (size - 1u);
    } else if constexpr (addressing == wrapped) {
        return joined % size;
    } else {
        I wrapped_once = joined - size;  // huge where joined < size
        return wrapped_once < joined ? wrapped_once : joined;
    }
}

// x * scale + 0.5, the product rounded before the sum, as plain torch does it, so that every backend finds the same
// cell. (The CPU build has contraction off.)
template <class T>
FS_HOST_DEVICE T position_of(T x, T scale) {
#if defined(__CUDA_ARCH__)
    if constexpr (sizeof(T) == sizeof(double)) {
        return __dadd_rn(__dmul_rn(x, scale), 0.5);
    } else {
        return __fadd_rn(__fmul_rn(x, scale), 0.5f);
    }
#else
    return x * scale + Real<T>::of(0.5);
#endif
}

// Where x lies along an axis: the cell and the share of it that lies behind the point. A NaN lands in cell 0 with a NaN
// share: in bounds, and visible in the result.
template <class T>
FS_HOST_DEVICE void locate(T x, T scale, typename Real<T>::Index& cell, T& share) {
    const T zero = Real<T>::of(0), one = Real<T>::of(1);
    x = Real<T>::larger(zero, x);
    x = Real<T>::smaller(one, x);
    const T position = position_of(x, scale);
    cell = Real<T>::whole(Real<T>::larger(position, zero));
    share = position - Real<T>::number(cell);
}

// The weight of the upper grid point as a function of the share t, and its first two derivatives by t.
template <bool smooth, class T>
FS_HOST_DEVICE T ramp(T t) {
    if constexpr (!smooth) return t;
    return t * t * (Real<T>::of(3) - Real<T>::of(2) * t);
}
template <bool smooth, class T>
FS_HOST_DEVICE T ramp_slope(T t) {
    if constexpr (!smooth) return Real<T>::of(1);
    return Real<T>::of(6) * t * (Real<T>::of(1) - t);
}
template <bool smooth, class T>
FS_HOST_DEVICE T ramp_curve(T t) {
    if constexpr (!smooth) return Real<T>::of(0);
    return Real<T>::of(6) - Real<T>::of(12) * t;
}

// How the upper weight of an axis changes with its coordinate x, and how that changes: not at all where x was clamped.
template <bool smooth, class T>
FS_HOST_DEVICE void chain(T x, T scale, T share, T& slope, T& curve) {
    const T zero = Real<T>::of(0), one = Real<T>::of(1);
    T inside = x < zero ? zero : scale;
    inside = x > one ? zero : inside;
    slope = ramp_slope<smooth>(share) * inside;
    curve = ramp_curve<smooth>(share) * inside * inside;
}

// The product over the axes of upper (bit set) or lower factors, for every corner.
template <int D, class T>
FS_HOST_DEVICE void products(const T (&lower)[D], const T (&upper)[D], T (&out)[1 << D]) {
    out[0] = lower[0];
    out[1] = upper[0];
    for (int axis = 1; axis < D; ++axis) {
        for (int c = 0; c < (1 << axis); ++c) {
            out[c | (1 << axis)] = out[c] * upper[axis];
            out[c] = out[c] * lower[axis];
        }
    }
}

}  // namespace fs
