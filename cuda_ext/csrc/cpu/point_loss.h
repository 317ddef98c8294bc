// The mean loss of a batch's values against targets, and its gradient, one tile of points after another.
#pragma once

#include "activation.h"

namespace fs {

enum Loss : int32_t { loss_l1 = 0, loss_l2 = 1, loss_relative_l2 = 2 };

}  // namespace fs

namespace fs::FS_ISA {
namespace {

inline float exponential(float x) { return __builtin_expf(x); }
inline double exponential(double x) { return __builtin_exp(x); }

// Loss of one value, and its derivative.
template <class T>
T loss_of(int32_t kind, T value, T target, T& slope) {
    const T error = value - target;
    if (kind == loss_l1) {
        slope = error > T(0) ? T(1) : error < T(0) ? T(-1) : T(0);
        return error * slope;
    }
    // Relative L2: divided by the squared value, which is not differentiated (Müller et al. 2022, section 5.2).
    const T scale = kind == loss_l2 ? T(1) : T(1) / (value * value + T(0.01));
    slope = T(2) * error * scale;
    return error * error * scale;
}

// Values of a field are `scale` times those of its network, or times their sigmoid, plus `offset`.
template <class T>
struct PointLoss {
    int32_t kind;
    const float* targets;         // [points, outputs]
    const float* sample_weights;  // [points], or null for ones
    int64_t points;
    int outputs;
    T scale, offset;
    bool sigmoid;

    PointLoss(int32_t kind, const float* targets, const float* sample_weights, int64_t points, int outputs,
              double scale = 1.0, double offset = 0.0, bool sigmoid = false)
        : kind(kind), targets(targets), sample_weights(sample_weights), points(points), outputs(outputs),
          scale(T(scale)), offset(T(offset)), sigmoid(sigmoid) {}

    // Replaces a tile's values, of which `count` are points from `first` on, by the gradients of the mean loss, and all
    // others by zeros. Returns the sum of the losses.
    double gradient(int64_t first, int count, T* values, int64_t stride) const {
        const T mean = T(1.0 / (double(points) * outputs));
        double total = 0.0;
        for (int p = 0; p < count; ++p) {
            const T weight = sample_weights ? T(sample_weights[first + p]) : T(1);
            T sum = T(0);
            for (int c = 0; c < outputs; ++c) {
                T slope, value = values[p * stride + c], factor = scale;
                if (sigmoid) {
                    value = T(1) / (T(1) + exponential(-value));
                    factor *= value * (T(1) - value);
                }
                sum += loss_of(kind, value * scale + offset, T(targets[(first + p) * outputs + c]), slope);
                values[p * stride + c] = slope * factor * weight * mean;
            }
            for (int64_t c = outputs; c < stride; ++c) values[p * stride + c] = T(0);
            total += double(sum * weight);
        }
        for (int64_t i = count * stride; i < TILE * stride; ++i) values[i] = T(0);
        return total;
    }

    // The mean of the losses whose sums over the chunks are given.
    double mean(const double* sums, int chunks) const {
        double total = 0.0;
        for (int chunk = 0; chunk < chunks; ++chunk) total += sums[chunk];
        return points ? total / (double(points) * outputs) : 0.0;
    }
};

}  // namespace
}  // namespace fs::FS_ISA
