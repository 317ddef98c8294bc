// Rays: where they are inside a box, their samples in an occupancy grid, and what is added up along them. One ray at a
// time, for both processors.
//
// Samples are packed: those of ray r are offsets[r] .. offsets[r + 1], front to back.
#pragma once

#include <cstdint>

#include "grid.h"

namespace fs {

// The pointers of the calls are to float, or to double where is_double; `workers` counts threads of the CPU.

struct BoxCall {
    int64_t rays;
    int32_t is_double, workers;
    double lower[3], upper[3];
    const void *origins, *directions;  // [rays, 3]
    void *near, *far;                  // [rays]
};

struct MarchCall {
    int64_t rays;
    int64_t first_ray;  // number of the first one, for the jitter
    int64_t longest;    // no ray has more steps than this
    int32_t is_double, workers;
    int32_t levels, resolution;  // a multiple of 4; each level is twice as large as the one before
    int32_t jitter;  // whether a ray's samples are moved by a share of a step that its number and the seed say
    uint32_t seed;
    int64_t most;                   // samples of a ray
    double centre[3], per_cell[3];  // of level 0: its centre, and 1 / the size of a cell
    double step, cone;              // a step from t on is max(step, cone * t) long
    const void *origins, *directions, *near, *far;
    const uint64_t* occupied;  // [levels, (resolution / 4)^3]: a bit a cell, a word a block of 4^3
    // [levels, (resolution / 4)^3]: blocks from here to the nearest one with something in it, less 1
    const uint8_t* clear;
    int64_t* counts;         // [rays], written by the first pass
    const int64_t* offsets;  // [rays + 1], read by the second
    void *starts, *ends;     // [samples]
    int64_t* ray_indices;    // [samples]
};

struct CompositeCall {
    int64_t rays;
    int32_t is_double, workers, channels, reserved;
    double threshold;               // a sample counts while the light that reaches it is at least this
    const void *density, *colors;   // [samples], [samples, channels]
    const void *starts, *ends;      // [samples]
    const int64_t* offsets;         // [rays + 1]
    void *color, *opacity, *depth;  // [rays, channels], [rays], [rays]
    void* weights;                  // [samples]; the backward pass reads them
    const void *grad_color, *grad_opacity, *grad_depth, *grad_weights;  // any may be null
    void *grad_density, *grad_colors;                                   // the second may be null
};

struct DistortionCall {
    int64_t rays;
    int32_t is_double, workers;
    const void *weights, *starts, *ends;  // [samples]
    const int64_t* offsets;
    void* loss;             // [rays]
    const void* grad_loss;  // [rays]
    void* grad_weights;     // [samples]; null: only the loss
};

struct ImportanceCall {
    int64_t rays, first_ray;
    int32_t is_double, workers;
    int32_t edges;  // of a ray's new intervals, one more than these
    int32_t jitter;
    uint32_t seed, reserved;
    const void *weights, *starts, *ends;  // [samples]
    const int64_t* offsets;
    void* out;  // [rays, edges]
};

template <class T>
FS_HOST_DEVICE T smaller(T a, T b) {
    return b < a ? b : a;
}
template <class T>
FS_HOST_DEVICE T larger(T a, T b) {
    return a < b ? b : a;
}

// A number in [0, 1) for a ray and a seed: 24 bits, exact in float and double. The mixing is lowbias32 (C. Wellons).
FS_HOST_DEVICE uint32_t mixed(uint32_t h) {
    h ^= h >> 16;
    h *= 0x7feb352du;
    h ^= h >> 15;
    h *= 0x846ca68bu;
    return h ^ h >> 16;
}
template <class T>
FS_HOST_DEVICE T share_of(int64_t ray, uint32_t seed) {
    return T(mixed(uint32_t(ray) ^ mixed(seed + 0x9e3779b9u)) >> 8) * T(1.0 / (1 << 24));
}

// [near, far] of a ray inside a box, both 0 where it misses.
template <class T>
FS_HOST_DEVICE void box_of_ray(const BoxCall& call, int64_t ray) {
    const T* origin = static_cast<const T*>(call.origins) + ray * 3;
    const T* direction = static_cast<const T*>(call.directions) + ray * 3;
    T near = T(0), far = T(0);
    bool hit = true, bounded = false;
    for (int axis = 0; axis < 3; ++axis) {
        const T lower = T(call.lower[axis]), upper = T(call.upper[axis]);
        if (direction[axis] == T(0)) {
            hit &= origin[axis] >= lower && origin[axis] <= upper;
            continue;
        }
        const T inverse = T(1) / direction[axis];
        const T one = (lower - origin[axis]) * inverse, other = (upper - origin[axis]) * inverse;
        near = larger(near, smaller(one, other));
        far = bounded ? smaller(far, larger(one, other)) : larger(one, other);
        bounded = true;
    }
    hit &= bounded && far > near;
    static_cast<T*>(call.near)[ray] = hit ? near : T(0);
    static_cast<T*>(call.far)[ray] = hit ? far : T(0);
}

// What the rays of a call have in common.
template <class T>
struct Cells {
    const uint64_t* words;
    const uint8_t* clear;
    int levels, resolution, blocks;
    T half;  // of a level, in cells

