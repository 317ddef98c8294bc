// A block of points at one level: their corners, weights and derivatives. Loops over the points of a block are written
// for the compiler to vectorise.
#pragma once

#include "../common/grid.h"
#include "vector.h"

namespace fs::FS_ISA {
namespace {

constexpr int BLOCK = 64;

template <class T, int D>
struct Place {
    T share[D][BLOCK];  // of the cell, before the interpolation's ramp
};

template <class T, int D>
struct Corners {
    uint32_t entry[1 << D][BLOCK];  // within the level
    T weight[1 << D][BLOCK];
};

template <uint32_t addressing, class T, int D>
inline void find_entries_as(const GridLevel& level, const T* axes, int axis_stride, Place<T, D>& place,
                            Corners<T, D>& corners) {
    const AxisSteps steps = axis_steps(level, D);
    const T scale = T(level.scale);
    const uint32_t size = level.size;
    for (int p = 0; p < BLOCK; ++p) {
        uint32_t partial[1 << D];
        for (int axis = 0; axis < D; ++axis) {
            uint32_t cell;
            T share;
            locate(axes[axis * axis_stride + p], scale, cell, share);
            place.share[axis][p] = share;
            const uint32_t low = cell * steps.step[axis], high = low + steps.step[axis];
            for (int c = 0; c < (1 << axis); ++c) {
                const uint32_t before = axis ? partial[c] : 0u;
                partial[c | (1 << axis)] = axis ? join<addressing>(before, high) : high;
                partial[c] = axis ? join<addressing>(before, low) : low;
            }
        }
        for (int c = 0; c < (1 << D); ++c) corners.entry[c][p] = entry<addressing>(partial[c], size);
    }
}

template <class T, int D>
inline void find_entries(const GridLevel& level, const T* axes, int axis_stride, Place<T, D>& place,
                         Corners<T, D>& corners) {
    switch (level.addressing) {
        case dense: return find_entries_as<dense>(level, axes, axis_stride, place, corners);
        case hashed: return find_entries_as<hashed>(level, axes, axis_stride, place, corners);
        default: return find_entries_as<wrapped>(level, axes, axis_stride, place, corners);
    }
}

// The product over the axes of upper (bit set) or lower factors, for every corner.
template <class T, int D>
inline void products(const T (&lower)[D], const T (&upper)[D], T (&out)[1 << D]) {
    out[0] = lower[0];
    out[1] = upper[0];
    for (int axis = 1; axis < D; ++axis) {
        for (int c = 0; c < (1 << axis); ++c) {
            out[c | (1 << axis)] = out[c] * upper[axis];
            out[c] = out[c] * lower[axis];
        }
    }
}

template <class T, int D, bool smooth>
inline void value_weights(const Place<T, D>& place, Corners<T, D>& corners) {
    for (int p = 0; p < BLOCK; ++p) {
        T lower[D], upper[D], weight[1 << D];
        for (int axis = 0; axis < D; ++axis) {
            upper[axis] = ramp<smooth>(place.share[axis][p]);
            lower[axis] = T(1) - upper[axis];
        }
        products<T, D>(lower, upper, weight);
        for (int c = 0; c < (1 << D); ++c) corners.weight[c][p] = weight[c];
    }
}

// Weights whose sum with the entries is the derivative of the features along `along`.
template <class T, int D, bool smooth>
inline void direction_weights(const GridLevel& level, const T* axes, const T* along, int axis_stride,
                              const Place<T, D>& place, Corners<T, D>& corners) {
    for (int p = 0; p < BLOCK; ++p) {
        T lower[D], upper[D], moved[D], total[1 << D];
        for (int axis = 0; axis < D; ++axis) {
            T slope, curve;
            const T x = axes[axis * axis_stride + p];
            chain<T, smooth>(x, T(level.scale), place.share[axis][p], slope, curve);
            upper[axis] = ramp<smooth>(place.share[axis][p]);
            lower[axis] = T(1) - upper[axis];
            moved[axis] = slope * along[axis * axis_stride + p];
        }
        for (int c = 0; c < (1 << D); ++c) total[c] = T(0);
        for (int axis = 0; axis < D; ++axis) {
            T low[D], high[D], weight[1 << D];
            for (int other = 0; other < D; ++other) {
                low[other] = other == axis ? -moved[axis] : lower[other];
                high[other] = other == axis ? moved[axis] : upper[other];
            }
            products<T, D>(low, high, weight);
            for (int c = 0; c < (1 << D); ++c) total[c] += weight[c];
        }
        for (int c = 0; c < (1 << D); ++c) corners.weight[c][p] = total[c];
    }
}

// sums[axis] += derivative of sum over corners of weight * dots by the coordinate.
template <class T, int D, bool smooth>
inline void add_gradient(const GridLevel& level, const T* axes, int axis_stride, const Place<T, D>& place,
                         const T (*dots)[BLOCK], T* sums) {
    for (int p = 0; p < BLOCK; ++p) {
        T lower[D], upper[D], slope[D], curve;
        for (int axis = 0; axis < D; ++axis) {
            const T x = axes[axis * axis_stride + p];
            chain<T, smooth>(x, T(level.scale), place.share[axis][p], slope[axis], curve);
            upper[axis] = ramp<smooth>(place.share[axis][p]);
            lower[axis] = T(1) - upper[axis];
        }
        for (int axis = 0; axis < D; ++axis) {
            T low[D], high[D], weight[1 << D], sum = T(0);
            for (int other = 0; other < D; ++other) {
                low[other] = other == axis ? -slope[axis] : lower[other];
                high[other] = other == axis ? slope[axis] : upper[other];
            }
            products<T, D>(low, high, weight);
            for (int c = 0; c < (1 << D); ++c) sum += weight[c] * dots[c][p];
            sums[axis * axis_stride + p] += sum;
        }
    }
}

// The same for the derivative along a direction: sums[axis] += d/dx_axis of (direction . gradient).
template <class T, int D, bool smooth>
inline void add_second_gradient(const GridLevel& level, const T* axes, const T* along, int axis_stride,
                                const Place<T, D>& place, const T (*dots)[BLOCK], T* sums) {
    for (int p = 0; p < BLOCK; ++p) {
        T lower[D], upper[D], slope[D], curve[D];
        for (int axis = 0; axis < D; ++axis) {
            const T x = axes[axis * axis_stride + p];
            chain<T, smooth>(x, T(level.scale), place.share[axis][p], slope[axis], curve[axis]);
            upper[axis] = ramp<smooth>(place.share[axis][p]);
            lower[axis] = T(1) - upper[axis];
        }
        for (int axis = 0; axis < D; ++axis) {
            T total = T(0);
            for (int second = 0; second < D; ++second) {
                if (second == axis && !smooth) continue;  // linear interpolation has no curvature along an axis
                T low[D], high[D], weight[1 << D], sum = T(0);
                for (int other = 0; other < D; ++other) {
                    const T change = second == axis ? curve[axis] : slope[other];
                    const bool derived = other == axis || other == second;
                    low[other] = derived ? -change : lower[other];
                    high[other] = derived ? change : upper[other];
                }
                products<T, D>(low, high, weight);
                for (int c = 0; c < (1 << D); ++c) sum += weight[c] * dots[c][p];
                total += sum * along[second * axis_stride + p];
            }
            sums[axis * axis_stride + p] += total;
        }
    }
}

}  // namespace
}  // namespace fs::FS_ISA
