// Operations on rays, one ray at a time, for both processors: intersection with a box, marching through an occupancy
// grid (Müller et al. 2022, appendix E), the distortion loss and importance sampling.
//
// Samples are packed: those of ray r are offsets[r] .. offsets[r + 1] - 1, front to back.
#pragma once

#include <cstdint>

#include "grid.h"

namespace fs {

// Mirrored by the structures of the same names in fields/ops/ray_kernels.py. Arrays given as void* are float32, or
// float64 where is_double; rows are contiguous. `num_threads` is for the CPU.

struct BoxCall {
    int64_t rays;
    int32_t is_double, num_threads;
    double lower[3], upper[3];
    const void *origins, *directions;  // [rays, 3]
    void *near, *far;                  // [rays]
};

struct MarchCall {
    int64_t rays;
    int64_t first_ray;  // index of the first ray, for the jitter
    int64_t max_steps;  // upper bound of the steps of a ray
    int32_t is_double, num_threads;
    int32_t cascades;    // each is twice as large as the one before
    int32_t resolution;  // cells a side, a multiple of 4
    int32_t jitter;      // whether samples are moved by a fraction of a step that depends on ray and seed
    uint32_t seed;
    int64_t max_samples;                     // upper bound of the samples of a ray
    double centre[3], inverse_cell_size[3];  // of cascade 0
    double step, cone;                       // the step at t is max(step, cone * t) long
    const void *origins, *directions, *near, *far;
    const uint64_t* occupied;  // [cascades, (resolution / 4)^3]: a bit a cell, a word a block of 4^3 cells
    // [cascades, (resolution / 4)^3]: distance in blocks (largest over the axes) to the nearest occupied block, minus 1
    const uint8_t* clearance;
    int64_t* counts;         // [rays], written by fs_march_count
    const int64_t* offsets;  // [rays + 1], read by fs_march_write
    void *starts, *ends;     // [samples]
    int64_t* ray_indices;    // [samples]
};

struct CompositeCall {
    int64_t rays;
    int32_t is_double, num_threads, channels, reserved;
    double threshold;               // samples with less transmittance in front of them have weight zero
    const void *density, *colors;   // [samples], [samples, channels]
    const void *starts, *ends;      // [samples]
    const int64_t* offsets;         // [rays + 1]
    void *color, *opacity, *depth;  // [rays, channels], [rays], [rays]
    void* weights;                  // [samples]; the backward pass reads them
    const void *grad_color, *grad_opacity, *grad_depth, *grad_weights;  // as the results; any may be null
    void *grad_density, *grad_colors;  // as density and colors; grad_colors may be null
};

struct DistortionCall {
    int64_t rays;
    int32_t is_double, num_threads;
    const void *weights, *starts, *ends;  // [samples]
    const int64_t* offsets;
    void* loss;             // [rays]
    const void* grad_loss;  // [rays]; read if grad_weights is not null
    void* grad_weights;     // [samples], or null
};

struct ImportanceCall {
    int64_t rays, first_ray;
    int32_t is_double, num_threads;
    int32_t edges;  // edges of a ray's new intervals: one more than there are intervals
    int32_t jitter;
    uint32_t seed, reserved;
    const void *weights, *starts, *ends;  // [samples]
    const int64_t* offsets;
    void* out;  // [rays, edges]
};

template <class T>
FS_HOST_DEVICE T min_of(T a, T b) {
    return b < a ? b : a;
}
template <class T>
FS_HOST_DEVICE T max_of(T a, T b) {
    return a < b ? b : a;
}

// Jitter of a ray: a uniform number in [0, 1) from its index and a seed, of 24 bits, so that it is exact in float32 and
// float64. The hash is lowbias32 (C. Wellons, "Prospecting for hash functions", 2018).
FS_HOST_DEVICE uint32_t hash32(uint32_t h) {
    h ^= h >> 16;
    h *= 0x7feb352du;
    h ^= h >> 15;
    h *= 0x846ca68bu;
    return h ^ h >> 16;
}
template <class T>
FS_HOST_DEVICE T jitter_of(int64_t ray, uint32_t seed) {
    return T(hash32(uint32_t(ray) ^ hash32(seed + 0x9e3779b9u)) >> 8) * T(1.0 / (1 << 24));
}

// Writes the entry and exit distance of a ray and a box, both 0 where it misses (slab method, Kay & Kajiya 1986).
template <class T>
FS_HOST_DEVICE void intersect_box(const BoxCall& call, int64_t ray) {
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
        near = max_of(near, min_of(one, other));
        far = bounded ? min_of(far, max_of(one, other)) : max_of(one, other);
        bounded = true;
    }
    hit &= bounded && far > near;
    static_cast<T*>(call.near)[ray] = hit ? near : T(0);
    static_cast<T*>(call.far)[ray] = hit ? far : T(0);
}