    FS_HOST_DEVICE explicit Cells(const MarchCall& call)
        : words(call.occupied), clear(call.clear), levels(call.levels), resolution(call.resolution),
          blocks(call.resolution / 4), half(T(call.resolution) * T(0.5)) {}

    // How many cells of level 0 are clear around a point, counted along the axis where it is farthest; negative if its
    // own cell, of the finest level that contains it, is occupied. Outside of all levels nothing is.
    FS_HOST_DEVICE T clear_around(const T (&from)[3], const T (&along)[3], T t) const {
        T at[3], farthest = T(0);
        for (int axis = 0; axis < 3; ++axis) {
            at[axis] = from[axis] + t * along[axis];
            farthest = larger(farthest, at[axis] < T(0) ? -at[axis] : at[axis]);
        }
        int level = 0;
        T shrink = T(1);
        while (level < levels && !(farthest * shrink < half)) {
            ++level;
            shrink *= T(0.5);
        }
        if (level == levels) return T(0);
        uint32_t cell[3];
        for (int axis = 0; axis < 3; ++axis) {
            const int32_t found = int32_t(at[axis] * shrink + half);
            cell[axis] = uint32_t(found < resolution - 1 ? found : resolution - 1);
        }
        const int64_t block =
            ((int64_t(level) * blocks + (cell[0] >> 2)) * blocks + (cell[1] >> 2)) * blocks + (cell[2] >> 2);
        if (words[block] >> ((cell[0] & 3) * 16 + (cell[1] & 3) * 4 + (cell[2] & 3)) & 1) return T(-1);
        // A little less, for rounding.
        return clear[block] ? (T(clear[block]) - T(0.02)) * T(4) / shrink : T(0);
    }
};

// The steps of a ray, whether occupied or not: where step k starts depends on nothing but the ray, so leaving some out
// moves none of the others. `from` and `along` are the ray in cells of level 0, counted from the grid's centre.
template <class T>
struct Steps {
    T near, far, share, step, cone, from[3], along[3];

    FS_HOST_DEVICE Steps(const MarchCall& call, int64_t ray)
        : near(static_cast<const T*>(call.near)[ray]), far(static_cast<const T*>(call.far)[ray]),
          share(call.jitter ? share_of<T>(call.first_ray + ray, call.seed) : T(0)), step(T(call.step)),
          cone(T(call.cone)) {
        for (int axis = 0; axis < 3; ++axis) {
            from[axis] =
                (static_cast<const T*>(call.origins)[ray * 3 + axis] - T(call.centre[axis])) * T(call.per_cell[axis]);
            along[axis] = static_cast<const T*>(call.directions)[ray * 3 + axis] * T(call.per_cell[axis]);
        }
    }

