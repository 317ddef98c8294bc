// The nearest centres of each point: the arguments of a call, and a sorted list of the nearest found so far.
#pragma once

#include "grid.h"

namespace fs {

// Mirrored by `NearestCall` in fields/ops/neighbours.py. Arrays are float32; rows are contiguous.
struct NearestCall {
    int32_t dimensions, neighbours, num_threads;
    int64_t points, num_centres;
    const float* coords;   // [points, dimensions]
    const float* centres;  // [num_centres, dimensions]
    int32_t*
        nearest;  // [points, neighbours]: indices of centres, nearest first; of equally near ones the lower index first
};

constexpr int MAX_NEAREST = 32;

// The nearest found so far, in ascending order of squared distance, then of index.
template <int capacity>
struct Nearest {
    float square[capacity];
    int32_t index[capacity];

    FS_HOST_DEVICE void clear(int count) {
        for (int i = 0; i < count; ++i) {
            square[i] = __builtin_huge_valf();
            index[i] = 0x7fffffff;
        }
    }
    FS_HOST_DEVICE float worst(int count) const { return square[count - 1]; }
    FS_HOST_DEVICE static bool before(float s, int32_t n, float other_s, int32_t other_index) {
        return s < other_s || (s == other_s && n < other_index);
    }
    FS_HOST_DEVICE void insert(int count, float s, int32_t n) {
        if (!before(s, n, square[count - 1], index[count - 1])) return;
        int at = count - 1;
        for (; at > 0 && before(s, n, square[at - 1], index[at - 1]); --at) {
            square[at] = square[at - 1];
            index[at] = index[at - 1];
        }
        square[at] = s;
        index[at] = n;
    }
};

}  // namespace fs