// The occupancy grid of a call, as all rays read it.
template <class T>
struct OccupancyGrid {
    const uint64_t* words;
    const uint8_t* clearance;
    int cascades, resolution, blocks;
    T half;  // half a cascade's side, in cells

    FS_HOST_DEVICE explicit OccupancyGrid(const MarchCall& call)
        : words(call.occupied), clearance(call.clearance), cascades(call.cascades), resolution(call.resolution),
          blocks(call.resolution / 4), half(T(call.resolution) * T(0.5)) {}

    // Radius (maximum norm, in cells of cascade 0) of the empty surroundings of the point at t; negative if the cell
    // that contains the point, in the finest cascade that does, is occupied. Outside of all cascades it is 0.
    FS_HOST_DEVICE T clearance_at(const T (&from)[3], const T (&along)[3], T t) const {
        T at[3], farthest = T(0);
        for (int axis = 0; axis < 3; ++axis) {
            at[axis] = from[axis] + t * along[axis];
            farthest = max_of(farthest, at[axis] < T(0) ? -at[axis] : at[axis]);
        }
        int cascade = 0;
        T scale = T(1);
        while (cascade < cascades && !(farthest * scale < half)) {
            ++cascade;
            scale *= T(0.5);
        }
        if (cascade == cascades) return T(0);
        uint32_t cell[3];
        for (int axis = 0; axis < 3; ++axis) {
            const int32_t found = int32_t(at[axis] * scale + half);
            cell[axis] = uint32_t(found < resolution - 1 ? found : resolution - 1);
        }
        const int64_t block =
            ((int64_t(cascade) * blocks + (cell[0] >> 2)) * blocks + (cell[1] >> 2)) * blocks + (cell[2] >> 2);
        if (words[block] >> ((cell[0] & 3) * 16 + (cell[1] & 3) * 4 + (cell[2] & 3)) & 1) return T(-1);
        // Slightly less, because of rounding.
        return clearance[block] ? (T(clearance[block]) - T(0.02)) * T(4) / scale : T(0);
    }
};

// The steps of a ray. Where step k starts depends on the ray alone, so leaving out some steps moves none of the others.
// `from` and `along` are origin and direction in cells of cascade 0, from the grid's centre.
template <class T>
struct RaySteps {
    T near, far, jitter, step, cone, from[3], along[3];

    FS_HOST_DEVICE RaySteps(const MarchCall& call, int64_t ray)
        : near(static_cast<const T*>(call.near)[ray]), far(static_cast<const T*>(call.far)[ray]),
          jitter(call.jitter ? jitter_of<T>(call.first_ray + ray, call.seed) : T(0)), step(T(call.step)),
          cone(T(call.cone)) {
        for (int axis = 0; axis < 3; ++axis) {
            from[axis] = (static_cast<const T*>(call.origins)[ray * 3 + axis] - T(call.centre[axis])) *
                         T(call.inverse_cell_size[axis]);
            along[axis] = static_cast<const T*>(call.directions)[ray * 3 + axis] * T(call.inverse_cell_size[axis]);
        }
    }

    FS_HOST_DEVICE T length(T t) const { return max_of(step, cone * t); }
    FS_HOST_DEVICE T first() const { return cone > T(0) ? near + jitter * length(near) : start(0); }
    FS_HOST_DEVICE T start(int64_t k) const { return near + (T(k) + jitter) * step; }
    FS_HOST_DEVICE T next(T from, int64_t k) const { return cone > T(0) ? from + length(from) : start(k + 1); }
};

