// Compositing, distortion loss and importance sampling on the CPU. In float32, the exponentials of a group of rays are
// computed together with SIMD; what remains along each ray are short sums.
#include "../common/composite.h"

#include "parallel.h"
#include "rays.h"
#include "simd.h"

#define FS_RESTRICT __restrict__  // no other pointer reaches the same memory

namespace fs::FS_ISA {
namespace {

constexpr int RAYS_PER_GROUP = 64;

// Calls body(first ray, last ray) for groups of rays.
template <class Body>
void for_each_group(int64_t rays, int num_threads, const Body& body) {
    const int groups = int((rays + RAYS_PER_GROUP - 1) / RAYS_PER_GROUP);
    parallel_for(groups, num_threads, [&](int group) {
        const int64_t first = int64_t(group) * RAYS_PER_GROUP;
        body(first, min_of(first + RAYS_PER_GROUP, rays));
    });
}

template <class Body>
void for_each_ray(int64_t rays, int num_threads, const Body& body) {
    for_each_group(rays, num_threads, [&](int64_t first, int64_t last) {
        for (int64_t ray = first; ray < last; ++ray) body(ray);
    });
}

using Floats = Simd<float>;
using SimdInt32 = SimdTypes<float>::int32;
constexpr int LANES = WIDTH<float>;

// exp(x) - 1, to 2 units in the last place for small x too: 2^n (e^r - 1) + (2^n - 1), with |r| <= log(2) / 2 and the
// Taylor series of e^r - 1 up to r^7. NaN stays NaN.
FS_HOST_DEVICE Floats simd_exp_minus_one(Floats x) {
    x = x < -87.0f ? Floats{} - 87.0f : x;
    x = x > 88.0f ? Floats{} + 88.0f : x;
    constexpr float rounding_constant = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
    const Floats n = (x * 1.44269504f + rounding_constant) - rounding_constant;
    const Floats r = multiply_add(n, broadcast(-1.42860677e-6f), multiply_add(n, broadcast(-0.693145752f), x));
    Floats p = broadcast(1.0f / 5040);
    p = multiply_add(p, r, broadcast(1.0f / 720));
    p = multiply_add(p, r, broadcast(1.0f / 120));
    p = multiply_add(p, r, broadcast(1.0f / 24));
    p = multiply_add(p, r, broadcast(1.0f / 6));
    p = multiply_add(p, r, broadcast(0.5f));
    p = multiply_add(p * r, r, r);
    const Floats safe = n == n ? n : Floats{};
    const Floats scale = (Floats)((__builtin_convertvector(safe, SimdInt32) + 127) << 23);
    return multiply_add(scale, p, scale - 1.0f);
}

// Writes -alpha of samples first .. last - 1 to `out`.
void negative_alphas(const RaySamples<float>& samples, int64_t first, int64_t last, float* out) {
    int64_t i = first;
    for (; i + LANES <= last; i += LANES) {
        const Floats length = load<Floats>(samples.ends + i) - load<Floats>(samples.starts + i);
        store(out + (i - first), simd_exp_minus_one(-load<Floats>(samples.density + i) * length));
    }
    if (i == last) return;
    Floats rest = {};
    for (int64_t k = i; k < last; ++k) rest[k - i] = -samples.density[k] * (samples.ends[k] - samples.starts[k]);
    rest = simd_exp_minus_one(rest);
    for (int64_t k = i; k < last; ++k) out[k - first] = rest[k - i];
}

// `channels`: number of colour channels, or 0 if it is known only at run time.
template <int channels>
void forward_ray(const CompositeCall& call, const RaySamples<float>& samples, int64_t ray,
                 const float* negative_alpha) {
    const int64_t first = call.offsets[ray], last = call.offsets[ray + 1];
    float* weights = static_cast<float*>(call.weights);
    float transmittance = 1.0f, opacity = 0.0f, depth = 0.0f;
    float color[channels ? channels : 1] = {};
    int64_t i = first;
    for (; i < last && !(transmittance < samples.threshold); ++i) {
        const float weight = -transmittance * negative_alpha[i - first];
        transmittance *= 1.0f + negative_alpha[i - first];
        weights[i] = weight;
        opacity += weight;
        depth = multiply_add(weight, samples.midpoint(i), depth);
        for (int c = 0; c < channels; ++c) color[c] = multiply_add(weight, samples.colors[i * channels + c], color[c]);
    }
    static_cast<float*>(call.opacity)[ray] = opacity;
    static_cast<float*>(call.depth)[ray] = depth;
    float* out = static_cast<float*>(call.color) + ray * samples.channels;
    if (channels) {
        for (int c = 0; c < channels; ++c) out[c] = color[c];
    } else {
        for (int c = 0; c < samples.channels; ++c) out[c] = 0.0f;
        for (int64_t k = first; k < i; ++k)
            for (int c = 0; c < samples.channels; ++c)
                out[c] = multiply_add(weights[k], samples.colors[k * samples.channels + c], out[c]);
    }
    for (; i < last; ++i) weights[i] = 0.0f;
}

// `transmittance`: room for the transmittance behind each sample of the ray.
template <int fixed>
void backward_ray(const CompositeCall& call, const RaySamples<float>& samples, int64_t ray, const float* negative_alpha,
                  float* transmittance) {
    const int channels = fixed ? fixed : samples.channels;
    const int64_t first = call.offsets[ray], last = call.offsets[ray + 1];
    const OutputGradients<float> gradients(call, ray);
    const float* weights = static_cast<const float*>(call.weights);
    float* grad_density = static_cast<float*>(call.grad_density);
    float* grad_colors = static_cast<float*>(call.grad_colors);
    float current = 1.0f;
    int64_t end = first;
    for (; end < last && !(current < samples.threshold); ++end)
        transmittance[end - first] = current *= 1.0f + negative_alpha[end - first];
    for (int64_t i = end; i < last; ++i) {
        grad_density[i] = 0.0f;
        for (int c = 0; grad_colors && c < channels; ++c) grad_colors[i * channels + c] = 0.0f;
    }
    // First the gradient of each weight, then the suffix sums from back to front, then the colours: each is a loop that
    // the compiler can vectorise, or a short chain.
    const int64_t count = end - first;
    const float *FS_RESTRICT starts = samples.starts + first, *FS_RESTRICT ends = samples.ends + first;
    const float *FS_RESTRICT colors = samples.colors + first * channels, *FS_RESTRICT weight = weights + first;
    float* FS_RESTRICT density_gradient = grad_density + first;
    const float opacity = gradients.opacity, depth = gradients.depth * 0.5f;
    for (int64_t i = 0; i < count; ++i) density_gradient[i] = opacity + depth * (starts[i] + ends[i]);
    if (gradients.weights)
        for (int64_t i = 0; i < count; ++i) density_gradient[i] += gradients.weights[first + i];
    if (gradients.color && fixed == 3) {
        const float r = gradients.color[0], g = gradients.color[1], b = gradients.color[2];
        for (int64_t i = 0; i < count; ++i)
            density_gradient[i] += r * colors[i * 3] + g * colors[i * 3 + 1] + b * colors[i * 3 + 2];
    } else if (gradients.color) {
        for (int64_t i = 0; i < count; ++i)
            for (int c = 0; c < channels; ++c) density_gradient[i] += gradients.color[c] * colors[i * channels + c];
    }
    float suffix_sum = 0.0f;
    for (int64_t i = count - 1; i >= 0; --i) {
        const float weight_gradient = density_gradient[i];
        density_gradient[i] = transmittance[i] * weight_gradient - suffix_sum;
        suffix_sum = multiply_add(weight[i], weight_gradient, suffix_sum);
    }
    for (int64_t i = 0; i < count; ++i) density_gradient[i] *= ends[i] - starts[i];
    if (!grad_colors) return;
    float* FS_RESTRICT color_gradient = grad_colors + first * channels;
    if (gradients.color && fixed == 3) {
        const float r = gradients.color[0], g = gradients.color[1], b = gradients.color[2];
        for (int64_t i = 0; i < count; ++i) {
            color_gradient[i * 3] = weight[i] * r;
            color_gradient[i * 3 + 1] = weight[i] * g;
            color_gradient[i * 3 + 2] = weight[i] * b;
        }
    } else {
        for (int64_t i = 0; i < count; ++i)
            for (int c = 0; c < channels; ++c)
                color_gradient[i * channels + c] = gradients.color ? weight[i] * gradients.color[c] : 0.0f;
    }
}

template <int channels>
void forward_floats(const CompositeCall& call) {
    const RaySamples<float> samples(call);
    advise_huge_pages(call.weights, size_t(call.offsets[call.rays]) * sizeof(float));
    for_each_group(call.rays, call.num_threads, [&](int64_t first, int64_t last) {
        const int64_t begin = call.offsets[first], end = call.offsets[last];
        float* negative_alpha = static_cast<float*>(scratch(0, size_t(end - begin) * sizeof(float)));
        negative_alphas(samples, begin, end, negative_alpha);
        for (int64_t ray = first; ray < last; ++ray)
            forward_ray<channels>(call, samples, ray, negative_alpha + (call.offsets[ray] - begin));
    });
}

template <int channels>
void backward_floats(const CompositeCall& call) {
    const RaySamples<float> samples(call);
    const size_t total = size_t(call.offsets[call.rays]) * sizeof(float);
    advise_huge_pages(call.grad_density, total);
    if (call.grad_colors) advise_huge_pages(call.grad_colors, total * size_t(call.channels));
    for_each_group(call.rays, call.num_threads, [&](int64_t first, int64_t last) {
        const int64_t begin = call.offsets[first], end = call.offsets[last];
        float* negative_alpha = static_cast<float*>(scratch(0, size_t(end - begin) * 2 * sizeof(float)));
        float* transmittance = negative_alpha + (end - begin);
        negative_alphas(samples, begin, end, negative_alpha);
        for (int64_t ray = first; ray < last; ++ray) {
            const int64_t at = call.offsets[ray] - begin;
            backward_ray<channels>(call, samples, ray, negative_alpha + at, transmittance + at);
        }
    });
}

}  // namespace

void composite_forward(const CompositeCall& call) {
    if (call.is_double) {
        for_each_ray(call.rays, call.num_threads, [&](int64_t ray) { composite_ray<double>(call, ray); });
    } else {
        call.channels == 3 ? forward_floats<3>(call) : forward_floats<0>(call);
    }
}

void composite_backward(const CompositeCall& call) {
    if (call.is_double) {
        for_each_ray(call.rays, call.num_threads, [&](int64_t ray) { composite_ray_backward<double>(call, ray); });
    } else {
        call.channels == 3 ? backward_floats<3>(call) : backward_floats<0>(call);
    }
}

void distortion(const DistortionCall& call) {
    for_each_ray(call.rays, call.num_threads, [&](int64_t ray) {
        call.is_double ? distortion_of_ray<double>(call, ray) : distortion_of_ray<float>(call, ray);
    });
}

void importance(const ImportanceCall& call) {
    for_each_ray(call.rays, call.num_threads, [&](int64_t ray) {
        call.is_double ? importance_of_ray<double>(call, ray) : importance_of_ray<float>(call, ray);
    });
}

}  // namespace fs::FS_ISA

#if defined(FS_EXPORTS)
FS_API void fs_composite_forward(const fs::CompositeCall* call) { FS_CALL(composite_forward, *call); }
FS_API void fs_composite_backward(const fs::CompositeCall* call) { FS_CALL(composite_backward, *call); }
FS_API void fs_distortion(const fs::DistortionCall* call) { FS_CALL(distortion, *call); }
FS_API void fs_importance(const fs::ImportanceCall* call) { FS_CALL(importance, *call); }
#endif
