// A small multilayer perceptron without biases on the CPU: forward, and the whole gradient of a loss, without keeping
// activations beyond a tile of points.
#pragma once

#include <cstdint>

#include "isa.h"

namespace fs {

enum Loss : int32_t { loss_l1 = 0, loss_l2 = 1, loss_relative_l2 = 2 };

// Hidden layers are ReLU, the last is linear. Rows are contiguous.
struct MlpCall {
    int32_t inputs, width, hidden_layers, outputs, loss, workers;
    int64_t points;
    const float* weights;   // [width, inputs], then [width, width] a further hidden layer, then [outputs, width]
    const float* features;  // [points, inputs]
    const float* target;    // [points, outputs]
    float* output;          // [points, outputs]
    float* grad_features;   // [points, inputs]
    float* grad_weights;    // as `weights`
    double* loss_sum;       // of all values; the mean is what is differentiated
};

}  // namespace fs

// output = network(features)
FS_DECLARE(void mlp_forward(const MlpCall& call))
// loss_sum, grad_weights and grad_features of the mean loss between network(features) and target
FS_DECLARE(void mlp_gradients(const MlpCall& call))
