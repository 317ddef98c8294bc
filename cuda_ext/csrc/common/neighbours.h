// The nearest of many centres to each of many points.
#pragma once

#include "grid.h"

namespace fs {

// `_Call` in fields/ops/neighbours.py. Rows are contiguous floats.
struct NearestCall {
    int32_t dimensions, neighbours, workers;
    int64_t points, centres;
    const float* coords;  // [points, dimensions]
    const float* places;  // [centres, dimensions]
    int32_t* nearest;     // [points, neighbours], the nearest first; of equals the one of the lower number
};

constexpr int MOST_NEAREST = 32;

// The nearest so far: squares of distances in ascending order, equals by their numbers.
template <int most>
struct Nearest {
    float square[most];
    int32_t number[most];

    FS_HOST_DEVICE void clear(int count) {
        for (int i = 0; i < count; ++i) {
            square[i] = __builtin_huge_valf();
            number[i] = 0x7fffffff;
        }
    }
    FS_HOST_DEVICE float worst(int count) const { return square[count - 1]; }
    FS_HOST_DEVICE static bool before(float s, int32_t n, float other_s, int32_t other_n) {
        return s < other_s || (s == other_s && n < other_n);
    }
    FS_HOST_DEVICE void offer(int count, float s, int32_t n) {
        if (!before(s, n, square[count - 1], number[count - 1])) return;
        int at = count - 1;
        for (; at > 0 && before(s, n, square[at - 1], number[at - 1]); --at) {
            square[at] = square[at - 1];
            number[at] = number[at - 1];
        }
        square[at] = s;
        number[at] = n;
    }
};

}  // namespace fs
