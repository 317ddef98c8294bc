// The radix sort of CUB.
#include "sort.h"

#include <cub/device/device_radix_sort.cuh>

namespace fs {

cudaError_t sort_bytes(int count, size_t& bytes) {
    cub::DoubleBuffer<uint32_t> keys, values;
    return cub::DeviceRadixSort::SortPairs(nullptr, bytes, keys, values, count);
}

cudaError_t sort_by_key(DoubleBuffer& keys, DoubleBuffer& values, int count, int bits, void* scratch, size_t bytes,
                        cudaStream_t stream) {
    cub::DoubleBuffer<uint32_t> k(keys.current, keys.alternate), v(values.current, values.alternate);
    const cudaError_t error = cub::DeviceRadixSort::SortPairs(scratch, bytes, k, v, count, 0, bits, stream);
    keys = {k.Current(), k.Alternate()};
    values = {v.Current(), v.Alternate()};
    return error;
}

}  // namespace fs
