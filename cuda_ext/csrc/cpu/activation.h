// Activations of hidden layers that are computed in a pass of their own over a tile, and their derivatives.
#pragma once

#include "../common/mlp.h"
#include "simd_math.h"

namespace fs::FS_ISA {

constexpr int TILE = 64;  // points that pass through a network together

// How an activation is computed: ReLU and none where a matrix product leaves its sums, all others in a pass.
enum ActivationPass { pass_none, pass_relu, pass_own };

inline bool is_modulated(const MlpRecord& mlp) { return mlp.standardize || mlp.modulation; }

inline ActivationPass pass_of(const MlpRecord& mlp) {
    if (is_modulated(mlp)) return pass_own;
    return mlp.activation == activation_none ? pass_none : mlp.activation == activation_relu ? pass_relu : pass_own;
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

// Standardization of a tile's rows, and their scales and shifts, for one layer (Lee et al. 2024).
template <class T>
struct TileModulation {
    bool standardize;
    T epsilon;
    int units;
    T* inverse_deviation;  // [TILE]
    // Of the tile's first `points` rows, each `stride` after the one before; null: scales of 1 and shifts of 0.
    int points;
    int64_t stride;
    const T *scales, *shifts;
    T *grad_scales, *grad_shifts;

    T scale(int row) const { return scales && row < points ? scales[row * stride] : T(1); }
    T shift(int row) const { return shifts && row < points ? shifts[row * stride] : T(0); }

    // A vector of a row whose units beyond the last are zero.
    FS_HOST_DEVICE Simd<T> valid(Simd<T> x, int64_t column) const {
        const int count = int(units - column);
        for (int i = count < 0 ? 0 : count; i < WIDTH<T>; ++i) x[i] = T(0);
        return x;
    }

    // Replaces a row of sums, whose padding is zero, by n of `MlpRecord`.
    void standardize_row(int row, T* z, int64_t columns) const {
        if (!standardize) return;
        Simd<T> sum = {};
        for (int64_t c = 0; c < columns; c += WIDTH<T>) sum += load<Simd<T>>(z + c);
        const T mean = total<T>(sum) / T(units);
        Simd<T> squares = {};
        for (int64_t c = 0; c < columns; c += WIDTH<T>) {
            const Simd<T> centred = valid(load<Simd<T>>(z + c) - mean, c);
            squares = multiply_add(centred, centred, squares);
            store(z + c, centred);
        }
        const T inverse = T(1) / __builtin_sqrt(total<T>(squares) / T(units) + epsilon);
        inverse_deviation[row] = inverse;
        for (int64_t c = 0; c < columns; c += WIDTH<T>) store(z + c, load<Simd<T>>(z + c) * inverse);
    }

    // Gradients of a row's scale and shift from that of h, and factors by which that of z is factor (du - mean - n
    // product), where du is the gradient of h where h is not 0.
    struct RowGradient {
        T scale, shift, factor, mean, product;

        FS_HOST_DEVICE Simd<T> gated(Simd<T> n, Simd<T> grad) const {
            return n * scale + shift > T(0) ? grad : Simd<T>{};
        }
        FS_HOST_DEVICE Simd<T> operator()(Simd<T> n, Simd<T> grad) const {
            return (gated(n, grad) - mean - n * product) * factor;
        }
    };

    RowGradient backward_row(int row, const T* n, const T* grad, int64_t columns) const {
        RowGradient found = {scale(row), shift(row), T(0), T(0), T(0)};
        Simd<T> along = {}, plain = {};
        for (int64_t c = 0; c < columns; c += WIDTH<T>) {
            const Simd<T> normal = load<Simd<T>>(n + c);
            const Simd<T> gated = valid(found.gated(normal, load<Simd<T>>(grad + c)), c);
            along = multiply_add(gated, normal, along);
            plain += gated;
        }
        const T grad_scale = total<T>(along), grad_shift = total<T>(plain);
        if (grad_scales && row < points) {
            grad_scales[row * stride] = grad_scale;
            grad_shifts[row * stride] = grad_shift;
        }
        found.factor = found.scale;
        if (standardize) {
            found.factor *= inverse_deviation[row];
            found.mean = grad_shift / T(units);
            found.product = grad_scale / T(units);
        }
        return found;
    }
};

template <class T>
struct ActivationCall {
    int32_t kind;
    T omega, scale;
    int64_t stride, columns;  // from row to row; columns that are computed, a multiple of the SIMD width
    // In: z `[TILE, stride]`. Out: the derivative. Of gabor, half a row are derivatives of the real part with respect
    // to the real part of z, half those of the imaginary part; `slope2` holds those with respect to the imaginary part
    // of z.
    T *slope, *slope2;
    int64_t half;                         // units of gabor: where the imaginary parts of a row begin
    const TileModulation<T>* modulation;  // or null

    template <class Unit, class Write>
    FS_HOST_DEVICE void each(const Unit& unit, const Write& write) const {
        for (int row = 0; row < TILE; row += 2)
            for (int64_t column = 0; column < columns; column += WIDTH<T>) {
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

    // Standardization, scale, shift and ReLU. Leaves n in `slope`.
    template <class Write>
    void modulate(const Write& write) const {
        for (int row = 0; row < TILE; row += 2) {
            T *upper = slope + row * stride, *lower = upper + stride;
            modulation->standardize_row(row, upper, columns);
            modulation->standardize_row(row + 1, lower, columns);
            const T scale = modulation->scale(row), shift = modulation->shift(row);
            const T next_scale = modulation->scale(row + 1), next_shift = modulation->shift(row + 1);
            for (int64_t column = 0; column < columns; column += WIDTH<T>) {
                const Simd<T> above = load<Simd<T>>(upper + column) * scale + shift;
                const Simd<T> below = load<Simd<T>>(lower + column) * next_scale + next_shift;
                write(row, column, above > T(0) ? above : Simd<T>{}, below > T(0) ? below : Simd<T>{});
            }
        }
    }

    template <class Write>
    void modulate_backward(const T* grad, const Write& write) const {
        for (int row = 0; row < TILE; row += 2) {
            const T *upper = slope + row * stride, *lower = upper + stride;
            const T *upper_grad = grad + row * stride, *lower_grad = upper_grad + stride;
            const auto above = modulation->backward_row(row, upper, upper_grad, columns);
            const auto below = modulation->backward_row(row + 1, lower, lower_grad, columns);
            for (int64_t c = 0; c < columns; c += WIDTH<T>)
                write(row, c, above(load<Simd<T>>(upper + c), load<Simd<T>>(upper_grad + c)),
                      below(load<Simd<T>>(lower + c), load<Simd<T>>(lower_grad + c)));
        }
    }

    // Calls write(row, column, h of this row, h of the next) for every second row and each vector of columns.
    template <class Write>
    void apply(const Write& write) const {
        if (modulation) return modulate(write);
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
        if (modulation) return modulate_backward(grad, write);
        const auto at = [&](const T* rows, int row, int64_t column) {
            return load<Simd<T>>(rows + row * stride + column);
        };
        if (kind != activation_gabor) {
            for (int row = 0; row < TILE; row += 2)
                for (int64_t column = 0; column < columns; column += WIDTH<T>)
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

}  // namespace fs::FS_ISA