// Calls emit(start, end) for the steps of a ray in occupied cells, up to `max_samples`; returns how many there were.
template <class T, class Emit>
FS_HOST_DEVICE int64_t march_ray(const MarchCall& call, const OccupancyGrid<T>& grid, int64_t ray, int64_t max_samples,
                                 const Emit& emit) {
    const RaySteps<T> steps(call, ray);
    T max_rate = T(0);
    for (int axis = 0; axis < 3; ++axis)
        max_rate = max_of(max_rate, steps.along[axis] < T(0) ? -steps.along[axis] : steps.along[axis]);
    int64_t emitted = 0;
    T start = steps.first(), skip_until = steps.near;
    for (int64_t k = 0; k < call.max_steps && emitted < max_samples; ++k) {
        T end = steps.next(start, k);
        const T midpoint = (start + end) * T(0.5);
        if (!(midpoint < steps.far)) break;
        if (!(midpoint < skip_until)) {
            const T clearance = grid.clearance_at(steps.from, steps.along, midpoint);
            if (clearance < T(0)) {
                emit(start, end);
                ++emitted;
            } else if (clearance > T(0)) {
                skip_until = midpoint + clearance / max_rate;
                if (!(steps.cone > T(0))) {
                    k += int64_t(min_of(clearance / max_rate / steps.step, T(1 << 22)));
                    end = steps.start(k + 1);
                }
            }
        }
        start = end;
    }
    return emitted;
}

// Distortion loss of a ray and its gradient by the weights (mip-NeRF 360, Barron et al. 2022, equation 15) in linear
// time: intervals are sorted, so the double sum of w_i w_j |m_i - m_j| needs only running sums over the intervals
// before i. Midpoints are counted from the ray's first edge, because differences of large sums would cancel.
template <class T>
FS_HOST_DEVICE void distortion_of_ray(const DistortionCall& call, int64_t ray) {
    const int64_t first = call.offsets[ray], last = call.offsets[ray + 1];
    const T* weights = static_cast<const T*>(call.weights);
    const T* starts = static_cast<const T*>(call.starts);
    const T* ends = static_cast<const T*>(call.ends);
    T mass = T(0), moment = T(0), pairs = T(0), within = T(0);
    const T origin = first < last ? starts[first] : T(0);
    for (int64_t i = first; i < last; ++i) {
        const T w = weights[i], midpoint = ((starts[i] - origin) + (ends[i] - origin)) * T(0.5);
        pairs += w * (midpoint * mass - moment);
        within += w * w * (ends[i] - starts[i]);
        mass += w;
        moment += w * midpoint;
    }
    if (call.loss) static_cast<T*>(call.loss)[ray] = T(2) * pairs + within / T(3);
    if (!call.grad_weights) return;
    const T grad = static_cast<const T*>(call.grad_loss)[ray];
    T before = T(0), moment_before = T(0);
    for (int64_t i = first; i < last; ++i) {
        const T w = weights[i], midpoint = ((starts[i] - origin) + (ends[i] - origin)) * T(0.5);
        const T behind = mass - before - w, moment_behind = moment - moment_before - w * midpoint;
        const T slope = T(2) * (midpoint * (before - behind) - (moment_before - moment_behind)) +
                        T(2) / T(3) * w * (ends[i] - starts[i]);
        static_cast<T*>(call.grad_weights)[i] = grad * slope;
        before += w;
        moment_before += w * midpoint;
    }
}

// Importance sampling (Mildenhall et al. 2020, section 5.2): edges that cut a ray's weight, taken as constant within
// each interval, into equal parts; a fraction (k + jitter) / edges of the weight lies before edge k. A ray without
// weight is cut into equal lengths, one without intervals gets zeros.
template <class T>
FS_HOST_DEVICE void importance_of_ray(const ImportanceCall& call, int64_t ray) {
    const int64_t first = call.offsets[ray], last = call.offsets[ray + 1];
    const T* weights = static_cast<const T*>(call.weights);
    const T* starts = static_cast<const T*>(call.starts);
    const T* ends = static_cast<const T*>(call.ends);
    T* out = static_cast<T*>(call.out) + ray * call.edges;
    const T jitter = call.jitter ? jitter_of<T>(call.first_ray + ray, call.seed) : T(0.5);
    T total = T(0), length = T(0);
    for (int64_t i = first; i < last; ++i) {
        total += weights[i];
        length += ends[i] - starts[i];
    }
    const bool uniform = !(total > T(0));
    const T whole = uniform ? length : total;
    int64_t i = first;
    T before = T(0);
    for (int k = 0; k < call.edges; ++k) {
        if (first == last) {
            out[k] = T(0);
            continue;
        }
        const T wanted = (T(k) + jitter) / T(call.edges) * whole;
        const auto mass = [&](int64_t j) { return uniform ? ends[j] - starts[j] : weights[j]; };
        while (i + 1 < last && before + mass(i) <= wanted) before += mass(i++);
        const T here = mass(i), part = here > T(0) ? (wanted - before) / here : T(0);
        out[k] = starts[i] + min_of(part, T(1)) * (ends[i] - starts[i]);
    }
}

}  // namespace fs
