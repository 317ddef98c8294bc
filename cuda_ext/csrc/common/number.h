// Numbers of two bytes: how a table may be stored. They are only ever read; sums are of floats.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define FS_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define FS_HOST_DEVICE inline __attribute__((always_inline))
#endif

namespace fs {

// IEEE 754 binary16, and the upper half of a float.
struct Half {
    uint16_t bits;
};
struct Brain {
    uint16_t bits;
};

FS_HOST_DEVICE float number_of(float value) { return value; }
FS_HOST_DEVICE double number_of(double value) { return value; }

FS_HOST_DEVICE float float_of_bits(uint32_t bits) {
#if defined(__CUDA_ARCH__)
    return __uint_as_float(bits);
#else
    float value;
    static_assert(sizeof(value) == sizeof(bits), "a float has 32 bits");
    __builtin_memcpy(&value, &bits, sizeof(value));
    return value;
#endif
}

FS_HOST_DEVICE float number_of(Brain value) { return float_of_bits(uint32_t(value.bits) << 16); }

FS_HOST_DEVICE float number_of(Half value) {
#if defined(__CUDA_ARCH__)
    float result;
    asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(value.bits));
    return result;
#else
    // The exponent's bits in a float's place are too low by 112, for subnormal numbers as well; infinity and NaN have
    // the highest exponent in both.
    const uint32_t sign = uint32_t(value.bits & 0x8000u) << 16, rest = uint32_t(value.bits & 0x7fffu) << 13;
    const float finite = float_of_bits(rest) * 0x1p112f;
    uint32_t bits;
    __builtin_memcpy(&bits, &finite, sizeof(bits));
    if (rest >= 0x7c00u << 13) bits = rest | 0x7f800000u;
    return float_of_bits(bits | sign);
#endif
}

}  // namespace fs
