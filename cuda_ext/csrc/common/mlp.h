// A small MLP: the arguments of a call, on both processors.
#pragma once

#include <cstdint>

namespace fs {

constexpr int MAX_MATRICES = 9;

// Of a hidden layer's z = weight h + bias. Sine: sin(omega z) (Sitzmann et al. 2020, section 3.2). Finer: sin(omega
// (|z| + 1) z), whose factor |z| + 1 is constant in the backward pass, and is differentiated too in finer_through (Liu
// et al. 2024). Softplus: log(1 + exp(scale z)) / scale. Gaussian: exp(-(scale z)^2). Gabor: exp(j omega z - |scale
// z|^2) of complex z (Saragadam et al. 2023, equation 4): the first half of a layer's outputs are real parts, the
// second half are the imaginary ones. Quadratic: relu((A h + a) (B h + b) + C h^2) (Fan et al. 2020, equation 2): a
// hidden layer's matrix has the rows of A, then of B, then of C; the biases of C are not used.
enum Activation : int32_t {
    activation_none = 0,
    activation_relu = 1,
    activation_sine = 2,
    activation_finer = 3,
    activation_finer_through = 4,
    activation_softplus = 5,
    activation_gaussian = 6,
    activation_gabor = 7,
    activation_quadratic = 8
};
// Type in which matrices are multiplied. Products are summed in float32 (or float64) always. matmul_full: the type of
// the arrays.
enum MatmulDtype : int32_t { matmul_full = 0, matmul_bfloat16 = 1, matmul_float16 = 2 };

// Mirrored by `MlpRecord` in fields/ops/mlp.py. h_0 = features; h_{i+1} = activation(weight_i h_i + bias_i). The last
// layer has no activation. Arrays are float32, or float64 where is_double; rows are contiguous.
//
// skip: the matrix that is multiplied by [features, h_skip] in place of h_skip; 0: none.
// exact_first: whether the products of the first matrix are in float32 where matmul_dtype is bfloat16.
//
// standardize, modulation: the hidden sums z = weight_i h_i + bias_i of a point become scale_i n + shift_i with n = (z
// - mean) / sqrt(variance + epsilon) over the layer's units, or n = z. Only with ReLU.
struct MlpRecord {
    int32_t matrices, activation, matmul_dtype, is_double;
    int32_t skip, standardize, exact_first;
    double first_omega, omega, scale;  // first_omega is that of the first layer
    double epsilon;                    // added to variances
    int32_t sizes[MAX_MATRICES + 1];   // widths: features, hidden layers, output
    const void* modulation;            // [points, 2 (matrices - 1)]: the layers' scales, then their shifts; or null
    void* grad_modulation;             // the same shape, where there is modulation
    const void* weight[MAX_MATRICES];  // [sizes[i + 1], sizes[i]]; of `skip`, [sizes[i + 1], sizes[0] + sizes[i]]
    const void* bias[MAX_MATRICES];    // [sizes[i + 1]], or null
    void* grad_weight[MAX_MATRICES];   // as weight
    void* grad_bias[MAX_MATRICES];     // [sizes[i + 1]] where there is a bias
};

// Mirrored by `MlpCall` in fields/ops/mlp.py.
struct MlpCall {
    MlpRecord mlp;
    int64_t points;
    int32_t num_threads;   // for the CPU
    const void* features;  // [points, sizes[0]]
    const void* grad;      // [points, sizes[matrices]]: gradient of the values
    void* values;          // [points, sizes[matrices]]
    void* grad_features;   // [points, sizes[0]], or null
};

}  // namespace fs
