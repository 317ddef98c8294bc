// A block of points at one level of the hash grid: the entries and weights of their corners, and derivatives of the
// weights, a SIMD vector of points at a time.
#pragma once

#include "simd.h"

namespace fs::FS_ISA {
namespace {

constexpr int BLOCK = 64;

template <class T, int D>
struct Corners {
    alignas(64) uint32_t entry[1 << D][BLOCK];  // index within the level; where `paired`, only of even corners
    alignas(64) T weight[1 << D][BLOCK];
    alignas(64) T fraction[D][BLOCK];  // of the cell, before the interpolation ramp
    bool paired;  // corners that differ along x alone are adjacent in the table, the lower one first
};

// What the corners are needed for. for_values: weights; for_values_in_pairs: the same, in pairs along x if possible;
// for_derivatives: fractions, from which weights are computed later.
enum CornerUse { for_values, for_values_in_pairs, for_derivatives };

// Coordinates or directions of a block, axis by axis; `stride` values from one axis to the next.
template <class T>
struct Axes {
    const T* from;
    int64_t stride;
    FS_HOST_DEVICE Axes from_point(int64_t p) const { return {from + p, stride}; }
    FS_HOST_DEVICE Simd<T> at(int axis, int p) const { return load<Simd<T>>(from + axis * stride + p); }
};

// Returns false, without a result, if pairs were requested but some point's neighbours along x are not adjacent.
template <uint32_t addressing, bool pairs, CornerUse use, bool smooth, class T, int D>
FS_HOST_DEVICE bool find_corners_as(const GridLevel& level, Axes<T> axes, Corners<T, D>& corners) {
    const AxisStrides strides = axis_strides(level, D);
    const uint32_t size = level.size;
    const Simd<T> scale = broadcast(T(level.scale));
    SimdIndex<T> outside = {};
    for (int p = 0; p < BLOCK; p += WIDTH<T>) {
        SimdIndex<T> index[1 << D];
        Simd<T> lower[D], upper[D];
        for (int axis = 0; axis < D; ++axis) {
            SimdIndex<T> cell;
            Simd<T> fraction;
            locate(axes.at(axis, p), scale, cell, fraction);
            if (use == for_derivatives) store(&corners.fraction[axis][p], fraction);
            upper[axis] = ramp<smooth>(fraction);
            lower[axis] = T(1) - upper[axis];
            const SimdIndex<T> low = cell * strides.stride[axis], high = low + strides.stride[axis];
            if (axis == 0) {
                index[0] = low;
                index[1] = high;
            } else {
                for (int c = 0; c < (1 << axis); ++c) {
                    index[c | (1 << axis)] = combine<addressing>(index[c], high);
                    index[c] = combine<addressing>(index[c], low);
                }
            }
        }
        if (pairs) {
            for (int c = 0; c < (1 << D); c += 2) store(&corners.entry[c][p], index[c]);
            outside |= (SimdIndex<T>)(index[(1 << D) - 1] >= size);  // the corner with the largest index
        } else {
            for (int c = 0; c < (1 << D); ++c) store(&corners.entry[c][p], entry<addressing>(index[c], size));
        }
        if (use != for_derivatives) {
            Simd<T> weight[1 << D];
            corner_weights<D>(lower, upper, weight);
            for (int c = 0; c < (1 << D); ++c) store(&corners.weight[c][p], weight[c]);
        }
    }
    corners.paired = pairs;
    return !(pairs && any(outside));
}

template <CornerUse use, bool smooth, class T, int D>
void find_corners(const GridLevel& level, Axes<T> axes, Corners<T, D>& corners) {
    switch (level.addressing) {
        case dense:
            if (use == for_values_in_pairs && find_corners_as<dense, true, use, smooth>(level, axes, corners)) return;
            find_corners_as<dense, false, use, smooth>(level, axes, corners);
            return;
        case hashed: find_corners_as<hashed, false, use, smooth>(level, axes, corners); return;
        default: find_corners_as<wrapped, false, use, smooth>(level, axes, corners);
    }
}
template <CornerUse use, class T, int D>
FS_HOST_DEVICE void find_corners(bool smooth, const GridLevel& level, Axes<T> axes, Corners<T, D>& corners) {
    if (use != for_derivatives && smooth) {
        find_corners<use, true>(level, axes, corners);
    } else {
        find_corners<use, false>(level, axes, corners);  // for_derivatives stores fractions from before the ramp
    }
}

// Per-axis factors of the weights of a SIMD vector of points, and their derivatives.
template <class T, int D>
struct AxisFactors {
    Simd<T> lower[D], upper[D], slope[D], curvature[D];

