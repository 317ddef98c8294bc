// A block of points at one level: their corners, weights and derivatives, a pack of points at a time.
#pragma once

#include "vector.h"

namespace fs::FS_ISA {
namespace {

constexpr int BLOCK = 64;

template <class T, int D>
struct Corners {
    alignas(64) uint32_t entry[1 << D][BLOCK];  // within the level; where paired, of the even corners alone
    alignas(64) T weight[1 << D][BLOCK];
    alignas(64) T share[D][BLOCK];  // of the cell, before the interpolation's ramp
    bool paired;  // corners that differ along x alone are neighbours in the table, the lower one first
};

// What a block's corners are wanted for: the features, which takes weights, in pairs where that can be; or derivatives,
// which takes the shares, from which any weights are made later.
enum Wanted { for_values, for_values_in_pairs, for_derivatives };

// Coordinates (and directions) of a block lie axis by axis, `stride` numbers from one axis to the next.
template <class T>
struct Axes {
    const T* from;
    int64_t stride;
    FS_HOST_DEVICE Axes from_point(int64_t p) const { return {from + p, stride}; }
    FS_HOST_DEVICE Pack<T> at(int axis, int p) const { return load<Pack<T>>(from + axis * stride + p); }
};

// False: not found, as there is a point whose neighbours along x are no pair.
template <uint32_t addressing, bool pairs, Wanted wanted, bool smooth, class T, int D>
FS_HOST_DEVICE bool find_corners_as(const GridLevel& level, Axes<T> axes, Corners<T, D>& corners) {
    const AxisSteps steps = axis_steps(level, D);
    const uint32_t size = level.size;
    const Pack<T> scale = spread(T(level.scale));
    IndexPack<T> outside = {};
    for (int p = 0; p < BLOCK; p += WIDTH<T>) {
        IndexPack<T> joined[1 << D];
        Pack<T> lower[D], upper[D];
        for (int axis = 0; axis < D; ++axis) {
            IndexPack<T> cell;
            Pack<T> share;
            locate(axes.at(axis, p), scale, cell, share);
            if (wanted == for_derivatives) store(&corners.share[axis][p], share);
            upper[axis] = ramp<smooth>(share);
            lower[axis] = T(1) - upper[axis];
            const IndexPack<T> low = cell * steps.step[axis], high = low + steps.step[axis];
            if (axis == 0) {
                joined[0] = low;
                joined[1] = high;
            } else {
                for (int c = 0; c < (1 << axis); ++c) {
                    joined[c | (1 << axis)] = join<addressing>(joined[c], high);
                    joined[c] = join<addressing>(joined[c], low);
                }
            }
        }
        if (pairs) {
            for (int c = 0; c < (1 << D); c += 2) store(&corners.entry[c][p], joined[c]);
            outside |= (IndexPack<T>)(joined[(1 << D) - 1] >= size);  // the farthest
        } else {
            for (int c = 0; c < (1 << D); ++c) store(&corners.entry[c][p], entry<addressing>(joined[c], size));
        }
        if (wanted != for_derivatives) {
            Pack<T> weight[1 << D];
            products<D>(lower, upper, weight);
            for (int c = 0; c < (1 << D); ++c) store(&corners.weight[c][p], weight[c]);
        }
    }
    corners.paired = pairs;
    return !(pairs && any(outside));
}

template <Wanted wanted, bool smooth, class T, int D>
void find_corners(const GridLevel& level, Axes<T> axes, Corners<T, D>& corners) {
    switch (level.addressing) {
        case dense:
            if (wanted == for_values_in_pairs && find_corners_as<dense, true, wanted, smooth>(level, axes, corners))
                return;
            find_corners_as<dense, false, wanted, smooth>(level, axes, corners);
            return;
        case hashed: find_corners_as<hashed, false, wanted, smooth>(level, axes, corners); return;
        default: find_corners_as<wrapped, false, wanted, smooth>(level, axes, corners);
    }
}
template <Wanted wanted, class T, int D>
FS_HOST_DEVICE void find_corners(bool smooth, const GridLevel& level, Axes<T> axes, Corners<T, D>& corners) {
    if (wanted != for_derivatives && smooth) {
        find_corners<wanted, true>(level, axes, corners);
    } else {
        find_corners<wanted, false>(level, axes, corners);  // a share is before the ramp
    }
}

// What the weights of a pack of points are made of, axis by axis.
template <class T, int D>
struct Factors {
    Pack<T> lower[D], upper[D], slope[D], curve[D];

