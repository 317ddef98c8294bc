// Intersection with boxes and marching through occupancy grids on the CPU. In float32 a ray is marched one SIMD vector
// of steps at a time, skipping vectors that lie wholly in empty surroundings. All other steps are tested, so which ones
// become samples does not depend on what was skipped.
#include "parallel.h"
#include "rays.h"
#include "simd.h"

namespace fs::FS_ISA {
namespace {

constexpr int RAYS_PER_GROUP = 64;

// Calls body(ray) for all rays, in groups, each on the next free thread.
template <class Body>
void for_each_ray(int64_t rays, int num_threads, const Body& body) {
    const int groups = int((rays + RAYS_PER_GROUP - 1) / RAYS_PER_GROUP);
    parallel_for(groups, num_threads, [&](int group) {
        const int64_t first = int64_t(group) * RAYS_PER_GROUP, last = min_of(first + RAYS_PER_GROUP, rays);
        for (int64_t ray = first; ray < last; ++ray) body(ray);
    });
}

using Floats = Simd<float>;
using Index = SimdIndex<float>;
using SimdInt32 = SimdTypes<float>::int32;
constexpr int LANES = WIDTH<float>;

FS_HOST_DEVICE Floats absolute(Floats x) { return (Floats)((SimdInt32)x & 0x7fffffff); }

// A bit for each lane that is true.
FS_HOST_DEVICE uint32_t mask_of(SimdInt32 truth) {
#if defined(__AVX512F__)
    return _mm512_cmpneq_epi32_mask((__m512i)truth, _mm512_setzero_si512());
#elif defined(__AVX2__)
    return uint32_t(_mm256_movemask_ps((__m256)truth));
#elif defined(__aarch64__)
    const uint32x4_t bit = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32((uint32x4_t)truth, bit));
#else
    uint32_t bits = 0;
    for (int i = 0; i < LANES; ++i) bits |= uint32_t(truth[i] & 1) << i;
    return bits;
#endif
}

FS_HOST_DEVICE Index gather(const uint32_t* table, Index index) {
#if defined(__AVX512F__)
    return (Index)_mm512_i32gather_epi32((__m512i)index, table, 4);
#elif defined(__AVX2__)
    return (Index)_mm256_i32gather_epi32(reinterpret_cast<const int*>(table), (__m256i)index, 4);
#else
    Index found;
    for (int i = 0; i < LANES; ++i) found[i] = table[index[i]];
    return found;
#endif
}

// Result for a vector of steps: a bit for each occupied step; cascade and block of the last step, or cascade -1 if that
// is outside.
struct ProbeResult {
    uint32_t bits;
    int32_t last_cascade, last_block;
};

// The computation of OccupancyGrid::clearance_at, with the same operations and rounding.
template <bool single_cascade>
FS_HOST_DEVICE ProbeResult probe(const OccupancyGrid<float>& grid, const RaySteps<float>& steps, Floats t) {
    Floats at[3], farthest = {};
    for (int axis = 0; axis < 3; ++axis) {
        at[axis] = t * steps.along[axis] + steps.from[axis];
        const Floats size = absolute(at[axis]);
        farthest = farthest < size ? size : farthest;
    }
    SimdInt32 cascade = {}, within = farthest < grid.half;
    Floats scale = broadcast(1.0f);
    if (!single_cascade) {
        for (int l = 0; l < grid.cascades; ++l) {
            const SimdInt32 outside = ~(farthest * scale < grid.half);
            cascade -= outside;
            scale = outside ? scale * 0.5f : scale;
        }
        within = cascade < grid.cascades;
    }
    const uint32_t inside = mask_of(within);
    if (!inside) return {0, -1, 0};
    const int32_t last_cell = grid.resolution - 1;
    Index cell[3];
    for (int axis = 0; axis < 3; ++axis) {
        SimdInt32 found =
            __builtin_convertvector(single_cascade ? at[axis] + grid.half : at[axis] * scale + grid.half, SimdInt32);
        found = found < last_cell ? found : SimdInt32{} + last_cell;
        cell[axis] = (Index)(found & within);
    }
    const uint32_t blocks = uint32_t(grid.blocks);
    Index block = (cell[0] >> 2) * (blocks * blocks) + ((cell[1] >> 2) * blocks + (cell[2] >> 2));
    if (!single_cascade) block += (Index)(cascade & within) * (blocks * blocks * blocks);
    const Index bit = (cell[0] & 3) * 16 + (cell[1] & 3) * 4 + (cell[2] & 3);
    // Little endian: the lower half of a word comes first.
    const Index half = gather(reinterpret_cast<const uint32_t*>(grid.words), block * 2 + (bit >> 5));
    const uint32_t bits = mask_of((SimdInt32)((half >> (bit & 31)) << 31) < 0) & inside;
    if (bits) return {bits, -1, 0};
    return {0, inside >> (LANES - 1) ? single_cascade ? 0 : cascade[LANES - 1] : -1, int32_t(block[LANES - 1])};
}

// march_ray for float32. emit(start, end, bits) gets a vector of steps, with a bit for each one that is a sample.
template <bool single_cascade, class Emit>
FS_HOST_DEVICE int64_t march_simd(const MarchCall& call, const OccupancyGrid<float>& grid, int64_t ray,
                                  int64_t max_samples, const Emit& emit) {
    const RaySteps<float> steps(call, ray);
    const bool growing = steps.cone > 0.0f;
    float max_rate = 0.0f;
    for (int axis = 0; axis < 3; ++axis)
        max_rate = max_of(max_rate, steps.along[axis] < 0.0f ? -steps.along[axis] : steps.along[axis]);
    const float t_per_block = 4.0f / max_rate, steps_per_t = 1.0f / steps.step;
    SimdInt32 lane = {};
    for (int i = 0; i < LANES; ++i) lane[i] = i;
    int64_t emitted = 0;
    float edges[LANES + 1] = {steps.first()}, skip_until = -1.0f;
    for (int64_t k = 0; k < call.max_steps; k += LANES) {
        Floats start, end;
        if (growing) {
            for (int i = 0; i < LANES; ++i) edges[i + 1] = steps.next(edges[i], 0);
            start = load<Floats>(edges);
            end = load<Floats>(edges + 1);
            edges[0] = edges[LANES];
            if (edges[LANES] < skip_until) continue;
        } else {
            const SimdInt32 index = lane + int32_t(k);
            start = (__builtin_convertvector(index, Floats) + steps.jitter) * steps.step + steps.near;
            end = (__builtin_convertvector(index + 1, Floats) + steps.jitter) * steps.step + steps.near;
        }
        const Floats midpoint = (start + end) * 0.5f;
        const uint32_t before_far = mask_of(midpoint < steps.far);
        const ProbeResult found = probe<single_cascade>(grid, steps, midpoint);
        uint32_t bits = found.bits & before_far;
        if (k + LANES > call.max_steps) bits &= (1u << (call.max_steps - k)) - 1;
        if (bits) {
            int count = __builtin_popcount(bits);
            for (; emitted + count > max_samples; --count) bits &= ~(1u << (31 - __builtin_clz(bits)));
            emit(start, end, bits);
            emitted += count;
            if (emitted == max_samples) break;
        }
        if (!(before_far >> (LANES - 1))) break;
        if (found.last_cascade >= 0) {
            // The empty distance from the last step on, slightly less because of rounding.
            const float distance =
                (float(call.clearance[found.last_block]) - 0.02f) * t_per_block * float(1 << found.last_cascade);
            if (growing) {
                skip_until = midpoint[LANES - 1] + distance;
            } else if (distance > 0.0f) {
                k += int64_t(min_of(distance * steps_per_t, float(1 << 23)));
            }
        }
    }
    return emitted;
}

// Writes the lanes whose bit is set one after another, and the ray's index beside each.
FS_HOST_DEVICE void write_samples(const MarchCall& call, int64_t ray, int64_t at, Floats start, Floats end,
                                  uint32_t bits) {
    float *starts = static_cast<float*>(call.starts) + at, *ends = static_cast<float*>(call.ends) + at;
    int64_t* indices = call.ray_indices + at;
#if defined(__AVX512F__)
    const int count = __builtin_popcount(bits);
    const __mmask16 filled = __mmask16((1u << count) - 1);
    _mm512_mask_storeu_ps(starts, filled, _mm512_maskz_compress_ps(__mmask16(bits), (__m512)start));
    _mm512_mask_storeu_ps(ends, filled, _mm512_maskz_compress_ps(__mmask16(bits), (__m512)end));
    const __m512i index = _mm512_set1_epi64(ray);
    _mm512_mask_storeu_epi64(indices, __mmask8(filled), index);
    if (count > 8) _mm512_mask_storeu_epi64(indices + 8, __mmask8(filled >> 8), index);
#else
    float all_starts[LANES], all_ends[LANES];
    store(all_starts, start);
    store(all_ends, end);
    for (int n = 0; bits; bits &= bits - 1, ++n) {
        const int i = __builtin_ctz(bits);
        starts[n] = all_starts[i];
        ends[n] = all_ends[i];
        indices[n] = ray;
    }
#endif
}

template <bool single_cascade>
void count_floats(const MarchCall& call) {
    const OccupancyGrid<float> grid(call);
    for_each_ray(call.rays, call.num_threads, [&](int64_t ray) {
        call.counts[ray] =
            march_simd<single_cascade>(call, grid, ray, call.max_samples, [](Floats, Floats, uint32_t) {});
    });
}

template <bool single_cascade>
void write_floats(const MarchCall& call) {
    const OccupancyGrid<float> grid(call);
    for_each_ray(call.rays, call.num_threads, [&](int64_t ray) {
        int64_t at = call.offsets[ray];
        const int64_t samples = call.offsets[ray + 1] - at;
        if (samples == 0) return;
        march_simd<single_cascade>(call, grid, ray, samples, [&](Floats start, Floats end, uint32_t bits) {
            write_samples(call, ray, at, start, end, bits);
            at += __builtin_popcount(bits);
        });
    });
}

void count_doubles(const MarchCall& call) {
    const OccupancyGrid<double> grid(call);
    for_each_ray(call.rays, call.num_threads, [&](int64_t ray) {
        call.counts[ray] = march_ray(call, grid, ray, call.max_samples, [](double, double) {});
    });
}

void write_doubles(const MarchCall& call) {
    const OccupancyGrid<double> grid(call);
    for_each_ray(call.rays, call.num_threads, [&](int64_t ray) {
        int64_t at = call.offsets[ray];
        march_ray(call, grid, ray, call.offsets[ray + 1] - at, [&](double start, double end) {
            static_cast<double*>(call.starts)[at] = start;
            static_cast<double*>(call.ends)[at] = end;
            call.ray_indices[at++] = ray;
        });
    });
}

}  // namespace

