// What a hidden unit makes of its input, on packs.
#pragma once

#include "vector.h"

namespace fs::FS_ISA {
namespace {

using Floats = Pack<float>;

// Both by polynomials on [-pi/2, pi/2], after the nearest multiple k of pi is taken off in three parts (Cody and Waite
// 1980); the sign is that of (-1)^k. Good to 2 units in the last place of 1 for |x| up to 10,000.
FS_HOST_DEVICE void sine_and_cosine(Floats x, Floats& sine, Floats& cosine) {
    using Whole = PackOf<float>::whole;
    const Floats magic = spread(12582912.0f);  // 1.5 * 2^23: adding it rounds to a whole number
    const Floats shifted = multiply_add(x, spread(0.318309886f), magic);
    const Whole odd = (Whole)shifted << 31;
    const Floats k = shifted - magic;
    Floats r = multiply_add(k, spread(-3.140625f), x);
    r = multiply_add(k, spread(-9.67502593994140625e-4f), r);
    r = multiply_add(k, spread(-1.509957990978376e-7f), r);
    const Floats s = r * r;
    Floats p = spread(2.6000548e-6f);
    p = multiply_add(p, s, spread(-1.9806615e-4f));
    p = multiply_add(p, s, spread(8.3330173e-3f));
    p = multiply_add(p, s, spread(-1.6666657e-1f));
    sine = (Floats)((Whole)multiply_add(p * s, r, r) ^ odd);
    Floats q = spread(-2.6051615e-7f);
    q = multiply_add(q, s, spread(2.4760495e-5f));
    q = multiply_add(q, s, spread(-1.3888378e-3f));
    q = multiply_add(q, s, spread(4.1666638e-2f));
    q = multiply_add(q, s, spread(-0.5f));
    cosine = (Floats)((Whole)multiply_add(q, s, spread(1.0f)) ^ odd);
}

// double serves gradient checks: exact rather than fast.
FS_HOST_DEVICE void sine_and_cosine(Pack<double> x, Pack<double>& sine, Pack<double>& cosine) {
    for (int i = 0; i < WIDTH<double>; ++i) {
        sine[i] = __builtin_sin(x[i]);
        cosine[i] = __builtin_cos(x[i]);
    }
}

}  // namespace
}  // namespace fs::FS_ISA
