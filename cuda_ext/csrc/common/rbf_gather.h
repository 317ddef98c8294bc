// Radial basis functions with a centre and a symmetric matrix K: values and derivatives (NeuRBF, Chen et al. 2023,
// equation 3 and variants of it). Shared by both processors.
#pragma once

#include <math.h>

#include "grid.h"

namespace fs {

// Radial functions of the offset o = x - centre, with q = <o, K o>. Same order as `KERNELS` in
// fields/ops/rbf_gather.py.
enum RbfKernel : int32_t {
    inverse_quadratic = 0,     // 1 / (1 + q)
    inverse_multiquadric = 1,  // 1 / sqrt(1 + q)
    gaussian = 2,              // exp(-q / 2)
    hat = 3,                   // product over the axes of max(0, 1 - |K o|)
    markov = 4,                // exp(-sqrt(q))
};

// How the values of a point's kernels are divided by their sum: not at all, with the sum treated as constant in the
// gradient, or fully differentiated.
enum Normalise : int32_t { normalise_none = 0, normalise_detached = 1, normalise_full = 2 };

// Mirrored by `RbfCall` in fields/ops/rbf_gather.py. Output feature f of a point is the sum over its neighbours n of
// weights[n][f] * sin(value_n * frequencies[f] + phases[f]), or of weights[n][f] * value_n without frequencies; value_n
// is the kernel's value after normalisation. Arrays are float32, or float64 where is_double; rows are contiguous.
// Results whose pointer is null are not computed. `num_threads` is for the CPU.
struct RbfCall {
    int32_t dimensions, neighbours, features, kernel, normalise, is_double, num_threads;
    int64_t points, kernels;
    const int32_t* nearest;   // [points, neighbours]: indices of kernels, 0 .. kernels - 1
    const void* coords;       // [points, dimensions]
    const void* centres;      // [kernels, dimensions]
    const void* shapes;       // [kernels, dimensions * (dimensions + 1) / 2]: the upper triangle of K, row by row
    const void* weights;      // [kernels, features]
    const void* frequencies;  // [features], or null for no sines
    const void* phases;       // [features], or null for zeros
    const void* grad;         // [points, features]: gradient of the output
    void* output;             // [points, features]
    void* grad_coords;        // [points, dimensions]
    void* grad_centres;       // [kernels, dimensions]
    void* grad_shapes;        // as shapes
    void* grad_weights;       // [kernels, features]
    void* grad_phases;        // [features]
};

constexpr int RBF_MAX_NEIGHBOURS = 32;
constexpr int RBF_MAX_FEATURES = 128;
constexpr double RBF_SUM_FLOOR = 1e-8;    // added to the sum of a point's values
constexpr double RBF_MIN_SQUARE = 1e-30;  // for smaller q the derivative of the square root is taken as zero

// Functions that differ between single values and SIMD vectors.
template <class T>
struct Maths;
template <>
struct Maths<float> {
    FS_HOST_DEVICE static float exponential(float x) { return expf(x); }
    FS_HOST_DEVICE static float root(float x) { return sqrtf(x); }
};
template <>
struct Maths<double> {
    FS_HOST_DEVICE static double exponential(double x) { return exp(x); }
    FS_HOST_DEVICE static double root(double x) { return sqrt(x); }
};

FS_HOST_DEVICE constexpr int packed_size(int dimensions) { return dimensions * (dimensions + 1) / 2; }

// Position of row i, column j of a symmetric matrix in its packed upper triangle.
template <int D>
FS_HOST_DEVICE constexpr int packed(int i, int j) {
    const int low = i < j ? i : j, high = i < j ? j : i;
    return low * D - low * (low - 1) / 2 + high - low;
}

template <int D, class T>
FS_HOST_DEVICE void times_shape(const T (&shape)[packed_size(D)], const T (&x)[D], T (&product)[D]) {
    for (int i = 0; i < D; ++i) {
        product[i] = shape[packed<D>(i, 0)] * x[0];
        for (int j = 1; j < D; ++j) product[i] += shape[packed<D>(i, j)] * x[j];
    }
}

template <class T>
FS_HOST_DEVICE T magnitude(T x) {
    return x < Real<T>::of(0) ? -x : x;
}

template <int D, class T>
FS_HOST_DEVICE T quadratic_form(const T (&offset)[D], const T (&product)[D]) {
    T q = offset[0] * product[0];
    for (int i = 1; i < D; ++i) q += offset[i] * product[i];
    const T zero = Real<T>::of(0);
    return q < zero ? zero : q;  // rounding may leave it just below zero
}

// Value of the kernel at an offset from its centre.
template <int kernel, int D, class T>
FS_HOST_DEVICE T rbf_value(const T (&offset)[D], const T (&shape)[packed_size(D)]) {
    const T zero = Real<T>::of(0), one = Real<T>::of(1);
    T product[D];
    times_shape<D>(shape, offset, product);
    if constexpr (kernel == hat) {
        T value = one;
        for (int i = 0; i < D; ++i) {
            const T rest = one - magnitude(product[i]);
            value = value * (rest < zero ? zero : rest);
        }
        return value;
    } else {
        const T q = quadratic_form<D>(offset, product);
        if constexpr (kernel == inverse_quadratic) return one / (one + q);
        if constexpr (kernel == inverse_multiquadric) return one / Maths<T>::root(one + q);
        if constexpr (kernel == gaussian) return Maths<T>::exponential(Real<T>::of(-0.5) * q);
        return Maths<T>::exponential(-Maths<T>::root(q));
    }
}

// Gradients of `upstream` * value by the offset and by the packed matrix.
template <int kernel, int D, class T>
FS_HOST_DEVICE void rbf_slopes(const T (&offset)[D], const T (&shape)[packed_size(D)], T value, T upstream,
                               T (&by_offset)[D], T (&by_shape)[packed_size(D)]) {
    const T zero = Real<T>::of(0), one = Real<T>::of(1), two = Real<T>::of(2);
    T product[D], slope[D];
    times_shape<D>(shape, offset, product);
    if constexpr (kernel == hat) {
        T rest[D];
        for (int i = 0; i < D; ++i) {
            rest[i] = one - magnitude(product[i]);
            rest[i] = rest[i] < zero ? zero : rest[i];
        }
        for (int i = 0; i < D; ++i) {
            T others = upstream;
            for (int j = 0; j < D; ++j)
                if (j != i) others = others * rest[j];
            others = rest[i] > zero ? others : zero;
            slope[i] = product[i] < zero ? others : product[i] > zero ? -others : zero;
        }
    } else {
        T by_square;  // derivative of the value by q
        if constexpr (kernel == inverse_quadratic) by_square = -value * value;
        if constexpr (kernel == inverse_multiquadric) by_square = Real<T>::of(-0.5) * value * value * value;
        if constexpr (kernel == gaussian) by_square = Real<T>::of(-0.5) * value;
        if constexpr (kernel == markov) {
            const T q = quadratic_form<D>(offset, product), least = Real<T>::of(RBF_MIN_SQUARE);
            const T safe = q > least ? q : one;
            by_square = q > least ? Real<T>::of(-0.5) * value / Maths<T>::root(safe) : zero;
        }
        for (int i = 0; i < D; ++i) slope[i] = upstream * by_square * offset[i];
    }
    times_shape<D>(shape, slope, by_offset);
    if constexpr (kernel != hat)
        for (int i = 0; i < D; ++i) by_offset[i] = by_offset[i] * two;
    for (int i = 0; i < D; ++i) {
        by_shape[packed<D>(i, i)] = slope[i] * offset[i];
        for (int j = i + 1; j < D; ++j) by_shape[packed<D>(i, j)] = slope[i] * offset[j] + slope[j] * offset[i];
    }
}

}  // namespace fs
