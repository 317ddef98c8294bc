// The functions of csrc/cuda/sort.h for the host, with the standard library's stable sort.
#pragma once

#include <algorithm>
#include <vector>

#include "cuda/sort.h"

namespace fs {

cudaError_t sort_bytes(int, size_t& bytes) { return bytes = 0, cudaSuccess; }

cudaError_t sort_by_key(DoubleBuffer& keys, DoubleBuffer& values, int count, int bits, void*, size_t, cudaStream_t) {
    std::vector<int> order(static_cast<size_t>(count));
    for (int i = 0; i < count; ++i) order[i] = i;
    const uint32_t mask = bits < 32 ? (1u << bits) - 1 : ~0u;
    std::stable_sort(order.begin(), order.end(),
                     [&](int a, int b) { return (keys.current[a] & mask) < (keys.current[b] & mask); });
    for (int i = 0; i < count; ++i) {
        keys.alternate[i] = keys.current[order[i]];
        values.alternate[i] = values.current[order[i]];
    }
    std::swap(keys.current, keys.alternate);
    std::swap(values.current, values.alternate);
    return cudaSuccess;
}

}  // namespace fs
