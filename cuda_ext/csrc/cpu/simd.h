// SIMD vectors as wide as the instruction set's registers, written with the compiler's vector extensions, so that one
// source serves every set.
//
// Contraction to fused multiply-adds is off in this build, so that rounding, and with it the cell of a point, does not
// depend on the set. `multiply_add` is written where the fused instruction is wanted.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include "../common/grid.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#if defined(__AVX512F__)
#define FS_SIMD_BYTES 64
#elif defined(__AVX2__)
#define FS_SIMD_BYTES 32
#else
#define FS_SIMD_BYTES 16
#endif

namespace fs::FS_ISA {
namespace {

template <class T>
constexpr int WIDTH = FS_SIMD_BYTES / int(sizeof(T));

template <class T>
struct SimdTypes {
    typedef T type __attribute__((vector_size(FS_SIMD_BYTES)));
    typedef uint32_t uint32 __attribute__((vector_size(WIDTH<T> * sizeof(uint32_t))));
    typedef int32_t int32 __attribute__((vector_size(WIDTH<T> * sizeof(uint32_t))));
};
template <class T>
using Simd = typename SimdTypes<T>::type;
template <class T>
using SimdIndex = typename SimdTypes<T>::uint32;

// A vector of `count` values.
template <class T, int count>
struct VectorOf {
    typedef T type __attribute__((vector_size(count * sizeof(T))));
};
template <class T, int count>
using Vector = typename VectorOf<T, count>::type;

// Loads and stores with the alignment of a single value.
template <class P, class T>
FS_HOST_DEVICE P load(const T* from) {
    P vector;
    __builtin_memcpy(&vector, from, sizeof(P));
    return vector;
}
template <class P, class T>
FS_HOST_DEVICE void store(T* to, P vector) {
    __builtin_memcpy(to, &vector, sizeof(P));
}
template <class T>
FS_HOST_DEVICE Simd<T> broadcast(T value) {
    // Compiles to the broadcast alone. Adding zeros would not, because it turns -0 into 0.
    return value - Simd<T>{};
}

// A vector of `count` lanes: lane i is lane from(i) of one vector, or of two vectors taken as one. gcc 12 builds a
// result that is wider than the operands in memory, which is slow.
template <int count, class V, class From, int... lane>
FS_HOST_DEVICE auto shuffled_as(V a, V b, From from, std::integer_sequence<int, lane...>) {
    (void)from;
    return __builtin_shufflevector(a, b, from(lane)...);
}
template <int count, class V, class From>
FS_HOST_DEVICE auto shuffled(V a, V b, From from) {
    return shuffled_as<count>(a, b, from, std::make_integer_sequence<int, count>());
}
template <int count, class V, class From>
FS_HOST_DEVICE auto shuffled(V a, From from) {
    return shuffled<count>(a, a, from);
}

// Concatenates two vectors, with intrinsics, so that gcc 12 does not build the result in memory.
template <class V>
FS_HOST_DEVICE auto concat(V a, V b) {
    using Both = Vector<std::decay_t<decltype(a[0])>, 2 * sizeof(V) / sizeof(a[0])>;
    (void)sizeof(Both);
#if defined(__AVX2__)
    if constexpr (sizeof(V) == 16)
        return (Both)_mm256_insertf128_si256(_mm256_castsi128_si256((__m128i)a), (__m128i)b, 1);
#endif
#if defined(__AVX512F__)
    if constexpr (sizeof(V) == 32) return (Both)_mm512_inserti64x4(_mm512_castsi256_si512((__m256i)a), (__m256i)b, 1);
#endif
    return (Both)shuffled<2 * int(sizeof(V) / sizeof(a[0]))>(a, b, [](int lane) { return lane; });
}

// Whether any bit is set.
template <class I>
FS_HOST_DEVICE bool any(I bits) {
#if defined(__AVX512F__)
    if constexpr (sizeof(I) == 64) return _mm512_test_epi32_mask((__m512i)bits, (__m512i)bits);
#endif
#if defined(__AVX2__)
    if constexpr (sizeof(I) == 32) return !_mm256_testz_si256((__m256i)bits, (__m256i)bits);
#endif
#if defined(__aarch64__)
    if constexpr (sizeof(I) == 16) return vmaxvq_u32((uint32x4_t)bits) != 0;
#endif
    decltype(bits[0] + bits[0]) found = 0;
    for (size_t i = 0; i < sizeof(I) / sizeof(bits[0]); ++i) found |= bits[i];
    return found;
}

// Calls body(std::integral_constant<int, i>) for i = 0, step, 2 * step, ... below `count`.
template <int step, class Body, int... step_index>
FS_HOST_DEVICE void unrolled_as(const Body& body, std::integer_sequence<int, step_index...>) {
    (body(std::integral_constant<int, step_index * step>()), ...);
}
template <int count, int step, class Body>
FS_HOST_DEVICE void unrolled(const Body& body) {
    unrolled_as<step>(body, std::make_integer_sequence<int, count / step>());
}

// a * b + c, rounded once where the instruction set has the fused instruction.
template <class P>
FS_HOST_DEVICE P multiply_add(P a, P b, P c) {
    return a * b + c;
}
#if defined(__FMA__)
FS_HOST_DEVICE float multiply_add(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
FS_HOST_DEVICE double multiply_add(double a, double b, double c) { return __builtin_fma(a, b, c); }
FS_HOST_DEVICE __m128 multiply_add(__m128 a, __m128 b, __m128 c) { return _mm_fmadd_ps(a, b, c); }
FS_HOST_DEVICE __m256 multiply_add(__m256 a, __m256 b, __m256 c) { return _mm256_fmadd_ps(a, b, c); }
FS_HOST_DEVICE __m128d multiply_add(__m128d a, __m128d b, __m128d c) { return _mm_fmadd_pd(a, b, c); }
FS_HOST_DEVICE __m256d multiply_add(__m256d a, __m256d b, __m256d c) { return _mm256_fmadd_pd(a, b, c); }
#endif
#if defined(__aarch64__)
FS_HOST_DEVICE float multiply_add(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
FS_HOST_DEVICE double multiply_add(double a, double b, double c) { return __builtin_fma(a, b, c); }
// (These vectors and those of arm_neon.h are different types of the same shape.)
FS_HOST_DEVICE Simd<float> multiply_add(Simd<float> a, Simd<float> b, Simd<float> c) {
    return (Simd<float>)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}
FS_HOST_DEVICE Simd<double> multiply_add(Simd<double> a, Simd<double> b, Simd<double> c) {
    return (Simd<double>)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
}
#endif
#if defined(__AVX512F__)
FS_HOST_DEVICE __m512 multiply_add(__m512 a, __m512 b, __m512 c) { return _mm512_fmadd_ps(a, b, c); }
FS_HOST_DEVICE __m512d multiply_add(__m512d a, __m512d b, __m512d c) { return _mm512_fmadd_pd(a, b, c); }
#endif

}  // namespace
}  // namespace fs::FS_ISA

namespace fs {

template <class T>
struct SimdReal {
    using P = FS_ISA::Simd<T>;
    using Index = FS_ISA::SimdIndex<T>;
    FS_HOST_DEVICE static P of(double value) { return T(value) - P{}; }
    FS_HOST_DEVICE static Index to_integer(P x) {
        return (Index) __builtin_convertvector(x, typename FS_ISA::SimdTypes<T>::int32);
    }
    FS_HOST_DEVICE static P to_real(Index i) {
        return __builtin_convertvector((typename FS_ISA::SimdTypes<T>::int32)i, P);
    }
    FS_HOST_DEVICE static P max_of(P a, P b) { return a > b ? a : b; }
    FS_HOST_DEVICE static P min_of(P a, P b) { return a < b ? a : b; }
};
// The max and min instructions treat NaN as `Real` defines it; the compiler does not know that for vectors.
template <>
struct Real<FS_ISA::Simd<float>> : SimdReal<float> {
#if defined(__AVX512F__)
    FS_HOST_DEVICE static P max_of(P a, P b) { return _mm512_max_ps(a, b); }
    FS_HOST_DEVICE static P min_of(P a, P b) { return _mm512_min_ps(a, b); }
#elif defined(__AVX2__)
    FS_HOST_DEVICE static P max_of(P a, P b) { return _mm256_max_ps(a, b); }
    FS_HOST_DEVICE static P min_of(P a, P b) { return _mm256_min_ps(a, b); }
#elif defined(__SSE2__)
    FS_HOST_DEVICE static P max_of(P a, P b) { return _mm_max_ps(a, b); }
    FS_HOST_DEVICE static P min_of(P a, P b) { return _mm_min_ps(a, b); }
#endif
};
template <>
struct Real<FS_ISA::Simd<double>> : SimdReal<double> {};

}  // namespace fs
