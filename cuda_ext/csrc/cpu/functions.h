// Exponentials and roots of packs (sines and cosines are in activation.h): by polynomials for floats, number by number
// for doubles (which serve the tests of gradients).
#pragma once

#include "../common/rbf.h"
#include "activation.h"
#include "vector.h"

namespace fs::FS_ISA {
namespace {

// exp(x) for x <= 0, to 2 units in the last place: 2^n times a polynomial of the rest on [-ln 2 / 2, ln 2 / 2]. What
// would be below the smallest normal number is 0. NaN stays NaN.
FS_HOST_DEVICE Pack<float> exponential_of(Pack<float> x) {
    using P = Pack<float>;
    using Whole = PackOf<float>::whole;
    const P magic = spread(12582912.0f);  // 1.5 * 2^23: adding it rounds to a whole number
    const auto tiny = x < -87.0f;
    const P safe = tiny ? spread(-87.0f) : x;
    const P shifted = multiply_add(safe, spread(1.44269504f), magic);
    const P n = shifted - magic;
    P r = multiply_add(n, spread(-0.693359375f), safe);
    r = multiply_add(n, spread(2.12194440e-4f), r);
    P p = spread(1.9875691500e-4f);
    p = multiply_add(p, r, spread(1.3981999507e-3f));
    p = multiply_add(p, r, spread(8.3334519073e-3f));
    p = multiply_add(p, r, spread(4.1665795894e-2f));
    p = multiply_add(p, r, spread(1.6666665459e-1f));
    p = multiply_add(p, r, spread(5.0000001201e-1f));
    p = multiply_add(p, r * r, r + 1.0f);
    const Whole power = ((Whole)shifted + (127 - 0x4B400000)) << 23;
    return tiny ? P{} : p * (P)power;
}

FS_HOST_DEVICE Pack<double> exponential_of(Pack<double> x) {
    for (int i = 0; i < WIDTH<double>; ++i) x[i] = __builtin_exp(x[i]);
    return x;
}

FS_HOST_DEVICE Pack<float> root_of(Pack<float> x) {
    for (int i = 0; i < WIDTH<float>; ++i) x[i] = __builtin_sqrtf(x[i]);
    return x;
}

FS_HOST_DEVICE Pack<double> root_of(Pack<double> x) {
    for (int i = 0; i < WIDTH<double>; ++i) x[i] = __builtin_sqrt(x[i]);
    return x;
}

template <class T>
FS_HOST_DEVICE T total(Pack<T> x) {
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
struct PackMaths {
    using P = FS_ISA::Pack<T>;
    FS_HOST_DEVICE static P exponential(P x) { return FS_ISA::exponential_of(x); }
    FS_HOST_DEVICE static P root(P x) { return FS_ISA::root_of(x); }
};
template <>
struct Maths<FS_ISA::Pack<float>> : PackMaths<float> {};
template <>
struct Maths<FS_ISA::Pack<double>> : PackMaths<double> {};

}  // namespace fs
