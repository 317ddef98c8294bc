// Activations of one hidden unit and their derivatives, as the CUDA kernels compute them. The CPU's are in
// cpu/activation.h.
#pragma once

#include <cmath>

#include "mlp.h"
#include "reduced_precision.h"

namespace fs {

// The compiler's sine and cosine suffice; arguments are moderate.
template <class T>
struct ActivationMaths;
template <>
struct ActivationMaths<float> {
    FS_HOST_DEVICE static float sine(float x) { return sinf(x); }
    FS_HOST_DEVICE static float cosine(float x) { return cosf(x); }
    FS_HOST_DEVICE static float exponential(float x) { return expf(x); }
    FS_HOST_DEVICE static float log_of_one_plus(float x) { return log1pf(x); }
};
template <>
struct ActivationMaths<double> {
    FS_HOST_DEVICE static double sine(double x) { return sin(x); }
    FS_HOST_DEVICE static double cosine(double x) { return cos(x); }
    FS_HOST_DEVICE static double exponential(double x) { return exp(x); }
    FS_HOST_DEVICE static double log_of_one_plus(double x) { return log1p(x); }
};

// Whether an activation is of single units. Gabor's are pairs, which the CUDA kernels lack.
FS_HOST_DEVICE bool is_elementwise(int32_t activation) {
    return activation >= activation_none && activation < activation_gabor;
}

// Whether the derivative is kept beside the output: everywhere but where the output tells it.
FS_HOST_DEVICE bool keeps_slope(int32_t activation) {
    return activation != activation_none && activation != activation_relu;
}

// An elementwise activation that `keeps_slope`, of z, and its derivative.
template <class T>
FS_HOST_DEVICE T activation_and_slope(int32_t activation, T z, T omega, T scale, T& slope) {
    using M = ActivationMaths<T>;
    const T one = T(1), size = z < T(0) ? -z : z;
    switch (activation) {
        case activation_finer:
        case activation_finer_through: {
            const T phase = omega * (size + one) * z, through = activation == activation_finer ? one : T(2);
            slope = omega * (through * size + one) * M::cosine(phase);
            return M::sine(phase);
        }
        case activation_softplus: {
            const T x = scale * z, e = M::exponential(x < T(0) ? x : -x);
            slope = (x < T(0) ? e : one) / (one + e);
            return ((x > T(0) ? x : T(0)) + M::log_of_one_plus(e)) / scale;
        }
        case activation_gaussian: {
            const T value = M::exponential(-(scale * z) * (scale * z));
            slope = T(-2) * scale * scale * z * value;
            return value;
        }
        default: slope = omega * M::cosine(omega * z); return M::sine(omega * z);
    }
}

}  // namespace fs
