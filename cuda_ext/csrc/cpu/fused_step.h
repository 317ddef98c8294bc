// A grid followed by a small MLP without biases, on the CPU: values, or loss and gradients, over one tile of points after
// another. Float throughout.
#pragma once

#include "hash_grid.h"

namespace fs {

constexpr int MOST_MATRICES = 5;

enum Activation : int32_t { activation_none = 0, activation_relu = 1, activation_sine = 2 };
enum Loss : int32_t { loss_l1 = 0, loss_l2 = 1, loss_relative_l2 = 2 };

// `_Call` in fields/ops/fused_step.py.
struct StepCall {
    GridCall grid;  // its `grad_table` is the table's gradient; grad, direction and output are not used
    int32_t matrices, activation, loss;
    float omega;                      // sine: sin(omega * input)
    int32_t sizes[MOST_MATRICES + 1];  // of the features, the hidden layers, the output
    const float* weight[MOST_MATRICES];  // [sizes[i + 1], sizes[i]]
    float* grad_weight[MOST_MATRICES];
    const float* targets;         // [points, outputs]
    const float* sample_weights;  // [points], or null for ones
    float* values;                // [points, outputs]
    double* loss_value;
};

}  // namespace fs

// values = MLP(features(coords))
FS_DECLARE(void grid_mlp_forward(const StepCall& call))
// The mean loss over points and outputs, and its gradients.
FS_DECLARE(void grid_mlp_gradients(const StepCall& call))