void march_count(const MarchCall& call) {
    if (call.is_double) {
        count_doubles(call);
    } else {
        call.cascades == 1 ? count_floats<true>(call) : count_floats<false>(call);
    }
}

void march_write(const MarchCall& call) {
    const size_t samples = size_t(call.offsets[call.rays]),
                 value_bytes = call.is_double ? sizeof(double) : sizeof(float);
    advise_huge_pages(call.starts, samples * value_bytes);
    advise_huge_pages(call.ends, samples * value_bytes);
    advise_huge_pages(call.ray_indices, samples * sizeof(int64_t));
    if (call.is_double) {
        write_doubles(call);
    } else {
        call.cascades == 1 ? write_floats<true>(call) : write_floats<false>(call);
    }
}

void ray_box(const BoxCall& call) {
    for_each_ray(call.rays, call.num_threads, [&](int64_t ray) {
        if (call.is_double) {
            intersect_box<double>(call, ray);
        } else {
            intersect_box<float>(call, ray);
        }
    });
}

}  // namespace fs::FS_ISA

#if defined(FS_EXPORTS)
FS_API void fs_ray_box(const fs::BoxCall* call) { FS_CALL(ray_box, *call); }
FS_API void fs_march_count(const fs::MarchCall* call) { FS_CALL(march_count, *call); }
FS_API void fs_march_write(const fs::MarchCall* call) { FS_CALL(march_write, *call); }
#endif
