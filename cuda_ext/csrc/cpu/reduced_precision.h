// Conversion of vectors of 16-bit values to float32.
#pragma once

#include <type_traits>

#include "../common/reduced_precision.h"
#include "simd.h"

namespace fs::FS_ISA {
namespace {

// `bits` holds `count` values of type E, in whatever vector type they were loaded.
template <class T, class E, int count, class Bits>
FS_HOST_DEVICE auto widen(Bits bits) {
    using Lanes = Vector<T, count>;
    if constexpr (sizeof(E) == sizeof(T)) {
        return (Lanes)bits;
    } else {
        using Narrow = Vector<uint16_t, count>;
        using Wide = Vector<uint32_t, count>;
        static_assert(sizeof(Bits) == sizeof(Narrow), "two bytes a number");
#if defined(__AVX512F__)
        if constexpr (std::is_same_v<E, Half> && count == 16) return (Lanes)_mm512_cvtph_ps((__m256i)bits);
#endif
#if defined(__F16C__)
        if constexpr (std::is_same_v<E, Half> && count == 8) return (Lanes)_mm256_cvtph_ps((__m128i)bits);
#endif
#if defined(__aarch64__)
        if constexpr (std::is_same_v<E, Half> && count == 4) return (Lanes)vcvt_f32_f16((float16x4_t)bits);
#endif
        const Wide wide = __builtin_convertvector((Narrow)bits, Wide);
        if constexpr (std::is_same_v<E, Bfloat16>) return (Lanes)(wide << 16);
        // The same steps as full_precision(Half).
        const Wide sign = (wide & 0x8000u) << 16, rest = (wide & 0x7fffu) << 13;
        const Wide finite = (Wide)((Lanes)rest * 0x1p112f);
        const Wide odd = (Wide)(rest >= (0x7c00u << 13));
        return (Lanes)(((finite & ~odd) | ((rest | 0x7f800000u) & odd)) | sign);
    }
}

}  // namespace
}  // namespace fs::FS_ISA
