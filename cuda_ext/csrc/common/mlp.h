// A small MLP without skip connections: the arguments of a call, on both processors.
#pragma once

#include <cstdint>

namespace fs {

constexpr int MAX_MATRICES = 9;

enum Activation : int32_t { activation_none = 0, activation_relu = 1, activation_sine = 2 };
// Type in which matrices are multiplied. Products are summed in float32 (or float64) always. matmul_full: the type of
// the arrays.
enum MatmulDtype : int32_t { matmul_full = 0, matmul_bfloat16 = 1, matmul_float16 = 2 };

// Mirrored by `MlpRecord` in fields/ops/mlp.py. h_0 = features; h_{i+1} = activation(weight_i h_i + bias_i). The sine
// is sin(omega * x), as in SIREN (Sitzmann et al. 2020, section 3); the last layer has no activation. Arrays are
// float32, or float64 where is_double; rows are contiguous.
struct MlpRecord {
    int32_t matrices, activation, matmul_dtype, is_double;
    double omega;
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
