// What describes a small MLP, to both processors.
#pragma once

#include <cstdint>

namespace fs {

constexpr int MOST_MATRICES = 9;

enum Activation : int32_t { activation_none = 0, activation_relu = 1, activation_sine = 2 };
// What is multiplied; sums are in float (or double) always.
enum Products : int32_t { products_full = 0, products_bfloat16 = 1, products_float16 = 2 };

// `MlpRecord` in fields/ops/mlp.py. h_0 = features; h_{i+1} = activation(weight_i h_i + bias_i), of which a sine takes
// omega times; the last layer has no activation. Pointers are to float, or to double where is_double; rows are
// contiguous.
struct MlpRecord {
    int32_t matrices, activation, products, is_double;
    double omega;
    int32_t sizes[MOST_MATRICES + 1];   // of the features, the hidden layers, the output
    const void* weight[MOST_MATRICES];  // [sizes[i + 1], sizes[i]]
    const void* bias[MOST_MATRICES];    // [sizes[i + 1]], or null
    void* grad_weight[MOST_MATRICES];
    void* grad_bias[MOST_MATRICES];  // where there is a bias
};

// `MlpCall` in fields/ops/mlp.py.
struct MlpCall {
    MlpRecord mlp;
    int64_t points;
    int32_t workers;       // threads of the CPU
    const void* features;  // [points, sizes[0]]
    const void* grad;      // [points, sizes[matrices]], gradient of the values
    void* values;          // [points, sizes[matrices]]
    void* grad_features;   // [points, sizes[0]], or null
};

}  // namespace fs
