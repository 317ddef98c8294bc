// A small MLP without skip connections: the arguments of a call, on both processors.
#pragma once

#include <cstdint>

namespace fs {

constexpr int MAX_MATRICES = 9;

// Of a hidden layer's z = weight h + bias. Sine: sin(omega z) (Sitzmann et al. 2020, section 3.2). Finer: sin(omega
// (|z| + 1) z), whose factor |z| + 1 is constant in the backward pass, and is differentiated too in finer_through (Liu
// et al. 2024). Softplus: log(1 + exp(scale z)) / scale. Gaussian: exp(-(scale z)^2). Gabor: exp(j omega z - |scale
// z|^2) of complex z (Saragadam et al. 2023, equation 4): the first half of a layer's outputs are real parts, the
// second half are the imaginary ones.
enum Activation : int32_t {
    activation_none = 0,
    activation_relu = 1,
    activation_sine = 2,
    activation_finer = 3,
    activation_finer_through = 4,
    activation_softplus = 5,
    activation_gaussian = 6,
    activation_gabor = 7
};
// Type in which matrices are multiplied. Products are summed in float32 (or float64) always. matmul_full: the type of
// the arrays.
enum MatmulDtype : int32_t { matmul_full = 0, matmul_bfloat16 = 1, matmul_float16 = 2 };

// Mirrored by `MlpRecord` in fields/ops/mlp.py. h_0 = features; h_{i+1} = activation(weight_i h_i + bias_i). The last
// layer has no activation. Arrays are float32, or float64 where is_double; rows are contiguous.
struct MlpRecord {
    int32_t matrices, activation, matmul_dtype, is_double;
    double first_omega, omega, scale;  // first_omega is that of the first layer
    int32_t sizes[MAX_MATRICES + 1];   // widths: features, hidden layers, output
    const void* weight[MAX_MATRICES];  // [sizes[i + 1], sizes[i]]
    const void* bias[MAX_MATRICES];    // [sizes[i + 1]], or null
    void* grad_weight[MAX_MATRICES];   // [sizes[i + 1], sizes[i]]
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
