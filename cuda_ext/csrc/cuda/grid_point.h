// One point at one level of the hash grid, as a thread of the CUDA kernels processes it. The CPU's grid_block.h
// computes the same with SIMD.
#pragma once

#include "../common/grid.h"

// A loop that is unrolled: arrays stay in registers only if every index is known at compile time.
#if defined(__CUDA_ARCH__)
#define FS_UNROLL_FOR(...) _Pragma("unroll") for (__VA_ARGS__)
#else
#define FS_UNROLL_FOR(...) for (__VA_ARGS__)
#endif

namespace fs {

// An entry's features, aligned so that a thread moves them in as few instructions as possible.
template <class T, int F>
struct alignas(F * sizeof(T) < 16 ? F * sizeof(T) : 16) Row {
    T of[F];

    FS_HOST_DEVICE static Row load(const T* from) { return *reinterpret_cast<const Row*>(from); }
    FS_HOST_DEVICE void store(T* to) const { *reinterpret_cast<Row*>(to) = *this; }
    FS_HOST_DEVICE static Row zero() {
        Row row;
        FS_UNROLL_FOR (int f = 0; f < F; ++f) row.of[f] = T(0);
        return row;
    }
    FS_HOST_DEVICE Row times(T factor) const {
        Row row;
        FS_UNROLL_FOR (int f = 0; f < F; ++f) row.of[f] = of[f] * factor;
        return row;
    }
    FS_HOST_DEVICE void add(const Row& other, T factor = T(1)) {
        FS_UNROLL_FOR (int f = 0; f < F; ++f) of[f] += other.of[f] * factor;
    }
    FS_HOST_DEVICE T dot(const Row& other) const {
        T sum = of[0] * other.of[0];
        FS_UNROLL_FOR (int f = 1; f < F; ++f) sum += of[f] * other.of[f];
        return sum;
    }
};

// The values of an entry of reduced precision, loaded together.
template <class E, int F>
struct alignas(F * sizeof(E) < 16 ? F * sizeof(E) : 16) ReducedRow {
    E of[F];
};

// Loads an entry of a table, converted to values of type T.
template <class T, class E, int F>
FS_HOST_DEVICE Row<T, F> load_entry(const E* from) {
    if constexpr (sizeof(E) == sizeof(T)) {
        return Row<T, F>::load(from);
    } else {
        const ReducedRow<E, F> stored = *reinterpret_cast<const ReducedRow<E, F>*>(from);
        Row<T, F> row;
        FS_UNROLL_FOR (int f = 0; f < F; ++f) row.of[f] = full_precision(stored.of[f]);
        return row;
    }
}

template <class T, int D>
struct Direction {
    bool present;
    T along[D];
};

template <class T, int D>
FS_HOST_DEVICE Direction<T, D> direction_of(const T* directions, int64_t point) {
    Direction<T, D> direction;
    direction.present = directions;
    FS_UNROLL_FOR (int axis = 0; axis < D; ++axis)
        direction.along[axis] = directions ? directions[point * D + axis] : T(0);
    return direction;
}

// The position of a point: its cell, and along each axis the weight `upper` of the upper grid point, with first and
// second derivative by the coordinate. The lower grid point has the rest of the weight.
template <class T, int D>
struct CellPosition {
    uint32_t cell[D];
    T upper[D], slope[D], curvature[D];
};

template <bool smooth, class T, int D>
FS_HOST_DEVICE CellPosition<T, D> cell_position_as(const GridLevel& level, const T* x) {
    CellPosition<T, D> at;
    FS_UNROLL_FOR (int axis = 0; axis < D; ++axis) {
        T fraction;
        locate(x[axis], T(level.scale), at.cell[axis], fraction);
        at.upper[axis] = ramp<smooth>(fraction);
        ramp_derivatives<smooth>(x[axis], T(level.scale), fraction, at.slope[axis], at.curvature[axis]);
    }
    return at;
}

template <class T, int D>
FS_HOST_DEVICE CellPosition<T, D> cell_position(const GridLevel& level, const T* x, bool smooth) {
    return smooth ? cell_position_as<true, T, D>(level, x) : cell_position_as<false, T, D>(level, x);
}

// Entries of the corners within the level. Bit a of a corner's index is set for the upper grid point along axis a.
template <int D>
struct Entries {
    uint32_t of[1 << D];
};

template <uint32_t addressing, int D>
FS_HOST_DEVICE Entries<D> entries_as(const GridLevel& level, const uint32_t (&cell)[D]) {
    const AxisStrides strides = axis_strides(level, D);
    Entries<D> entries;
    FS_UNROLL_FOR (int corner = 0; corner < (1 << D); ++corner) {
        uint32_t index = (cell[0] + (corner & 1)) * strides.stride[0];
        FS_UNROLL_FOR (int axis = 1; axis < D; ++axis)
            index = combine<addressing>(index, (cell[axis] + (corner >> axis & 1)) * strides.stride[axis]);
        entries.of[corner] = entry<addressing>(index, level.size);
    }
    return entries;
}

template <int D>
FS_HOST_DEVICE Entries<D> entries_of(const GridLevel& level, const uint32_t (&cell)[D]) {
    switch (level.addressing) {
        case dense: return entries_as<dense, D>(level, cell);
        case hashed: return entries_as<hashed, D>(level, cell);
        default: return entries_as<wrapped, D>(level, cell);
    }
}

// Weight of a corner, differentiated by the coordinates `first` and `second` (-1: not differentiated).
template <class T, int D>
FS_HOST_DEVICE T weight(const CellPosition<T, D>& at, int corner, int first = -1, int second = -1) {
    T product = T(1);
    FS_UNROLL_FOR (int axis = 0; axis < D; ++axis) {
        const bool derived = axis == first || axis == second, up = corner >> axis & 1;
        const T high = !derived ? at.upper[axis] : first == second ? at.curvature[axis] : at.slope[axis];
        const T low = (derived ? T(0) : T(1)) - high;
        product = axis ? product * (up ? high : low) : (up ? high : low);
    }
    return product;
}

// The weight, or its derivative along a direction.
template <class T, int D>
FS_HOST_DEVICE T weight(const CellPosition<T, D>& at, int corner, const Direction<T, D>& direction) {
    if (!direction.present) return weight(at, corner);
    T sum = T(0);
    FS_UNROLL_FOR (int axis = 0; axis < D; ++axis) sum += direction.along[axis] * weight(at, corner, axis);
    return sum;
}

// Features of the point at the level; with a direction, their derivative along it. `rows`: the level's part of the
// table.
template <class T, class E, int D, int F>
FS_HOST_DEVICE Row<T, F> features_at(const GridLevel& level, const E* rows, const T* x, bool smooth,
                                     const Direction<T, D>& direction) {
    const CellPosition<T, D> at = cell_position<T, D>(level, x, smooth);
    const Entries<D> entries = entries_of<D>(level, at.cell);
    Row<T, F> corners[1 << D], sum = Row<T, F>::zero();
    FS_UNROLL_FOR (int c = 0; c < (1 << D); ++c) corners[c] = load_entry<T, E, F>(rows + int64_t(entries.of[c]) * F);
    FS_UNROLL_FOR (int c = 0; c < (1 << D); ++c) sum.add(corners[c], weight(at, c, direction));
    return sum;
}

// Adds the derivative of <grad, features_at(...)> by each coordinate to `sums`.
template <class T, class E, int D, int F>
FS_HOST_DEVICE void add_coords_gradient(const GridLevel& level, const E* rows, const T* x, bool smooth,
                                        const Direction<T, D>& direction, const Row<T, F>& grad, T (&sums)[D]) {
    const CellPosition<T, D> at = cell_position<T, D>(level, x, smooth);
    const Entries<D> entries = entries_of<D>(level, at.cell);
    T dots[1 << D];
    FS_UNROLL_FOR (int c = 0; c < (1 << D); ++c)
        dots[c] = load_entry<T, E, F>(rows + int64_t(entries.of[c]) * F).dot(grad);
    FS_UNROLL_FOR (int axis = 0; axis < D; ++axis) {
        if (!direction.present) {
            FS_UNROLL_FOR (int c = 0; c < (1 << D); ++c) sums[axis] += dots[c] * weight(at, c, axis);
            continue;
        }
        FS_UNROLL_FOR (int second = 0; second < D; ++second) {
            T sum = T(0);
            FS_UNROLL_FOR (int c = 0; c < (1 << D); ++c) sum += dots[c] * weight(at, c, axis, second);
            sums[axis] += direction.along[second] * sum;
        }
    }
}

}  // namespace fs
