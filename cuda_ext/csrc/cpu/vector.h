// Packs: vectors as wide as the instruction set's registers, in the compiler's own notation, so that one source serves
// every set.
//
// Contraction is off in this build, so that rounding does not depend on the set where cells are found; multiply_add is
// written where the fused instruction is wanted and exists.
#pragma once

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
    return Pack<T>{} + value;
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
    FS_HOST_DEVICE static P of(double value) { return P{} + T(value); }
    FS_HOST_DEVICE static Index whole(P x) { return (Index)__builtin_convertvector(x, typename FS_ISA::PackOf<T>::whole); }
    FS_HOST_DEVICE static P number(Index i) { return __builtin_convertvector((typename FS_ISA::PackOf<T>::whole)i, P); }
};
template <>
struct Real<FS_ISA::Pack<float>> : RealPack<float> {};
template <>
struct Real<FS_ISA::Pack<double>> : RealPack<double> {};

}  // namespace fs
