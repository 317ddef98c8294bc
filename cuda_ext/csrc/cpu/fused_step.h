// A grid followed by a small MLP, on the CPU: values, gradients, or a training step's loss and gradients, over one tile
// of points after another.
#pragma once

#include "../common/mlp.h"
#include "hash_grid.h"

namespace fs {

enum Loss : int32_t { loss_l1 = 0, loss_l2 = 1, loss_relative_l2 = 2 };

// `StepCall` in fields/ops/grid_mlp.py. Numbers are of the grid's type.
struct StepCall {
    GridCall grid;  // its grad_table and grad_coords are results; grad, direction and output are not used
    MlpRecord mlp;
    int32_t loss;
    const float* targets;         // [points, outputs]
    const float* sample_weights;  // [points], or null for ones
    double* loss_value;
    const void* grad;  // [points, outputs], gradient of the values
    void* values;      // [points, outputs]
};

}  // namespace fs

// values = MLP(features(coords))
FS_DECLARE(void grid_mlp_forward(const StepCall& call))
// Gradients of <grad, values>: of table and coordinates where wanted, of every weight and bias.
FS_DECLARE(void grid_mlp_backward(const StepCall& call))
// The mean loss over points and outputs, and its gradients; float.
FS_DECLARE(void grid_mlp_gradients(const StepCall& call))
FS_DECLARE_BFLOAT16(void grid_mlp_forward(const StepCall& call))
FS_DECLARE_BFLOAT16(void grid_mlp_backward(const StepCall& call))
FS_DECLARE_BFLOAT16(void grid_mlp_gradients(const StepCall& call))