    template <bool smooth>
    FS_HOST_DEVICE static AxisFactors of(const GridLevel& level, Axes<T> axes, const Corners<T, D>& corners, int p) {
        AxisFactors f;
        for (int axis = 0; axis < D; ++axis) {
            const Simd<T> fraction = load<Simd<T>>(&corners.fraction[axis][p]);
            f.upper[axis] = ramp<smooth>(fraction);
            f.lower[axis] = T(1) - f.upper[axis];
            ramp_derivatives<smooth>(axes.at(axis, p), broadcast(T(level.scale)), fraction, f.slope[axis],
                                     f.curvature[axis]);
        }
        return f;
    }

    // Derivatives of the corners' weights by the coordinate `axis`, and second derivatives by `axis` and `second`.
    FS_HOST_DEVICE void derivative_weights(int axis, Simd<T> (&weight)[1 << D]) const {
        Simd<T> low[D], high[D];
        for (int i = 0; i < D; ++i) {
            low[i] = i == axis ? -slope[i] : lower[i];
            high[i] = i == axis ? slope[i] : upper[i];
        }
        corner_weights<D>(low, high, weight);
    }
    FS_HOST_DEVICE void derivative_weights(int axis, int second, Simd<T> (&weight)[1 << D]) const {
        Simd<T> low[D], high[D];
        for (int i = 0; i < D; ++i) {
            const Simd<T> change = axis == second ? curvature[i] : slope[i];
            low[i] = i == axis || i == second ? -change : lower[i];
            high[i] = i == axis || i == second ? change : upper[i];
        }
        corner_weights<D>(low, high, weight);
    }
};

// Computes weights whose sum with the entries is the derivative of the features along the direction `along`.
template <bool smooth, class T, int D>
void direction_weights(const GridLevel& level, Axes<T> axes, Axes<T> along, Corners<T, D>& corners) {
    for (int p = 0; p < BLOCK; p += WIDTH<T>) {
        const AxisFactors<T, D> factors = AxisFactors<T, D>::template of<smooth>(level, axes, corners, p);
        Simd<T> total[1 << D] = {}, weight[1 << D];
        for (int axis = 0; axis < D; ++axis) {
            factors.derivative_weights(axis, weight);
            for (int c = 0; c < (1 << D); ++c) total[c] += weight[c] * along.at(axis, p);
        }
        for (int c = 0; c < (1 << D); ++c) store(&corners.weight[c][p], total[c]);
    }
}

template <class T, int D>
FS_HOST_DEVICE Simd<T> total(const Simd<T> (&weight)[1 << D], const T (*dots)[BLOCK], int p) {
    Simd<T> sum = {};
    for (int c = 0; c < (1 << D); ++c) sum += weight[c] * load<Simd<T>>(&dots[c][p]);
    return sum;
}

// Adds the derivative, by each coordinate, of the sum over corners of weight * dots to `sums`.
template <bool smooth, class T, int D>
void add_gradient(const GridLevel& level, Axes<T> axes, const Corners<T, D>& corners, const T (*dots)[BLOCK], T* sums) {
    for (int p = 0; p < BLOCK; p += WIDTH<T>) {
        const AxisFactors<T, D> factors = AxisFactors<T, D>::template of<smooth>(level, axes, corners, p);
        Simd<T> weight[1 << D];
        for (int axis = 0; axis < D; ++axis) {
            T* sum = sums + axis * axes.stride + p;
            factors.derivative_weights(axis, weight);
            store(sum, load<Simd<T>>(sum) + total<T, D>(weight, dots, p));
        }
    }
}

// The same for the directional derivative: sums[axis] += d/dx_axis of (direction . gradient).
template <bool smooth, class T, int D>
void add_second_gradient(const GridLevel& level, Axes<T> axes, Axes<T> along, const Corners<T, D>& corners,
                         const T (*dots)[BLOCK], T* sums) {
    for (int p = 0; p < BLOCK; p += WIDTH<T>) {
        const AxisFactors<T, D> factors = AxisFactors<T, D>::template of<smooth>(level, axes, corners, p);
        Simd<T> weight[1 << D];
        for (int axis = 0; axis < D; ++axis) {
            T* sum = sums + axis * axes.stride + p;
            Simd<T> result = load<Simd<T>>(sum);
            for (int second = 0; second < D; ++second) {
                if (second == axis && !smooth) continue;  // linear interpolation has no second derivative along an axis
                factors.derivative_weights(axis, second, weight);
                result += total<T, D>(weight, dots, p) * along.at(second, p);
            }
            store(sum, result);
        }
    }
}

}  // namespace
}  // namespace fs::FS_ISA
