// Volume rendering along a ray (Max 1995; Mildenhall et al. 2020, equation 3): sample i has opacity alpha_i = 1 -
// exp(-x_i) with x_i = density * length, transmittance T_i = exp(-(x_0 + .. + x_{i-1})) in front of it, and weight w_i
// = T_i - T_{i+1}.
//
// The gradient follows from: a change of x_i moves w_i by T_{i+1}, and each w_j behind it by -w_j. Samples whose
// transmittance is below the threshold have weight zero and no gradient.
#pragma once

#include <math.h>

#include "rays.h"

namespace fs {

FS_HOST_DEVICE float exp_minus_one(float x) { return expm1f(x); }
FS_HOST_DEVICE double exp_minus_one(double x) { return expm1(x); }

// The samples of a call, as both passes read them.
template <class T>
struct RaySamples {
    const T *density, *colors, *starts, *ends;
    T threshold;
    int channels;

    FS_HOST_DEVICE explicit RaySamples(const CompositeCall& call)
        : density(static_cast<const T*>(call.density)), colors(static_cast<const T*>(call.colors)),
          starts(static_cast<const T*>(call.starts)), ends(static_cast<const T*>(call.ends)),
          threshold(T(call.threshold)), channels(call.channels) {}

    FS_HOST_DEVICE T midpoint(int64_t i) const { return (starts[i] + ends[i]) * T(0.5); }
    FS_HOST_DEVICE T negative_alpha(int64_t i) const { return exp_minus_one(-density[i] * (ends[i] - starts[i])); }
};

// The gradients of a ray's results, and the gradient of the weight of one of its samples.
template <class T>
struct OutputGradients {
    const T *color, *weights;
    T opacity, depth;

    FS_HOST_DEVICE OutputGradients(const CompositeCall& call, int64_t ray)
        : color(call.grad_color ? static_cast<const T*>(call.grad_color) + ray * call.channels : nullptr),
          weights(static_cast<const T*>(call.grad_weights)),
          opacity(call.grad_opacity ? static_cast<const T*>(call.grad_opacity)[ray] : T(0)),
          depth(call.grad_depth ? static_cast<const T*>(call.grad_depth)[ray] : T(0)) {}

    FS_HOST_DEVICE T weight_gradient(const RaySamples<T>& samples, int64_t i) const {
        T sum = opacity + depth * samples.midpoint(i);
        if (weights) sum += weights[i];
        for (int c = 0; color && c < samples.channels; ++c) sum += color[c] * samples.colors[i * samples.channels + c];
        return sum;
    }
};

template <class T>
FS_HOST_DEVICE void composite_ray(const CompositeCall& call, int64_t ray) {
    const RaySamples<T> samples(call);
    const int64_t first = call.offsets[ray], last = call.offsets[ray + 1];
    T* weights = static_cast<T*>(call.weights);
    T transmittance = T(1), opacity = T(0), depth = T(0);
    for (int64_t i = first; i < last; ++i) {
        T weight = T(0);
        if (!(transmittance < samples.threshold)) {
            const T negative_alpha = samples.negative_alpha(i);
            weight = -transmittance * negative_alpha;
            transmittance *= T(1) + negative_alpha;
        }
        weights[i] = weight;
        opacity += weight;
        depth += weight * samples.midpoint(i);
    }
    static_cast<T*>(call.opacity)[ray] = opacity;
    static_cast<T*>(call.depth)[ray] = depth;
    for (int c = 0; c < samples.channels; ++c) {
        T sum = T(0);
        for (int64_t i = first; i < last; ++i) sum += weights[i] * samples.colors[i * samples.channels + c];
        static_cast<T*>(call.color)[ray * samples.channels + c] = sum;
    }
}

template <class T>
FS_HOST_DEVICE void composite_ray_backward(const CompositeCall& call, int64_t ray) {
    const RaySamples<T> samples(call);
    const OutputGradients<T> gradients(call, ray);
    const int64_t first = call.offsets[ray], last = call.offsets[ray + 1];
    const T* weights = static_cast<const T*>(call.weights);
    T suffix_sum = T(0);
    for (int64_t i = first; i < last; ++i) suffix_sum += weights[i] * gradients.weight_gradient(samples, i);
    T transmittance = T(1);
    for (int64_t i = first; i < last; ++i) {
        T density_gradient = T(0);
        if (!(transmittance < samples.threshold)) {
            transmittance *= T(1) + samples.negative_alpha(i);
            const T weight_gradient = gradients.weight_gradient(samples, i);
            suffix_sum -= weights[i] * weight_gradient;
            density_gradient = (transmittance * weight_gradient - suffix_sum) * (samples.ends[i] - samples.starts[i]);
        }
        static_cast<T*>(call.grad_density)[i] = density_gradient;
        if (call.grad_colors)
            for (int c = 0; c < samples.channels; ++c)
                static_cast<T*>(call.grad_colors)[i * samples.channels + c] =
                    gradients.color ? weights[i] * gradients.color[c] : T(0);
    }
}

}  // namespace fs
