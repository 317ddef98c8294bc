// Packs: vectors as wide as the instruction set's registers, in the compiler's own notation, so that one source serves
// every set.
//
// Contraction is off in this build, so that rounding does not depend on the set where cells are found; multiply_add is
// written where the fused instruction is wanted and exists.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include "../common/grid.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define FS_PACK_BYTES 64
#elif defined(__AVX2__)
#define FS_PACK_BYTES 32
#else
#define FS_PACK_BYTES 16
#endif

namespace fs::FS_ISA {
namespace {

template <class T>
constexpr int WIDTH = FS_PACK_BYTES / int(sizeof(T));

template <class T>
struct PackOf {
    typedef T type __attribute__((vector_size(FS_PACK_BYTES)));
    typedef uint32_t index __attribute__((vector_size(WIDTH<T> * sizeof(uint32_t))));
    typedef int32_t whole __attribute__((vector_size(WIDTH<T> * sizeof(uint32_t))));
};
template <class T>
using Pack = typename PackOf<T>::type;
template <class T>
using IndexPack = typename PackOf<T>::index;

// A vector of so many numbers.
template <class T, int count>
struct VectorOf {
    typedef T type __attribute__((vector_size(count * sizeof(T))));
};
template <class T, int count>
using Vector = typename VectorOf<T, count>::type;

// Loads and stores of a pack at the alignment of one number.
template <class P, class T>
FS_HOST_DEVICE P load(const T* from) {
    P pack;
    __builtin_memcpy(&pack, from, sizeof(P));
    return pack;
}
template <class P, class T>
FS_HOST_DEVICE void store(T* to, P pack) {
    __builtin_memcpy(to, &pack, sizeof(P));
}
template <class T>
FS_HOST_DEVICE Pack<T> spread(T value) {
    return value - Pack<T>{};  // unlike a sum with zeros it is no operation, as -0 stays -0
}

// A vector of `count` lanes, of which lane i is lane from(i) of one vector, or of two taken as one. (A result wider
// than these is made in memory by gcc 12: slow.)
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

// Both vectors side by side. (By the instructions' names, lest it be made in memory.)
template <class V>
FS_HOST_DEVICE auto joined(V a, V b) {
    using Both = Vector<std::decay_t<decltype(a[0])>, 2 * sizeof(V) / sizeof(a[0])>;
    (void)sizeof(Both);
#if defined(__AVX2__)
    if constexpr (sizeof(V) == 16)
        return (Both)_mm256_insertf128_si256(_mm256_castsi128_si256((__m128i)a), (__m128i)b, 1);
    else
#endif
#if defined(__AVX512F__)
        if constexpr (sizeof(V) == 32)
        return (Both)_mm512_inserti64x4(_mm512_castsi256_si512((__m256i)a), (__m256i)b, 1);
    else
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
    decltype(bits[0] + bits[0]) found = 0;
    for (size_t i = 0; i < sizeof(I) / sizeof(bits[0]); ++i) found |= bits[i];
    return found;
}

// Calls body(std::integral_constant<int, i>) for i = 0, step, 2 * step, ... below `count`.
template <int step, class Body, int... turn>
FS_HOST_DEVICE void unrolled_as(const Body& body, std::integer_sequence<int, turn...>) {
    (body(std::integral_constant<int, turn * step>()), ...);
}
template <int count, int step, class Body>
FS_HOST_DEVICE void unrolled(const Body& body) {
    unrolled_as<step>(body, std::make_integer_sequence<int, count / step>());
}

// a * b + c, rounded once where the instruction set can.
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
#if defined(__AVX512F__)
FS_HOST_DEVICE __m512 multiply_add(__m512 a, __m512 b, __m512 c) { return _mm512_fmadd_ps(a, b, c); }
FS_HOST_DEVICE __m512d multiply_add(__m512d a, __m512d b, __m512d c) { return _mm512_fmadd_pd(a, b, c); }
#endif

}  // namespace
}  // namespace fs::FS_ISA

namespace fs {

template <class T>
struct RealPack {
    using P = FS_ISA::Pack<T>;
    using Index = FS_ISA::IndexPack<T>;
    FS_HOST_DEVICE static P of(double value) { return T(value) - P{}; }
    FS_HOST_DEVICE static Index whole(P x) {
        return (Index) __builtin_convertvector(x, typename FS_ISA::PackOf<T>::whole);
    }
    FS_HOST_DEVICE static P number(Index i) { return __builtin_convertvector((typename FS_ISA::PackOf<T>::whole)i, P); }
    FS_HOST_DEVICE static P larger(P a, P b) { return a > b ? a : b; }
    FS_HOST_DEVICE static P smaller(P a, P b) { return a < b ? a : b; }
};
// The instructions do what the formulas say, with NaN too, which the compiler does not know of vectors.
template <>
struct Real<FS_ISA::Pack<float>> : RealPack<float> {
#if defined(__AVX512F__)
    FS_HOST_DEVICE static P larger(P a, P b) { return _mm512_max_ps(a, b); }
    FS_HOST_DEVICE static P smaller(P a, P b) { return _mm512_min_ps(a, b); }
#elif defined(__AVX2__)
    FS_HOST_DEVICE static P larger(P a, P b) { return _mm256_max_ps(a, b); }
    FS_HOST_DEVICE static P smaller(P a, P b) { return _mm256_min_ps(a, b); }
#elif defined(__SSE2__)
    FS_HOST_DEVICE static P larger(P a, P b) { return _mm_max_ps(a, b); }
    FS_HOST_DEVICE static P smaller(P a, P b) { return _mm_min_ps(a, b); }
#endif
};
template <>
struct Real<FS_ISA::Pack<double>> : RealPack<double> {};

}  // namespace fs
