// Sine and cosine of SIMD vectors.
#pragma once

#include "simd.h"

namespace fs::FS_ISA {
namespace {

using Floats = Simd<float>;

// Polynomials on [-pi/2, pi/2], after subtracting the nearest multiple k of pi in three parts (Cody & Waite 1980); the
// sign is (-1)^k. Accurate to 2 units in the last place of 1 for |x| up to 10,000.
FS_HOST_DEVICE void sine_and_cosine(Floats x, Floats& sine, Floats& cosine) {
    using SimdInt32 = SimdTypes<float>::int32;
    const Floats rounding_constant = broadcast(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
    const Floats shifted = multiply_add(x, broadcast(0.318309886f), rounding_constant);
    const SimdInt32 odd = (SimdInt32)shifted << 31;
    const Floats k = shifted - rounding_constant;
    Floats r = multiply_add(k, broadcast(-3.140625f), x);
    r = multiply_add(k, broadcast(-9.67502593994140625e-4f), r);
    r = multiply_add(k, broadcast(-1.509957990978376e-7f), r);
    const Floats s = r * r;
    Floats p = broadcast(2.6000548e-6f);
    p = multiply_add(p, s, broadcast(-1.9806615e-4f));
    p = multiply_add(p, s, broadcast(8.3330173e-3f));
    p = multiply_add(p, s, broadcast(-1.6666657e-1f));
    sine = (Floats)((SimdInt32)multiply_add(p * s, r, r) ^ odd);
    Floats q = broadcast(-2.6051615e-7f);
    q = multiply_add(q, s, broadcast(2.4760495e-5f));
    q = multiply_add(q, s, broadcast(-1.3888378e-3f));
    q = multiply_add(q, s, broadcast(4.1666638e-2f));
    q = multiply_add(q, s, broadcast(-0.5f));
    cosine = (Floats)((SimdInt32)multiply_add(q, s, broadcast(1.0f)) ^ odd);
}

// float64 serves gradient checks: accurate rather than fast.
FS_HOST_DEVICE void sine_and_cosine(Simd<double> x, Simd<double>& sine, Simd<double>& cosine) {
    for (int i = 0; i < WIDTH<double>; ++i) {
        sine[i] = __builtin_sin(x[i]);
        cosine[i] = __builtin_cos(x[i]);
    }
}

}  // namespace
}  // namespace fs::FS_ISA
