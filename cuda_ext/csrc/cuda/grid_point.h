// One point at one level of the grid: what a thread of the CUDA kernels does. (The CPU's kernels have the same maths in
// grid_block.h, written for its vector units.)
#pragma once

#include "../common/grid.h"

// A loop that is unrolled: arrays stay in registers only if every index is known at compile time.
#if defined(__CUDA_ARCH__)
#define FS_UNROLL_FOR(...) _Pragma("unroll") for (__VA_ARGS__)
#else
#define FS_UNROLL_FOR(...) for (__VA_ARGS__)
#endif

namespace fs {

// An entry's features, aligned so that a thread moves them in as few instructions as there can be.
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

// Numbers of a table that may be narrower, read together.
template <class E, int F>
struct alignas(F * sizeof(E) < 16 ? F * sizeof(E) : 16) Narrow {
    E of[F];
};

// An entry of a table, as numbers of type T.
template <class T, class E, int F>
FS_HOST_DEVICE Row<T, F> load_entry(const E* from) {
    if constexpr (sizeof(E) == sizeof(T)) {
        return Row<T, F>::load(from);
    } else {
        const Narrow<E, F> narrow = *reinterpret_cast<const Narrow<E, F>*>(from);
        Row<T, F> row;
        FS_UNROLL_FOR (int f = 0; f < F; ++f) row.of[f] = number_of(narrow.of[f]);
        return row;
    }
}

template <class T, int D>
struct Direction {
    bool given;
    T along[D];
};

template <class T, int D>
FS_HOST_DEVICE Direction<T, D> direction_of(const T* directions, int64_t point) {
    Direction<T, D> direction;
    direction.given = directions;
    FS_UNROLL_FOR (int axis = 0; axis < D; ++axis)
        direction.along[axis] = directions ? directions[point * D + axis] : T(0);
    return direction;
}

// Where a point lies. Along each axis the upper grid point has the weight `upper`, which changes with the coordinate as
// `slope` and `curve` say; the lower one has the rest.
template <class T, int D>
struct Place {
    uint32_t cell[D];
    T upper[D], slope[D], curve[D];
};

template <bool smooth, class T, int D>
FS_HOST_DEVICE Place<T, D> place_as(const GridLevel& level, const T* x) {
    Place<T, D> at;
    FS_UNROLL_FOR (int axis = 0; axis < D; ++axis) {
        T share;
        locate(x[axis], T(level.scale), at.cell[axis], share);
        at.upper[axis] = ramp<smooth>(share);
        chain<smooth>(x[axis], T(level.scale), share, at.slope[axis], at.curve[axis]);
    }
    return at;
}

template <class T, int D>
FS_HOST_DEVICE Place<T, D> place(const GridLevel& level, const T* x, bool smooth) {
    return smooth ? place_as<true, T, D>(level, x) : place_as<false, T, D>(level, x);
}

// Entries of the corners within the level. Bit a of a corner says: the upper grid point along axis a.
template <int D>
struct Entries {
    uint32_t of[1 << D];
};

template <uint32_t addressing, int D>
FS_HOST_DEVICE Entries<D> entries_as(const GridLevel& level, const uint32_t (&cell)[D]) {
    const AxisSteps steps = axis_steps(level, D);
    Entries<D> entries;
    FS_UNROLL_FOR (int corner = 0; corner < (1 << D); ++corner) {
        uint32_t joined = (cell[0] + (corner & 1)) * steps.step[0];
        FS_UNROLL_FOR (int axis = 1; axis < D; ++axis)
            joined = join<addressing>(joined, (cell[axis] + (corner >> axis & 1)) * steps.step[axis]);
        entries.of[corner] = entry<addressing>(joined, level.size);
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

// Weight of a corner, differentiated by the coordinates of the axes `first` and `second` (-1: not).
template <class T, int D>
FS_HOST_DEVICE T weight(const Place<T, D>& at, int corner, int first = -1, int second = -1) {
    T product = T(1);
    FS_UNROLL_FOR (int axis = 0; axis < D; ++axis) {
        const bool derived = axis == first || axis == second, up = corner >> axis & 1;
        const T high = !derived ? at.upper[axis] : first == second ? at.curve[axis] : at.slope[axis];
        const T low = (derived ? T(0) : T(1)) - high;
        product = axis ? product * (up ? high : low) : (up ? high : low);
    }
    return product;
}

// The weight, or its derivative along a direction.
template <class T, int D>
FS_HOST_DEVICE T weight(const Place<T, D>& at, int corner, const Direction<T, D>& direction) {
    if (!direction.given) return weight(at, corner);
    T sum = T(0);
    FS_UNROLL_FOR (int axis = 0; axis < D; ++axis) sum += direction.along[axis] * weight(at, corner, axis);
    return sum;
}

// Features of the point at the level; with a direction, their derivative along it. `rows`: the level's part of a table.
template <class T, class E, int D, int F>
FS_HOST_DEVICE Row<T, F> features_at(const GridLevel& level, const E* rows, const T* x, bool smooth,
                                     const Direction<T, D>& direction) {
    const Place<T, D> at = place<T, D>(level, x, smooth);
    const Entries<D> entries = entries_of<D>(level, at.cell);
    Row<T, F> corners[1 << D], sum = Row<T, F>::zero();
    FS_UNROLL_FOR (int c = 0; c < (1 << D); ++c) corners[c] = load_entry<T, E, F>(rows + int64_t(entries.of[c]) * F);
    FS_UNROLL_FOR (int c = 0; c < (1 << D); ++c) sum.add(corners[c], weight(at, c, direction));
    return sum;
}

// sums[axis] += derivative of <grad, features_at(...)> by the coordinate.
template <class T, class E, int D, int F>
FS_HOST_DEVICE void add_coords_gradient(const GridLevel& level, const E* rows, const T* x, bool smooth,
                                        const Direction<T, D>& direction, const Row<T, F>& grad, T (&sums)[D]) {
    const Place<T, D> at = place<T, D>(level, x, smooth);
    const Entries<D> entries = entries_of<D>(level, at.cell);
    T dots[1 << D];
    FS_UNROLL_FOR (int c = 0; c < (1 << D); ++c)
        dots[c] = load_entry<T, E, F>(rows + int64_t(entries.of[c]) * F).dot(grad);
    FS_UNROLL_FOR (int axis = 0; axis < D; ++axis) {
        if (!direction.given) {
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
