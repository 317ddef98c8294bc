// What is added up along rays. In float, the exponentials of a group of rays are taken together, whole packs of
// samples; what then runs along each ray is short sums.
#include "../common/composite.h"

#include "parallel.h"
#include "rays.h"
#include "vector.h"

#define FS_ALONE __restrict__  // no other pointer reaches what this one does

namespace fs::FS_ISA {
namespace {

constexpr int RAYS_TOGETHER = 64;

// Calls body(first ray, last ray) for groups of rays.
template <class Body>
void each_group(int64_t rays, int workers, const Body& body) {
    const int groups = int((rays + RAYS_TOGETHER - 1) / RAYS_TOGETHER);
    for_each(groups, workers, [&](int group) {
        const int64_t first = int64_t(group) * RAYS_TOGETHER;
        body(first, smaller(first + RAYS_TOGETHER, rays));
    });
}

template <class Body>
void each_ray(int64_t rays, int workers, const Body& body) {
    each_group(rays, workers, [&](int64_t first, int64_t last) {
        for (int64_t ray = first; ray < last; ++ray) body(ray);
    });
}

using Floats = Pack<float>;
using Whole = PackOf<float>::whole;
constexpr int LANES = WIDTH<float>;

// exp(x) - 1, exact to two units in the last place also where x is small: 2^n (e^r - 1) + (2^n - 1), with r at most
// half of log 2 and the series of e^r - 1 up to r^7. NaN stays NaN.
FS_HOST_DEVICE Floats exponential_less_one(Floats x) {
    x = x < -87.0f ? Floats{} - 87.0f : x;
    x = x > 88.0f ? Floats{} + 88.0f : x;
    constexpr float to_whole = 12582912.0f;  // 1.5 * 2^23: what is added to it is rounded to a whole number
    const Floats n = (x * 1.44269504f + to_whole) - to_whole;
    const Floats r = multiply_add(n, spread(-1.42860677e-6f), multiply_add(n, spread(-0.693145752f), x));
    Floats p = spread(1.0f / 5040);
    p = multiply_add(p, r, spread(1.0f / 720));
    p = multiply_add(p, r, spread(1.0f / 120));
    p = multiply_add(p, r, spread(1.0f / 24));
    p = multiply_add(p, r, spread(1.0f / 6));
    p = multiply_add(p, r, spread(0.5f));
    p = multiply_add(p * r, r, r);
    const Floats safe = n == n ? n : Floats{};
    const Floats scale = (Floats)((__builtin_convertvector(safe, Whole) + 127) << 23);
    return multiply_add(scale, p, scale - 1.0f);
}

// -opacity of samples first..last → out.
void minus_opacities(const Light<float>& light, int64_t first, int64_t last, float* out) {
    int64_t i = first;
    for (; i + LANES <= last; i += LANES) {
        const Floats length = load<Floats>(light.ends + i) - load<Floats>(light.starts + i);
        store(out + (i - first), exponential_less_one(-load<Floats>(light.density + i) * length));
    }
    if (i == last) return;
    Floats rest = {};
    for (int64_t k = i; k < last; ++k) rest[k - i] = -light.density[k] * (light.ends[k] - light.starts[k]);
    rest = exponential_less_one(rest);
    for (int64_t k = i; k < last; ++k) out[k - first] = rest[k - i];
}

// `channels`: how many, or 0 where that is known only at run time.
template <int channels>
void forward_ray(const CompositeCall& call, const Light<float>& light, int64_t ray, const float* minus) {
    const int64_t first = call.offsets[ray], last = call.offsets[ray + 1];
    float* weights = static_cast<float*>(call.weights);
    float left = 1.0f, opacity = 0.0f, depth = 0.0f;
    float color[channels ? channels : 1] = {};
    int64_t i = first;
    for (; i < last && !(left < light.threshold); ++i) {
        const float weight = -left * minus[i - first];
        left *= 1.0f + minus[i - first];
        weights[i] = weight;
        opacity += weight;
        depth = multiply_add(weight, light.middle(i), depth);
        for (int c = 0; c < channels; ++c) color[c] = multiply_add(weight, light.colors[i * channels + c], color[c]);
    }
    static_cast<float*>(call.opacity)[ray] = opacity;
    static_cast<float*>(call.depth)[ray] = depth;
    float* out = static_cast<float*>(call.color) + ray * light.channels;
    if (channels) {
        for (int c = 0; c < channels; ++c) out[c] = color[c];
    } else {
        for (int c = 0; c < light.channels; ++c) out[c] = 0.0f;
        for (int64_t k = first; k < i; ++k)
            for (int c = 0; c < light.channels; ++c)
                out[c] = multiply_add(weights[k], light.colors[k * light.channels + c], out[c]);
    }
    for (; i < last; ++i) weights[i] = 0.0f;
}

// `left` is room for the light behind each sample of the ray.
template <int fixed>
void backward_ray(const CompositeCall& call, const Light<float>& light, int64_t ray, const float* minus, float* left) {
    const int channels = fixed ? fixed : light.channels;
    const int64_t first = call.offsets[ray], last = call.offsets[ray + 1];
    const Upstream<float> upstream(call, ray);
    const float* weights = static_cast<const float*>(call.weights);
    float* grad_density = static_cast<float*>(call.grad_density);
    float* grad_colors = static_cast<float*>(call.grad_colors);
    float now = 1.0f;
    int64_t end = first;
    for (; end < last && !(now < light.threshold); ++end) left[end - first] = now *= 1.0f + minus[end - first];
    for (int64_t i = end; i < last; ++i) {
        grad_density[i] = 0.0f;
        for (int c = 0; grad_colors && c < channels; ++c) grad_colors[i * channels + c] = 0.0f;
    }
    // What a unit of each weight adds, then from the back to the front, then the colours: each a loop that the compiler
    // can turn into vectors, or a short chain.
    const int64_t count = end - first;
    const float *FS_ALONE starts = light.starts + first, *FS_ALONE ends = light.ends + first;
    const float *FS_ALONE colors = light.colors + first * channels, *FS_ALONE weight = weights + first;
    float* FS_ALONE slope = grad_density + first;
    const float opacity = upstream.opacity, depth = upstream.depth * 0.5f;
    for (int64_t i = 0; i < count; ++i) slope[i] = opacity + depth * (starts[i] + ends[i]);
    if (upstream.weights)
        for (int64_t i = 0; i < count; ++i) slope[i] += upstream.weights[first + i];
    if (upstream.color && fixed == 3) {
        const float r = upstream.color[0], g = upstream.color[1], b = upstream.color[2];
        for (int64_t i = 0; i < count; ++i)
            slope[i] += r * colors[i * 3] + g * colors[i * 3 + 1] + b * colors[i * 3 + 2];
    } else if (upstream.color) {
        for (int64_t i = 0; i < count; ++i)
            for (int c = 0; c < channels; ++c) slope[i] += upstream.color[c] * colors[i * channels + c];
    }
    float behind = 0.0f;
    for (int64_t i = count - 1; i >= 0; --i) {
        const float of_weight = slope[i];
        slope[i] = left[i] * of_weight - behind;
        behind = multiply_add(weight[i], of_weight, behind);
    }
    for (int64_t i = 0; i < count; ++i) slope[i] *= ends[i] - starts[i];
    if (!grad_colors) return;
    float* FS_ALONE paint = grad_colors + first * channels;
    if (upstream.color && fixed == 3) {
        const float r = upstream.color[0], g = upstream.color[1], b = upstream.color[2];
        for (int64_t i = 0; i < count; ++i) {
            paint[i * 3] = weight[i] * r;
            paint[i * 3 + 1] = weight[i] * g;
            paint[i * 3 + 2] = weight[i] * b;
        }
    } else {
        for (int64_t i = 0; i < count; ++i)
            for (int c = 0; c < channels; ++c)
                paint[i * channels + c] = upstream.color ? weight[i] * upstream.color[c] : 0.0f;
    }
}

template <int channels>
void forward_floats(const CompositeCall& call) {
    const Light<float> light(call);
    expect_writes(call.weights, size_t(call.offsets[call.rays]) * sizeof(float));
    each_group(call.rays, call.workers, [&](int64_t first, int64_t last) {
        const int64_t begin = call.offsets[first], end = call.offsets[last];
        float* minus = static_cast<float*>(scratch(0, size_t(end - begin) * sizeof(float)));
        minus_opacities(light, begin, end, minus);
        for (int64_t ray = first; ray < last; ++ray)
            forward_ray<channels>(call, light, ray, minus + (call.offsets[ray] - begin));
    });
}

template <int channels>
void backward_floats(const CompositeCall& call) {
    const Light<float> light(call);
    const size_t total = size_t(call.offsets[call.rays]) * sizeof(float);
    expect_writes(call.grad_density, total);
    if (call.grad_colors) expect_writes(call.grad_colors, total * size_t(call.channels));
    each_group(call.rays, call.workers, [&](int64_t first, int64_t last) {
        const int64_t begin = call.offsets[first], end = call.offsets[last];
        float* minus = static_cast<float*>(scratch(0, size_t(end - begin) * 2 * sizeof(float)));
        float* left = minus + (end - begin);
        minus_opacities(light, begin, end, minus);
        for (int64_t ray = first; ray < last; ++ray) {
            const int64_t at = call.offsets[ray] - begin;
            backward_ray<channels>(call, light, ray, minus + at, left + at);
        }
    });
}

}  // namespace

void composite_forward(const CompositeCall& call) {
    if (call.is_double) {
        each_ray(call.rays, call.workers, [&](int64_t ray) { composite_ray<double>(call, ray); });
    } else {
        call.channels == 3 ? forward_floats<3>(call) : forward_floats<0>(call);
    }
}

void composite_backward(const CompositeCall& call) {
    if (call.is_double) {
        each_ray(call.rays, call.workers, [&](int64_t ray) { composite_ray_backward<double>(call, ray); });
    } else {
        call.channels == 3 ? backward_floats<3>(call) : backward_floats<0>(call);
    }
}

void distortion(const DistortionCall& call) {
    each_ray(call.rays, call.workers, [&](int64_t ray) {
        call.is_double ? distortion_of_ray<double>(call, ray) : distortion_of_ray<float>(call, ray);
    });
}

void importance(const ImportanceCall& call) {
    each_ray(call.rays, call.workers, [&](int64_t ray) {
        call.is_double ? importance_of_ray<double>(call, ray) : importance_of_ray<float>(call, ray);
    });
}

}  // namespace fs::FS_ISA
