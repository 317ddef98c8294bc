// Kernel launches, and device functions that several operations share.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace fs {

constexpr int THREADS = 256;
constexpr int WARP = 32;
constexpr unsigned ALL_LANES = 0xffffffffu;

namespace {

template <class... Parameters, class... Arguments>
cudaError_t launch(cudaStream_t stream, dim3 blocks, void (*kernel)(Parameters...), const Arguments&... arguments) {
    cudaLaunchConfig_t config = {};
    config.gridDim = blocks;
    config.blockDim = dim3(THREADS);
    config.stream = stream;
    // Unlike <<<>>>, it returns the error.
    return cudaLaunchKernelEx(&config, kernel, arguments...);
}

inline unsigned blocks_for(int64_t count, int64_t each) { return unsigned((count + each - 1) / each); }

// Index of the first of the sorted keys that is not less than `key`.
__device__ __forceinline__ uint32_t lower_bound(const uint32_t* keys, uint32_t count, uint32_t key) {
    uint32_t first = 0;
    while (count > 0) {
        const uint32_t half = count / 2;
        const bool below = keys[first + half] < key;
        first = below ? first + half + 1 : first;
        count = below ? count - half - 1 : half;
    }
    return first;
}

// Sum over the warp's lanes, in a fixed order; every lane gets it.
template <class T>
__device__ __forceinline__ T warp_sum(T value) {
    for (int step = WARP / 2; step > 0; step /= 2) value += __shfl_xor_sync(ALL_LANES, value, step);
    return value;
}

}  // namespace
}  // namespace fs
