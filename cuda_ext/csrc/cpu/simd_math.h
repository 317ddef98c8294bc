// Exponential and square root of SIMD vectors; sine and cosine are in sincos.h. float32 uses polynomials; float64,
// which only serves gradient checks, is computed element by element.
#pragma once

#include "../common/rbf_gather.h"
#include "simd.h"
#include "sincos.h"

namespace fs::FS_ISA {
namespace {

// exp(x) for x <= 0, to 2 units in the last place: 2^n times a polynomial in the remainder on [-ln 2 / 2, ln 2 / 2]
// (coefficients of Cephes' expf). Results below the smallest normal number are 0. NaN stays NaN.
FS_HOST_DEVICE Simd<float> simd_exp(Simd<float> x) {
    using P = Simd<float>;
    using SimdInt32 = SimdTypes<float>::int32;
    const P rounding_constant = broadcast(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
    const auto tiny = x < -87.0f;
    const P safe = tiny ? broadcast(-87.0f) : x;
    const P shifted = multiply_add(safe, broadcast(1.44269504f), rounding_constant);
    const P n = shifted - rounding_constant;
    P r = multiply_add(n, broadcast(-0.693359375f), safe);
    r = multiply_add(n, broadcast(2.12194440e-4f), r);
    P p = broadcast(1.9875691500e-4f);
    p = multiply_add(p, r, broadcast(1.3981999507e-3f));
    p = multiply_add(p, r, broadcast(8.3334519073e-3f));
    p = multiply_add(p, r, broadcast(4.1665795894e-2f));
    p = multiply_add(p, r, broadcast(1.6666665459e-1f));
    p = multiply_add(p, r, broadcast(5.0000001201e-1f));
    p = multiply_add(p, r * r, r + 1.0f);
    const SimdInt32 power = ((SimdInt32)shifted + (127 - 0x4B400000)) << 23;
    return tiny ? P{} : p * (P)power;
}

FS_HOST_DEVICE Simd<double> simd_exp(Simd<double> x) {
    for (int i = 0; i < WIDTH<double>; ++i) x[i] = __builtin_exp(x[i]);
    return x;
}

FS_HOST_DEVICE Simd<float> simd_sqrt(Simd<float> x) {
    for (int i = 0; i < WIDTH<float>; ++i) x[i] = __builtin_sqrtf(x[i]);
    return x;
}

FS_HOST_DEVICE Simd<double> simd_sqrt(Simd<double> x) {
    for (int i = 0; i < WIDTH<double>; ++i) x[i] = __builtin_sqrt(x[i]);
    return x;
}

template <class T>
FS_HOST_DEVICE T total(Simd<T> x) {
    T half[WIDTH<T>];
    store(half, x);
    for (int width = WIDTH<T> / 2; width > 0; width /= 2)
        for (int i = 0; i < width; ++i) half[i] += half[i + width];
    return half[0];
}

}  // namespace
}  // namespace fs::FS_ISA

namespace fs {

template <class T>
struct SimdMaths {
    using P = FS_ISA::Simd<T>;
    FS_HOST_DEVICE static P exponential(P x) { return FS_ISA::simd_exp(x); }
    FS_HOST_DEVICE static P root(P x) { return FS_ISA::simd_sqrt(x); }
};
template <>
struct Maths<FS_ISA::Simd<float>> : SimdMaths<float> {};
template <>
struct Maths<FS_ISA::Simd<double>> : SimdMaths<double> {};

}  // namespace fs
