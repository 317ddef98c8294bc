// Activations of hidden layers that are computed in a pass of their own over a tile, and their derivatives.
#pragma once

#include "../common/mlp.h"
#include "simd_math.h"

namespace fs::FS_ISA {
namespace {

constexpr int TILE = 64;  // points that pass through a network together

// How an activation is computed: ReLU and none where a matrix product leaves its sums, all others in a pass.
enum ActivationPass { pass_none, pass_relu, pass_own };

constexpr ActivationPass pass_of(int32_t activation) {
    return activation == activation_none ? pass_none : activation == activation_relu ? pass_relu : pass_own;
}

// log(1 + y) for y in [0, 1]: 2 atanh(y / (2 + y)), to 2 units in the last place of 1.
template <class T>
FS_HOST_DEVICE Simd<T> simd_log1p(Simd<T> y) {
    if constexpr (sizeof(T) == 8) {
        for (int i = 0; i < WIDTH<T>; ++i) y[i] = __builtin_log1p(y[i]);
        return y;
    } else {
        const Simd<T> t = y / (y + T(2)), s = t * t;
        Simd<T> p = broadcast(T(2.0 / 15));
        for (int n = 13; n > 0; n -= 2) p = multiply_add(p, s, broadcast(T(2.0 / n)));
        return p * t;
    }
}

// exp(x) for x up to 80, beyond which it does not grow. NaN stays NaN.
template <class T>
FS_HOST_DEVICE Simd<T> bounded_exp(Simd<T> x) {
    x = x > T(80) ? broadcast(T(80)) : x;
    return simd_exp(x);
}

template <class T>
struct ActivationCall {
    int32_t kind;
    T omega, scale;
    int64_t stride;  // of rows
    // In: z `[TILE, stride]`. Out: the derivative. Of gabor, half a row are derivatives of the real part with respect
    // to the real part of z, half those of the imaginary part; `slope2` holds those with respect to the imaginary part
    // of z.
    T *slope, *slope2;
    int64_t half;  // units of gabor: where the imaginary parts of a row begin

    template <class Unit, class Write>
    FS_HOST_DEVICE void each(const Unit& unit, const Write& write) const {
        for (int row = 0; row < TILE; row += 2)
            for (int64_t column = 0; column < stride; column += WIDTH<T>) {
                T *upper = slope + row * stride + column, *lower = upper + stride;
                Simd<T> upper_slope, lower_slope;
                const Simd<T> above = unit(load<Simd<T>>(upper), upper_slope);
                const Simd<T> below = unit(load<Simd<T>>(lower), lower_slope);
                store(upper, upper_slope);
                store(lower, lower_slope);
                write(row, column, above, below);
            }
    }

    struct Gabor {
        Simd<T> x, y;
    };

    FS_HOST_DEVICE Gabor gabor(int row, int64_t column) const {
        T *first = slope + row * stride + column, *second = slope2 + row * stride + column;
        const Simd<T> zx = load<Simd<T>>(first), zy = load<Simd<T>>(first + half);
        const T falloff = scale * scale;
        Simd<T> sine, cosine;
        sine_and_cosine(zx * omega, sine, cosine);
        const Simd<T> amplitude = bounded_exp<T>(-(zy * omega) - (zx * zx + zy * zy) * falloff);
        const Gabor h = {amplitude * cosine, amplitude * sine};
        const Simd<T> along = zx * (T(-2) * falloff), across = zy * (T(-2) * falloff) - omega;
        store(first, along * h.x - h.y * omega);
        store(first + half, along * h.y + h.x * omega);
        store(second, across * h.x);
        store(second + half, across * h.y);
        return h;
    }

    // Calls write(row, column, h of this row, h of the next) for every second row and each vector of columns.
    template <class Write>
    void apply(const Write& write) const {
        const T omega = this->omega, scale = this->scale;
        switch (kind) {
            case activation_sine:
                return each(
                    [=](Simd<T> z, Simd<T>& slope) {
                        Simd<T> sine, cosine;
                        sine_and_cosine(z * omega, sine, cosine);
                        slope = cosine * omega;
                        return sine;
                    },
                    write);
            case activation_finer:
            case activation_finer_through: {
                const T through = kind == activation_finer ? T(1) : T(2);
                return each(
                    [=](Simd<T> z, Simd<T>& slope) {
                        const Simd<T> size = z < T(0) ? -z : z;
                        Simd<T> sine, cosine;
                        sine_and_cosine((size + T(1)) * z * omega, sine, cosine);
                        slope = cosine * (size * through + T(1)) * omega;
                        return sine;
                    },
                    write);
            }
            case activation_softplus:
                return each(
                    [=](Simd<T> z, Simd<T>& slope) {
                        const Simd<T> x = z * scale, e = simd_exp(x < T(0) ? x : -x);
                        slope = (x < T(0) ? e : broadcast(T(1))) / (e + T(1));
                        return ((x > T(0) ? x : Simd<T>{}) + simd_log1p<T>(e)) / scale;
                    },
                    write);
            case activation_gaussian:
                return each(
                    [=](Simd<T> z, Simd<T>& slope) {
                        const Simd<T> h = simd_exp(-(z * z) * (scale * scale));
                        slope = h * z * (T(-2) * scale * scale);
                        return h;
                    },
                    write);
            case activation_gabor:
                for (int row = 0; row < TILE; row += 2)
                    for (int64_t column = 0; column < half; column += WIDTH<T>) {
                        const Gabor above = gabor(row, column), below = gabor(row + 1, column);
                        write(row, column, above.x, below.x);
                        write(row, column + half, above.y, below.y);
                    }
        }
    }

    // The gradient of z from that of h, `grad` `[TILE, stride]`; calls write as `apply` does.
    template <class Write>
    void backward(const T* grad, const Write& write) const {
        const auto at = [&](const T* rows, int row, int64_t column) {
            return load<Simd<T>>(rows + row * stride + column);
        };
        if (kind != activation_gabor) {
            for (int row = 0; row < TILE; row += 2)
                for (int64_t column = 0; column < stride; column += WIDTH<T>)
                    write(row, column, at(grad, row, column) * at(slope, row, column),
                          at(grad, row + 1, column) * at(slope, row + 1, column));
            return;
        }
        const auto product = [&](const T* slopes, int row, int64_t column) {
            return at(grad, row, column) * at(slopes, row, column) +
                   at(grad, row, column + half) * at(slopes, row, column + half);
        };
        for (int row = 0; row < TILE; row += 2)
            for (int64_t column = 0; column < half; column += WIDTH<T>) {
                const Simd<T> above = product(slope, row, column), below = product(slope, row + 1, column);
                const Simd<T> above2 = product(slope2, row, column), below2 = product(slope2, row + 1, column);
                write(row, column, above, below);
                write(row, column + half, above2, below2);
            }
    }
};

}  // namespace
}  // namespace fs::FS_ISA
