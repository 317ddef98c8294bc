// Where a point lies in a level of a multiresolution grid, and which entries of the table its corners are.
// Shared by both processors, so that a checkpoint means the same on each. Follows tiny-cuda-nn's addressing.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define FS_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define FS_HOST_DEVICE inline __attribute__((always_inline))
#endif

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

// What a call of the grid's functions is given. The pointers are to float, or to double where is_double; rows are
// contiguous. Null results are not computed. `workers` counts threads of the CPU.
struct GridCall {
    int32_t dimensions, features, levels, smooth, is_double, workers;
    int64_t points;
    const GridLevel* level;
    const void* coords;       // [points, dimensions]
    const void* table;        // [entries, features]
    const void* grad;         // [points, levels * features], gradient of the output
    const void* direction;    // [points, dimensions], gradient of the coordinates' gradient
    void* output;             // [points, levels * features]
    void* grad_coords;        // [points, dimensions]
    void* grad_table;         // [entries, features]
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

// Combines the axes' terms (cell * step) into one number, and that into an entry of the level.
template <uint32_t addressing>
FS_HOST_DEVICE uint32_t join(uint32_t a, uint32_t b) {
    return addressing == hashed ? a ^ b : a + b;
}

template <uint32_t addressing>
FS_HOST_DEVICE uint32_t entry(uint32_t joined, uint32_t size) {
    if (addressing == hashed) return joined & (size - 1u);
    if (addressing == wrapped) return joined % size;
    uint32_t wrapped_once = joined - size;  // huge where joined < size
    return wrapped_once < joined ? wrapped_once : joined;
}

// Position along an axis: the cell and the share of it that lies behind the point. The product is rounded before the
// sum, as plain torch does it, so that every backend finds the same cell (build without contraction). A NaN lands in
// cell 0 with a NaN share: in bounds, and visible in the result.
template <class T>
FS_HOST_DEVICE void locate(T x, T scale, uint32_t& cell, T& share) {
    x = T(0) > x ? T(0) : x;
    x = T(1) < x ? T(1) : x;
#if defined(__CUDA_ARCH__)
    T position = sizeof(T) == 8 ? T(__dadd_rn(__dmul_rn(x, scale), 0.5)) : T(__fadd_rn(__fmul_rn(x, scale), 0.5f));
#else
    T position = x * scale + T(0.5);
#endif
    int32_t whole = int32_t(position > T(0) ? position : T(0));
    cell = uint32_t(whole);
    share = position - T(whole);
}

// The weight of the upper grid point as a function of the share t, and its first two derivatives by t.
template <bool smooth, class T>
FS_HOST_DEVICE T ramp(T t) {
    return smooth ? t * t * (T(3) - T(2) * t) : t;
}
template <bool smooth, class T>
FS_HOST_DEVICE T ramp_slope(T t) {
    return smooth ? T(6) * t * (T(1) - t) : T(1);
}
template <bool smooth, class T>
FS_HOST_DEVICE T ramp_curve(T t) {
    return smooth ? T(6) - T(12) * t : T(0);
}

// How the upper weight of an axis changes with the coordinate, and how that changes: zero where it was clamped.
template <class T, bool smooth>
FS_HOST_DEVICE void chain(T x, T scale, T share, T& slope, T& curve) {
    const T inside = x >= T(0) && x <= T(1) ? scale : T(0);
    slope = ramp_slope<smooth>(share) * inside;
    curve = ramp_curve<smooth>(share) * inside * inside;
}

}  // namespace fs
