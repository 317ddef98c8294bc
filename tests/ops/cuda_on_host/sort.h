// The sort of csrc/cuda/sort.cu, for the host.
#pragma once

#include <algorithm>
#include <vector>

#include "cuda/sort.h"

namespace fs {

cudaError_t sort_bytes(int, size_t& bytes) { return bytes = 0, cudaSuccess; }

cudaError_t sort_by_key(Buffers& keys, Buffers& values, int count, int bits, void*, size_t, cudaStream_t) {
    std::vector<int> order(static_cast<size_t>(count));
    for (int i = 0; i < count; ++i) order[i] = i;
    const uint32_t mask = bits < 32 ? (1u << bits) - 1 : ~0u;
    std::stable_sort(order.begin(), order.end(),
                     [&](int a, int b) { return (keys.now[a] & mask) < (keys.now[b] & mask); });
    for (int i = 0; i < count; ++i) {
        keys.other[i] = keys.now[order[i]];
        values.other[i] = values.now[order[i]];
    }
    std::swap(keys.now, keys.other);
    std::swap(values.now, values.other);
    return cudaSuccess;
}

}  // namespace fs
