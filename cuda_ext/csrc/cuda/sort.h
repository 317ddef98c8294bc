// A stable sort of 32-bit keys with 32-bit values, in a source file of its own because it compiles slowly.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace fs {

// Two buffers of equal size; the sort leaves its result in `current`.
struct DoubleBuffer {
    uint32_t *current, *alternate;
};

cudaError_t sort_bytes(int count, size_t& bytes);
cudaError_t sort_by_key(DoubleBuffer& keys, DoubleBuffer& values, int count, int bits, void* scratch, size_t bytes,
                        cudaStream_t stream);

}  // namespace fs
