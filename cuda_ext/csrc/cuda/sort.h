// A stable sort of 32-bit keys with 32-bit values, in a unit of its own because it takes long to compile.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace fs {

// A buffer and its double; the sort leaves its result in `now`.
struct Buffers {
    uint32_t *now, *other;
};

cudaError_t sort_bytes(int count, size_t& bytes);
cudaError_t sort_by_key(Buffers& keys, Buffers& values, int count, int bits, void* scratch, size_t bytes,
                        cudaStream_t stream);

}  // namespace fs
