// Light along a ray: each sample absorbs 1 - exp(-density * length) of what reaches it, and shows its colour in return.
//
// With x = density * length, light before sample i is L_i = exp(-(x_0 + .. + x_{i-1})), its weight w_i = L_i - L_{i+1}.
// A change of x_i moves w_i by L_{i+1} and every w_j behind it by -w_j. Samples that less light than the threshold
// reaches have weight zero and take part in nothing.
#pragma once

#include <math.h>

#include "rays.h"

namespace fs {

FS_HOST_DEVICE float less_one(float x) { return expm1f(x); }
FS_HOST_DEVICE double less_one(double x) { return expm1(x); }

// What both passes read of the samples.
template <class T>
struct Light {
    const T *density, *colors, *starts, *ends;
    T threshold;
    int channels;

    FS_HOST_DEVICE explicit Light(const CompositeCall& call)
        : density(static_cast<const T*>(call.density)), colors(static_cast<const T*>(call.colors)),
          starts(static_cast<const T*>(call.starts)), ends(static_cast<const T*>(call.ends)),
          threshold(T(call.threshold)), channels(call.channels) {}

    FS_HOST_DEVICE T middle(int64_t i) const { return (starts[i] + ends[i]) * T(0.5); }
    FS_HOST_DEVICE T minus_opacity(int64_t i) const { return less_one(-density[i] * (ends[i] - starts[i])); }
};

// The gradients of a ray's results, and of what a unit of weight of a sample adds to them.
template <class T>
struct Upstream {
    const T *color, *weights;
    T opacity, depth;

    FS_HOST_DEVICE Upstream(const CompositeCall& call, int64_t ray)
        : color(call.grad_color ? static_cast<const T*>(call.grad_color) + ray * call.channels : nullptr),
          weights(static_cast<const T*>(call.grad_weights)),
          opacity(call.grad_opacity ? static_cast<const T*>(call.grad_opacity)[ray] : T(0)),
          depth(call.grad_depth ? static_cast<const T*>(call.grad_depth)[ray] : T(0)) {}

    FS_HOST_DEVICE T of_weight(const Light<T>& light, int64_t i) const {
        T sum = opacity + depth * light.middle(i);
        if (weights) sum += weights[i];
        for (int c = 0; color && c < light.channels; ++c) sum += color[c] * light.colors[i * light.channels + c];
        return sum;
    }
};

template <class T>
FS_HOST_DEVICE void composite_ray(const CompositeCall& call, int64_t ray) {
    const Light<T> light(call);
    const int64_t first = call.offsets[ray], last = call.offsets[ray + 1];
    T* weights = static_cast<T*>(call.weights);
    T left = T(1), opacity = T(0), depth = T(0);
    for (int64_t i = first; i < last; ++i) {
        T weight = T(0);
        if (!(left < light.threshold)) {
            const T minus = light.minus_opacity(i);
            weight = -left * minus;
            left *= T(1) + minus;
        }
        weights[i] = weight;
        opacity += weight;
        depth += weight * light.middle(i);
    }
    static_cast<T*>(call.opacity)[ray] = opacity;
    static_cast<T*>(call.depth)[ray] = depth;
    for (int c = 0; c < light.channels; ++c) {
        T sum = T(0);
        for (int64_t i = first; i < last; ++i) sum += weights[i] * light.colors[i * light.channels + c];
        static_cast<T*>(call.color)[ray * light.channels + c] = sum;
    }
}

template <class T>
FS_HOST_DEVICE void composite_ray_backward(const CompositeCall& call, int64_t ray) {
    const Light<T> light(call);
    const Upstream<T> upstream(call, ray);
    const int64_t first = call.offsets[ray], last = call.offsets[ray + 1];
    const T* weights = static_cast<const T*>(call.weights);
    T behind = T(0);
    for (int64_t i = first; i < last; ++i) behind += weights[i] * upstream.of_weight(light, i);
    T left = T(1);
    for (int64_t i = first; i < last; ++i) {
        T slope = T(0);
        if (!(left < light.threshold)) {
            left *= T(1) + light.minus_opacity(i);
            const T of_weight = upstream.of_weight(light, i);
            behind -= weights[i] * of_weight;
            slope = (left * of_weight - behind) * (light.ends[i] - light.starts[i]);
        }
        static_cast<T*>(call.grad_density)[i] = slope;
        if (call.grad_colors)
            for (int c = 0; c < light.channels; ++c)
                static_cast<T*>(call.grad_colors)[i * light.channels + c] =
                    upstream.color ? weights[i] * upstream.color[c] : T(0);
    }
}

}  // namespace fs
