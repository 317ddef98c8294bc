// Vectors, in the compiler's own notation so that one source serves every instruction set: packs, as wide as the set's
// registers, for arithmetic over points; and short vectors of one entry's features.
//
// Contraction is off in this build, so that rounding does not depend on the set where cells are found; multiply_add is
// written where the fused instruction is wanted and exists.
#pragma once

#include "../common/grid.h"

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

#if defined(__FMA__)
FS_HOST_DEVICE float multiply_add(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
FS_HOST_DEVICE double multiply_add(double a, double b, double c) { return __builtin_fma(a, b, c); }
#else
FS_HOST_DEVICE float multiply_add(float a, float b, float c) { return a * b + c; }
FS_HOST_DEVICE double multiply_add(double a, double b, double c) { return a * b + c; }
#endif

// F numbers side by side (F a power of two), at the alignment of one.
template <class T, int F>
struct Vector {
    typedef T Lanes __attribute__((vector_size(F * sizeof(T))));
    Lanes lanes;

    FS_HOST_DEVICE static Vector zero() { return {Lanes{}}; }
    FS_HOST_DEVICE static Vector load(const T* from) {
        Vector v;
        __builtin_memcpy(&v.lanes, from, sizeof(Lanes));
        return v;
    }
    FS_HOST_DEVICE void store(T* to) const { __builtin_memcpy(to, &lanes, sizeof(Lanes)); }

    // this += other * factor
    FS_HOST_DEVICE void add(const Vector& other, T factor) {
#if defined(__FMA__)
        for (int i = 0; i < F; ++i) lanes[i] = multiply_add(other.lanes[i], factor, lanes[i]);
#else
        lanes += other.lanes * factor;
#endif
    }

    FS_HOST_DEVICE T dot(const Vector& other) const {
        T sum = lanes[0] * other.lanes[0];
        for (int i = 1; i < F; ++i) sum = multiply_add(lanes[i], other.lanes[i], sum);
        return sum;
    }
};

// One number needs no vector.
template <class T>
struct Vector<T, 1> {
    T lane;

    FS_HOST_DEVICE static Vector zero() { return {T(0)}; }
    FS_HOST_DEVICE static Vector load(const T* from) { return {*from}; }
    FS_HOST_DEVICE void store(T* to) const { *to = lane; }
    FS_HOST_DEVICE void add(const Vector& other, T factor) { lane = multiply_add(other.lane, factor, lane); }
    FS_HOST_DEVICE T dot(const Vector& other) const { return lane * other.lane; }
};

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