    template <bool smooth>
    FS_HOST_DEVICE static Factors of(const GridLevel& level, Axes<T> axes, const Corners<T, D>& corners, int p) {
        Factors f;
        for (int axis = 0; axis < D; ++axis) {
            const Pack<T> share = load<Pack<T>>(&corners.share[axis][p]);
            f.upper[axis] = ramp<smooth>(share);
            f.lower[axis] = T(1) - f.upper[axis];
            chain<smooth>(axes.at(axis, p), spread(T(level.scale)), share, f.slope[axis], f.curve[axis]);
        }
        return f;
    }

    // Derivative of the corners' weights by the coordinate of `axis`, and of that by the coordinate of `second`.
    FS_HOST_DEVICE void derived(int axis, Pack<T> (&weight)[1 << D]) const {
        Pack<T> low[D], high[D];
        for (int i = 0; i < D; ++i) {
            low[i] = i == axis ? -slope[i] : lower[i];
            high[i] = i == axis ? slope[i] : upper[i];
        }
        products<D>(low, high, weight);
    }
    FS_HOST_DEVICE void derived(int axis, int second, Pack<T> (&weight)[1 << D]) const {
        Pack<T> low[D], high[D];
        for (int i = 0; i < D; ++i) {
            const Pack<T> change = axis == second ? curve[i] : slope[i];
            low[i] = i == axis || i == second ? -change : lower[i];
            high[i] = i == axis || i == second ? change : upper[i];
        }
        products<D>(low, high, weight);
    }
};

// Weights whose sum with the entries is the derivative of the features along `along`.
template <bool smooth, class T, int D>
void direction_weights(const GridLevel& level, Axes<T> axes, Axes<T> along, Corners<T, D>& corners) {
    for (int p = 0; p < BLOCK; p += WIDTH<T>) {
        const Factors<T, D> factors = Factors<T, D>::template of<smooth>(level, axes, corners, p);
        Pack<T> total[1 << D] = {}, weight[1 << D];
        for (int axis = 0; axis < D; ++axis) {
            factors.derived(axis, weight);
            for (int c = 0; c < (1 << D); ++c) total[c] += weight[c] * along.at(axis, p);
        }
        for (int c = 0; c < (1 << D); ++c) store(&corners.weight[c][p], total[c]);
    }
}

template <class T, int D>
FS_HOST_DEVICE Pack<T> total(const Pack<T> (&weight)[1 << D], const T (*dots)[BLOCK], int p) {
    Pack<T> sum = {};
    for (int c = 0; c < (1 << D); ++c) sum += weight[c] * load<Pack<T>>(&dots[c][p]);
    return sum;
}

// sums[axis] += derivative of the sum over corners of weight * dots by the coordinate.
template <bool smooth, class T, int D>
void add_gradient(const GridLevel& level, Axes<T> axes, const Corners<T, D>& corners, const T (*dots)[BLOCK], T* sums) {
    for (int p = 0; p < BLOCK; p += WIDTH<T>) {
        const Factors<T, D> factors = Factors<T, D>::template of<smooth>(level, axes, corners, p);
        Pack<T> weight[1 << D];
        for (int axis = 0; axis < D; ++axis) {
            T* sum = sums + axis * axes.stride + p;
            factors.derived(axis, weight);
            store(sum, load<Pack<T>>(sum) + total<T, D>(weight, dots, p));
        }
    }
}

// The same for the derivative along a direction: sums[axis] += d/dx_axis of (direction . gradient).
template <bool smooth, class T, int D>
void add_second_gradient(const GridLevel& level, Axes<T> axes, Axes<T> along, const Corners<T, D>& corners,
                         const T (*dots)[BLOCK], T* sums) {
    for (int p = 0; p < BLOCK; p += WIDTH<T>) {
        const Factors<T, D> factors = Factors<T, D>::template of<smooth>(level, axes, corners, p);
        Pack<T> weight[1 << D];
        for (int axis = 0; axis < D; ++axis) {
            T* sum = sums + axis * axes.stride + p;
            Pack<T> result = load<Pack<T>>(sum);
            for (int second = 0; second < D; ++second) {
                if (second == axis && !smooth) continue;  // linear interpolation has no curvature along an axis
                factors.derived(axis, second, weight);
                result += total<T, D>(weight, dots, p) * along.at(second, p);
            }
            store(sum, result);
        }
    }
}

}  // namespace
}  // namespace fs::FS_ISA
