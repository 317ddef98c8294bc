// Boxes and occupancy grids. In float a ray is marched a pack of steps at a time: looking at a step costs less than
// finding out how many could be left out, and which steps are taken does not depend on rounding at the border of cells.
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

FS_HOST_DEVICE Floats pick(Whole where, Floats a, Floats b) { return where ? a : b; }
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

// A bit a step: whether its cell is occupied. The formulas of `Cells`, number for number.
FS_HOST_DEVICE uint32_t occupied(const Cells<float>& cells, const float* origin, const float* direction, Floats t) {
    Floats at[3], farthest = {};
    for (int axis = 0; axis < 3; ++axis) {
        at[axis] = ((t * direction[axis] + origin[axis]) - cells.centre[axis]) * cells.per_half[axis];
        const Floats size = absolute(at[axis]);
        farthest = pick(farthest < size, size, farthest);
    }
    Floats shrink = spread(1.0f);
    Index level = {};
    for (int l = 0; l < cells.levels; ++l) {
        const Whole outside = farthest * shrink > 1.0f;
        level -= (Index)outside;
        shrink = pick(outside, shrink * 0.5f, shrink);
    }
    const Whole within = (Whole)level < cells.levels;
    if (!bits_of(within)) return 0;
    const int32_t most = cells.resolution - 1;
    Index cell[3];
    for (int axis = 0; axis < 3; ++axis) {
        Whole found = __builtin_convertvector((at[axis] * shrink + 1.0f) * cells.half_resolution, Whole);
        found = found < most ? found : Whole{} + most;
        cell[axis] = (Index)(within ? found : Whole{});
    }
    const uint32_t blocks = uint32_t(cells.blocks);
    const Index shown = within ? level : Index{};
    const Index block = ((shown * blocks + (cell[0] >> 2)) * blocks + (cell[1] >> 2)) * blocks + (cell[2] >> 2);
    const Index bit = (cell[0] & 3) * 16 + (cell[1] & 3) * 4 + (cell[2] & 3);
    // Little endian: the lower half of a word comes first.
    const Index half = look_up(reinterpret_cast<const uint32_t*>(cells.words), block * 2 + (bit >> 5));
    return bits_of(((half >> (bit & 31) & 1) != 0) & within);
}

// `march_ray` for float.
template <class Take>
FS_HOST_DEVICE int64_t march_packs(const MarchCall& call, const Cells<float>& cells, int64_t ray, int64_t most, const Take& take) {
    const float* origin = static_cast<const float*>(call.origins) + ray * 3;
    const float* direction = static_cast<const float*>(call.directions) + ray * 3;
    const Steps<float> steps(call, ray);
    const bool growing = steps.cone > 0.0f;
    Whole lane = {};
    for (int i = 0; i < LANES; ++i) lane[i] = i;
    int64_t taken = 0;
    float edges[LANES + 1] = {steps.first()};
    for (int64_t k = 0; k < call.longest; k += LANES) {
        Floats start, end;
        if (growing) {
            for (int i = 0; i < LANES; ++i) edges[i + 1] = steps.next(edges[i], 0);
            start = load<Floats>(edges);
            end = load<Floats>(edges + 1);
            edges[0] = edges[LANES];
        } else {
            const Whole number = lane + int32_t(k);
            start = (__builtin_convertvector(number, Floats) + steps.share) * steps.step + steps.near;
            end = (__builtin_convertvector(number + 1, Floats) + steps.share) * steps.step + steps.near;
        }
        const Floats middle = (start + end) * 0.5f;
        const uint32_t before_far = bits_of(middle < steps.far);
        for (uint32_t bits = before_far & occupied(cells, origin, direction, middle); bits; bits &= bits - 1) {
            const int i = __builtin_ctz(bits);
            if (k + i >= call.longest || taken == most) return taken;
            take(start[i], end[i]);
            ++taken;
        }
        if (!(before_far >> (LANES - 1))) break;
    }
    return taken;
}

template <class Take>
FS_HOST_DEVICE int64_t march_any(const MarchCall& call, const Cells<float>& cells, int64_t ray, int64_t most, const Take& take) {
    return march_packs(call, cells, ray, most, take);
}
template <class Take>
FS_HOST_DEVICE int64_t march_any(const MarchCall& call, const Cells<double>& cells, int64_t ray, int64_t most, const Take& take) {
    return march_ray(call, cells, ray, most, take);
}

template <class T>
void count(const MarchCall& call) {
    const Cells<T> cells(call);
    each_ray(call.rays, call.workers, [&](int64_t ray) {
        call.counts[ray] = march_any(call, cells, ray, call.most, [](T, T) {});
    });
}

template <class T>
void write(const MarchCall& call) {
    const Cells<T> cells(call);
    each_ray(call.rays, call.workers, [&](int64_t ray) {
        int64_t at = call.offsets[ray];
        march_any(call, cells, ray, call.offsets[ray + 1] - at, [&](T start, T end) {
            static_cast<T*>(call.starts)[at] = start;
            static_cast<T*>(call.ends)[at] = end;
            call.ray_indices[at++] = ray;
        });
    });
}

}  // namespace

void ray_box(const BoxCall& call) {
    each_ray(call.rays, call.workers, [&](int64_t ray) {
        if (call.is_double) {
            box_of_ray<double>(call, ray);
        } else {
            box_of_ray<float>(call, ray);
        }
    });
}

void march_count(const MarchCall& call) { call.is_double ? count<double>(call) : count<float>(call); }

void march_write(const MarchCall& call) { call.is_double ? write<double>(call) : write<float>(call); }

}  // namespace fs::FS_ISA
