// The multiresolution hash grid (Müller et al. 2022, "Instant neural graphics primitives", section 3): the arguments of
// a call, the position of a point in a level, and the table entries of its cell's corners. Shared by both processors,
// so that a checkpoint means the same on each. Addressing follows tiny-cuda-nn.
#pragma once

#include "reduced_precision.h"

namespace fs {

enum Addressing : uint32_t {
    dense = 0,    // row-major, x fastest; an index exceeds `size` only just outside, by less than `size`
    hashed = 1,   // spatial hash; `size` is a power of two
    wrapped = 2,  // row-major modulo `size`, which is less than the level's grid points
};

// Mirrored by `LEVEL_RECORD` in fields/ops/grid_layout.py.
struct GridLevel {
    int64_t offset;  // first entry in the table
    float scale;     // cells along an axis
    uint32_t resolution;
    uint32_t size;  // entries
    uint32_t addressing;
};

// Type of the table's values. With a float64 table every array is float64; otherwise every array but the table is
// float32.
enum TableType : int32_t { table_float = 0, table_double = 1, table_half = 2, table_bfloat16 = 3 };

// Mirrored by `GridCall` in fields/ops/hash_grid.py. Arrays are float32, or float64 where the table is; rows are
// contiguous. Results whose pointer is null are not computed. `num_threads` is for the CPU.
struct GridCall {
    int32_t dimensions, features, levels, smooth, table_type, num_threads;
    int64_t points;
    const GridLevel* level;
    const void* coords;     // [points, dimensions]
    const void* table;      // [entries, features] of table_type
    const void* grad;       // [points, levels * features]: gradient of the output
    const void* direction;  // [points, dimensions]: gradient of the coordinates' gradient, or null
    void* output;           // [points, levels * features]
    void* grad_coords;      // [points, dimensions]
    void* grad_table;       // [entries, features]; float32 where the table is float16 or bfloat16
};

// Multiplier of each axis: a prime where hashed, else the stride (0 if the level has wrapped before that axis).
struct AxisStrides {
    uint32_t stride[4];
};

FS_HOST_DEVICE AxisStrides axis_strides(const GridLevel& level, int dimensions) {
    if (level.addressing == hashed) return {{1u, 2654435761u, 805459861u, 3674653429u}};
    AxisStrides strides = {{0u, 0u, 0u, 0u}};
    uint64_t stride = 1;
    for (int axis = 0; axis < dimensions && stride <= level.size; ++axis) {
        strides.stride[axis] = uint32_t(stride);
        stride *= level.resolution;
    }
    return strides;
}

// The functions below work on single values and, on the CPU, on SIMD vectors of them. `Real` gives the constants and
// conversions of either kind of type.
template <class T>
struct Real {
    using Index = uint32_t;
    FS_HOST_DEVICE static T of(double value) { return T(value); }
    FS_HOST_DEVICE static Index to_integer(T x) { return uint32_t(int32_t(x)); }
    FS_HOST_DEVICE static T to_real(Index i) { return T(int32_t(i)); }
    // The larger and the smaller of a and b; b if either is NaN.
    FS_HOST_DEVICE static T max_of(T a, T b) { return a > b ? a : b; }
    FS_HOST_DEVICE static T min_of(T a, T b) { return a < b ? a : b; }
};

// `combine` joins the axes' terms (cell * stride) into one index; `entry` maps that to an entry of the level.
template <uint32_t addressing, class I>
FS_HOST_DEVICE I combine(I a, I b) {
    return addressing == hashed ? a ^ b : a + b;
}

template <uint32_t addressing, class I>
FS_HOST_DEVICE I entry(I index, uint32_t size) {
    if constexpr (addressing == hashed) {
        return index & (size - 1u);
    } else if constexpr (addressing == wrapped) {
        return index % size;
    } else {
        I wrapped_once = index - size;  // wraps to a huge value where index < size
        return wrapped_once < index ? wrapped_once : index;
    }
}

// x * scale + 0.5, with the product rounded before the sum as plain torch does it, so that every backend finds the same
// cell. The CPU build has contraction switched off.
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

// The cell of x along an axis, and the fraction of the cell below x. A NaN gives cell 0 and a NaN fraction: it stays in
// bounds and shows in the result.
template <class T>
FS_HOST_DEVICE void locate(T x, T scale, typename Real<T>::Index& cell, T& fraction) {
    const T zero = Real<T>::of(0), one = Real<T>::of(1);
    x = Real<T>::max_of(zero, x);
    x = Real<T>::min_of(one, x);
    const T position = position_of(x, scale);
    cell = Real<T>::to_integer(Real<T>::max_of(position, zero));
    fraction = position - Real<T>::to_real(cell);
}

// Interpolation weight of the upper grid point as a function of the fraction t, and its first two derivatives: linear,
// or smoothstep (Müller et al. 2022, appendix A).
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
FS_HOST_DEVICE T ramp_curvature(T t) {
    if constexpr (!smooth) return Real<T>::of(0);
    return Real<T>::of(6) - Real<T>::of(12) * t;
}

// First and second derivative of the upper weight by the coordinate x; zero where x was clamped.
template <bool smooth, class T>
FS_HOST_DEVICE void ramp_derivatives(T x, T scale, T fraction, T& slope, T& curvature) {
    const T zero = Real<T>::of(0), one = Real<T>::of(1);
    T inside = x < zero ? zero : scale;
    inside = x > one ? zero : inside;
    slope = ramp_slope<smooth>(fraction) * inside;
    curvature = ramp_curvature<smooth>(fraction) * inside * inside;
}

// Weights of a cell's corners: the product over the axes of `upper` where the corner's bit is set, else of `lower`.
template <int D, class T>
FS_HOST_DEVICE void corner_weights(const T (&lower)[D], const T (&upper)[D], T (&out)[1 << D]) {
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