    FS_HOST_DEVICE T length(T t) const { return larger(step, cone * t); }
    FS_HOST_DEVICE T first() const { return cone > T(0) ? near + share * length(near) : start(0); }
    FS_HOST_DEVICE T start(int64_t k) const { return near + (T(k) + share) * step; }
    FS_HOST_DEVICE T next(T from, int64_t k) const { return cone > T(0) ? from + length(from) : start(k + 1); }
};

// Calls take(start, end) for the occupied steps of a ray, at most `most` of them; returns how many there were.
template <class T, class Take>
FS_HOST_DEVICE int64_t march_ray(const MarchCall& call, const Cells<T>& cells, int64_t ray, int64_t most,
                                 const Take& take) {
    const Steps<T> steps(call, ray);
    T fastest = T(0);
    for (int axis = 0; axis < 3; ++axis)
        fastest = larger(fastest, steps.along[axis] < T(0) ? -steps.along[axis] : steps.along[axis]);
    int64_t taken = 0;
    T start = steps.first(), clear_until = steps.near;
    for (int64_t k = 0; k < call.longest && taken < most; ++k) {
        T end = steps.next(start, k);
        const T middle = (start + end) * T(0.5);
        if (!(middle < steps.far)) break;
        if (!(middle < clear_until)) {
            const T clear = cells.clear_around(steps.from, steps.along, middle);
            if (clear < T(0)) {
                take(start, end);
                ++taken;
            } else if (clear > T(0)) {
                clear_until = middle + clear / fastest;
                if (!(steps.cone > T(0))) {
                    k += int64_t(smaller(clear / fastest / steps.step, T(1 << 22)));
                    end = steps.start(k + 1);
                }
            }
        }
        start = end;
    }
    return taken;
}

// mip-NeRF 360 (Barron et al. 2022), equation 15, in one pass: intervals are in order, so the double sum of
// w_i w_j |m_i - m_j| needs only what was added up before i. Middles count from the ray's first, as sums of large ones
// would cancel.
template <class T>
FS_HOST_DEVICE void distortion_of_ray(const DistortionCall& call, int64_t ray) {
    const int64_t first = call.offsets[ray], last = call.offsets[ray + 1];
    const T* weights = static_cast<const T*>(call.weights);
    const T* starts = static_cast<const T*>(call.starts);
    const T* ends = static_cast<const T*>(call.ends);
    T mass = T(0), moment = T(0), pairs = T(0), within = T(0);
    const T origin = first < last ? starts[first] : T(0);
    for (int64_t i = first; i < last; ++i) {
        const T w = weights[i], middle = ((starts[i] - origin) + (ends[i] - origin)) * T(0.5);
        pairs += w * (middle * mass - moment);
        within += w * w * (ends[i] - starts[i]);
        mass += w;
        moment += w * middle;
    }
    if (call.loss) static_cast<T*>(call.loss)[ray] = T(2) * pairs + within / T(3);
    if (!call.grad_weights) return;
    const T grad = static_cast<const T*>(call.grad_loss)[ray];
    T before = T(0), moment_before = T(0);
    for (int64_t i = first; i < last; ++i) {
        const T w = weights[i], middle = ((starts[i] - origin) + (ends[i] - origin)) * T(0.5);
        const T behind = mass - before - w, moment_behind = moment - moment_before - w * middle;
        const T slope = T(2) * (middle * (before - behind) - (moment_before - moment_behind)) +
                        T(2) / T(3) * w * (ends[i] - starts[i]);
        static_cast<T*>(call.grad_weights)[i] = grad * slope;
        before += w;
        moment_before += w * middle;
    }
}

// Edges that cut a ray's weight, spread evenly within each interval, into equal parts: edge k has (k + share) / edges
// of it before it. A ray without weight is cut into equal lengths, one without intervals gets zeros.
template <class T>
FS_HOST_DEVICE void importance_of_ray(const ImportanceCall& call, int64_t ray) {
    const int64_t first = call.offsets[ray], last = call.offsets[ray + 1];
    const T* weights = static_cast<const T*>(call.weights);
    const T* starts = static_cast<const T*>(call.starts);
    const T* ends = static_cast<const T*>(call.ends);
    T* out = static_cast<T*>(call.out) + ray * call.edges;
    const T share = call.jitter ? share_of<T>(call.first_ray + ray, call.seed) : T(0.5);
    T total = T(0), length = T(0);
    for (int64_t i = first; i < last; ++i) {
        total += weights[i];
        length += ends[i] - starts[i];
    }
    const bool even = !(total > T(0));
    const T whole = even ? length : total;
    int64_t i = first;
    T before = T(0);
    for (int k = 0; k < call.edges; ++k) {
        if (first == last) {
            out[k] = T(0);
            continue;
        }
        const T wanted = (T(k) + share) / T(call.edges) * whole;
        const auto mass = [&](int64_t j) { return even ? ends[j] - starts[j] : weights[j]; };
        while (i + 1 < last && before + mass(i) <= wanted) before += mass(i++);
        const T here = mass(i), part = here > T(0) ? (wanted - before) / here : T(0);
        out[k] = starts[i] + smaller(part, T(1)) * (ends[i] - starts[i]);
    }
}

}  // namespace fs
