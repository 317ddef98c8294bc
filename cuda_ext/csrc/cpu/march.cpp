// Boxes and occupancy grids. In float a ray is marched a pack of steps at a time, and passes over packs that lie wholly
// in empty surroundings; every other step is looked at, so that which ones are taken does not depend on what was passed
// over.
#include "parallel.h"
#include "rays.h"
#include "vector.h"

namespace fs::FS_ISA {
namespace {

constexpr int RAYS_TOGETHER = 64;

// Calls body(ray) for all rays, in groups on whichever thread is free.
template <class Body>
void each_ray(int64_t rays, int workers, const Body& body) {
    const int groups = int((rays + RAYS_TOGETHER - 1) / RAYS_TOGETHER);
    for_each(groups, workers, [&](int group) {
        const int64_t first = int64_t(group) * RAYS_TOGETHER, last = smaller(first + RAYS_TOGETHER, rays);
        for (int64_t ray = first; ray < last; ++ray) body(ray);
    });
}

using Floats = Pack<float>;
using Index = IndexPack<float>;
using Whole = PackOf<float>::whole;
constexpr int LANES = WIDTH<float>;

FS_HOST_DEVICE Floats absolute(Floats x) { return (Floats)((Whole)x & 0x7fffffff); }

// A bit a lane: whether it is true.
FS_HOST_DEVICE uint32_t bits_of(Whole truth) {
#if defined(__AVX512F__)
    return _mm512_cmpneq_epi32_mask((__m512i)truth, _mm512_setzero_si512());
#elif defined(__AVX2__)
    return uint32_t(_mm256_movemask_ps((__m256)truth));
#else
    uint32_t bits = 0;
    for (int i = 0; i < LANES; ++i) bits |= uint32_t(truth[i] & 1) << i;
    return bits;
#endif
}

FS_HOST_DEVICE Index look_up(const uint32_t* table, Index index) {
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

// What a pack of steps finds: a bit for each that is occupied, and the block of the last one (in which level it is, and
// which it is), or level -1 where that is outside.
struct Found {
    uint32_t bits;
    int32_t last_level, last_block;
};

// The formulas of `Cells`, number for number.
template <bool one_level>
FS_HOST_DEVICE Found look(const Cells<float>& cells, const Steps<float>& steps, Floats t) {
    Floats at[3], farthest = {};
    for (int axis = 0; axis < 3; ++axis) {
        at[axis] = t * steps.along[axis] + steps.from[axis];
        const Floats size = absolute(at[axis]);
        farthest = farthest < size ? size : farthest;
    }
    Whole level = {}, within = farthest < cells.half;
    Floats shrink = spread(1.0f);
    if (!one_level) {
        for (int l = 0; l < cells.levels; ++l) {
            const Whole outside = ~(farthest * shrink < cells.half);
            level -= outside;
            shrink = outside ? shrink * 0.5f : shrink;
        }
        within = level < cells.levels;
    }
    const uint32_t inside = bits_of(within);
    if (!inside) return {0, -1, 0};
    const int32_t most = cells.resolution - 1;
    Index cell[3];
    for (int axis = 0; axis < 3; ++axis) {
        Whole found =
            __builtin_convertvector(one_level ? at[axis] + cells.half : at[axis] * shrink + cells.half, Whole);
        found = found < most ? found : Whole{} + most;
        cell[axis] = (Index)(found & within);
    }
    const uint32_t blocks = uint32_t(cells.blocks);
    Index block = (cell[0] >> 2) * (blocks * blocks) + ((cell[1] >> 2) * blocks + (cell[2] >> 2));
    if (!one_level) block += (Index)(level & within) * (blocks * blocks * blocks);
    const Index bit = (cell[0] & 3) * 16 + (cell[1] & 3) * 4 + (cell[2] & 3);
    // Little endian: the lower half of a word comes first.
    const Index half = look_up(reinterpret_cast<const uint32_t*>(cells.words), block * 2 + (bit >> 5));
    const uint32_t bits = bits_of((Whole)((half >> (bit & 31)) << 31) < 0) & inside;
    if (bits) return {bits, -1, 0};
    return {0, inside >> (LANES - 1) ? one_level ? 0 : level[LANES - 1] : -1, int32_t(block[LANES - 1])};
}

// `march_ray` for float; take(start, end, bits) is given whole packs of steps with a bit for each that is a sample.
template <bool one_level, class Take>
FS_HOST_DEVICE int64_t march_packs(const MarchCall& call, const Cells<float>& cells, int64_t ray, int64_t most,
                                   const Take& take) {
    const Steps<float> steps(call, ray);
    const bool growing = steps.cone > 0.0f;
    float fastest = 0.0f;
    for (int axis = 0; axis < 3; ++axis)
        fastest = larger(fastest, steps.along[axis] < 0.0f ? -steps.along[axis] : steps.along[axis]);
    const float t_per_block = 4.0f / fastest, steps_per_t = 1.0f / steps.step;
    Whole lane = {};
    for (int i = 0; i < LANES; ++i) lane[i] = i;
    int64_t taken = 0;
    float edges[LANES + 1] = {steps.first()}, clear_until = -1.0f;
    for (int64_t k = 0; k < call.longest; k += LANES) {
        Floats start, end;
        if (growing) {
            for (int i = 0; i < LANES; ++i) edges[i + 1] = steps.next(edges[i], 0);
            start = load<Floats>(edges);
            end = load<Floats>(edges + 1);
            edges[0] = edges[LANES];
            if (edges[LANES] < clear_until) continue;
        } else {
            const Whole number = lane + int32_t(k);
            start = (__builtin_convertvector(number, Floats) + steps.share) * steps.step + steps.near;
            end = (__builtin_convertvector(number + 1, Floats) + steps.share) * steps.step + steps.near;
        }
        const Floats middle = (start + end) * 0.5f;
        const uint32_t before_far = bits_of(middle < steps.far);
        const Found found = look<one_level>(cells, steps, middle);
        uint32_t bits = found.bits & before_far;
        if (k + LANES > call.longest) bits &= (1u << (call.longest - k)) - 1;
        if (bits) {
            int count = __builtin_popcount(bits);
            for (; taken + count > most; --count) bits &= ~(1u << (31 - __builtin_clz(bits)));
            take(start, end, bits);
            taken += count;
            if (taken == most) break;
        }
        if (!(before_far >> (LANES - 1))) break;
        if (found.last_level >= 0) {
            // A little less than the way that is clear from the last step on, for rounding.
            const float way =
                (float(call.clear[found.last_block]) - 0.02f) * t_per_block * float(1 << found.last_level);
            if (growing) {
                clear_until = middle[LANES - 1] + way;
            } else if (way > 0.0f) {
                k += int64_t(smaller(way * steps_per_t, float(1 << 23)));
            }
        }
    }
    return taken;
}

// Puts the numbers of a pack that have a bit one after another, and their ray beside each.
FS_HOST_DEVICE void put(const MarchCall& call, int64_t ray, int64_t at, Floats start, Floats end, uint32_t bits) {
    float *starts = static_cast<float*>(call.starts) + at, *ends = static_cast<float*>(call.ends) + at;
    int64_t* indices = call.ray_indices + at;
#if defined(__AVX512F__)
    const int count = __builtin_popcount(bits);
    const __mmask16 filled = __mmask16((1u << count) - 1);
    _mm512_mask_storeu_ps(starts, filled, _mm512_maskz_compress_ps(__mmask16(bits), (__m512)start));
    _mm512_mask_storeu_ps(ends, filled, _mm512_maskz_compress_ps(__mmask16(bits), (__m512)end));
    const __m512i number = _mm512_set1_epi64(ray);
    _mm512_mask_storeu_epi64(indices, __mmask8(filled), number);
    if (count > 8) _mm512_mask_storeu_epi64(indices + 8, __mmask8(filled >> 8), number);
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

template <bool one_level>
void count_floats(const MarchCall& call) {
    const Cells<float> cells(call);
    each_ray(call.rays, call.workers, [&](int64_t ray) {
        call.counts[ray] = march_packs<one_level>(call, cells, ray, call.most, [](Floats, Floats, uint32_t) {});
    });
}

template <bool one_level>
void write_floats(const MarchCall& call) {
    const Cells<float> cells(call);
    each_ray(call.rays, call.workers, [&](int64_t ray) {
        int64_t at = call.offsets[ray];
        const int64_t samples = call.offsets[ray + 1] - at;
        if (samples == 0) return;
        march_packs<one_level>(call, cells, ray, samples, [&](Floats start, Floats end, uint32_t bits) {
            put(call, ray, at, start, end, bits);
            at += __builtin_popcount(bits);
        });
    });
}

void count_doubles(const MarchCall& call) {
    const Cells<double> cells(call);
    each_ray(call.rays, call.workers,
             [&](int64_t ray) { call.counts[ray] = march_ray(call, cells, ray, call.most, [](double, double) {}); });
}

void write_doubles(const MarchCall& call) {
    const Cells<double> cells(call);
    each_ray(call.rays, call.workers, [&](int64_t ray) {
        int64_t at = call.offsets[ray];
        march_ray(call, cells, ray, call.offsets[ray + 1] - at, [&](double start, double end) {
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
        call.levels == 1 ? count_floats<true>(call) : count_floats<false>(call);
    }
}

void march_write(const MarchCall& call) {
    const size_t samples = size_t(call.offsets[call.rays]), number = call.is_double ? sizeof(double) : sizeof(float);
    expect_writes(call.starts, samples * number);
    expect_writes(call.ends, samples * number);
    expect_writes(call.ray_indices, samples * sizeof(int64_t));
    if (call.is_double) {
        write_doubles(call);
    } else {
        call.levels == 1 ? write_floats<true>(call) : write_floats<false>(call);
    }
}

void ray_box(const BoxCall& call) {
    each_ray(call.rays, call.workers, [&](int64_t ray) {
        if (call.is_double) {
            box_of_ray<double>(call, ray);
        } else {
            box_of_ray<float>(call, ray);
        }
    });
}

}  // namespace fs::FS_ISA
