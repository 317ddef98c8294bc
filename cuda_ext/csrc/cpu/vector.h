// Short vectors of an entry's features, and the fused multiply-add where the instruction set has one. (Contraction is
// off in this build: where rounding must not depend on the set, plain products and sums are written.)
#pragma once

#include "../common/grid.h"

namespace fs::FS_ISA {
namespace {

FS_HOST_DEVICE float multiply_add(float a, float b, float c) {
#if defined(__FMA__)
    return __builtin_fmaf(a, b, c);
#else
    return a * b + c;
#endif
}

FS_HOST_DEVICE double multiply_add(double a, double b, double c) {
#if defined(__FMA__)
    return __builtin_fma(a, b, c);
#else
    return a * b + c;
#endif
}

// F numbers side by side (F a power of two), at the alignment of one.
template <class T, int F>
struct Vector {
    typedef T Lanes __attribute__((vector_size(F * sizeof(T)), aligned(sizeof(T)), may_alias));
    Lanes lanes;

    FS_HOST_DEVICE static Vector zero() { return {Lanes{}}; }
    FS_HOST_DEVICE static Vector load(const T* from) { return {*reinterpret_cast<const Lanes*>(from)}; }
    FS_HOST_DEVICE void store(T* to) const { *reinterpret_cast<Lanes*>(to) = lanes; }

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
