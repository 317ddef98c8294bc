// 16-bit floating point types that a table may be stored in. They are only read; sums are float32.
#pragma once

#include <cstdint>

#include "compiler.h"

namespace fs {

// IEEE 754 binary16, and bfloat16 (the upper half of a float32).
struct Half {
    uint16_t bits;
};
struct Bfloat16 {
    uint16_t bits;
};

FS_HOST_DEVICE float full_precision(float value) { return value; }
FS_HOST_DEVICE double full_precision(double value) { return value; }

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

FS_HOST_DEVICE float full_precision(Bfloat16 value) { return float_of_bits(uint32_t(value.bits) << 16); }

FS_HOST_DEVICE float full_precision(Half value) {
#if defined(__CUDA_ARCH__)
    float result;
    asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(value.bits));
    return result;
#else
    // In the place of a float32's exponent, the exponent of a half is too low by 112, for subnormal values as well.
    // Infinity and NaN have the highest exponent in both formats.
    const uint32_t sign = uint32_t(value.bits & 0x8000u) << 16, rest = uint32_t(value.bits & 0x7fffu) << 13;
    const float finite = float_of_bits(rest) * 0x1p112f;
    uint32_t bits;
    __builtin_memcpy(&bits, &finite, sizeof(bits));
    if (rest >= 0x7c00u << 13) bits = rest | 0x7f800000u;
    return float_of_bits(bits | sign);
#endif
}

}  // namespace fs
