// A hash grid followed by a small MLP, on the CPU: values, gradients, or the loss and gradients of a training step, one
// tile of points after another.
#pragma once

#include "../common/mlp.h"
#include "hash_grid.h"

namespace fs {

// Mirrored by `StepCall` in fields/ops/grid_mlp.py. Arrays are float32, or float64 where the grid's table is, except
// where another type is given; rows are contiguous.
struct StepCall {
    GridCall grid;  // `coords`, `table`, and the results `grad_table` and `grad_coords`; other arrays are not used
    MlpRecord mlp;
    int32_t loss;                 // a `Loss` of point_loss.h
    const float* targets;         // [points, outputs]
    const float* sample_weights;  // [points], or null for ones
    double* loss_value;           // [1]
    const void* grad;             // [points, outputs]: gradient of `values`
    void* values;                 // [points, outputs]
};

}  // namespace fs

FS_DECLARE(void grid_mlp_forward(const StepCall& call))
FS_DECLARE(void grid_mlp_backward(const StepCall& call))
FS_DECLARE(void grid_mlp_gradients(const StepCall& call))
FS_DECLARE_BFLOAT16(void grid_mlp_forward(const StepCall& call))
FS_DECLARE_BFLOAT16(void grid_mlp_backward(const StepCall& call))
FS_DECLARE_BFLOAT16(void grid_mlp_gradients(const StepCall& call))

// Shapes, dtypes and layouts of all arrays: `StepCall`, `GridCall` and `MlpRecord`.

// Writes `values` = MLP(grid features(coords)).
FS_API void fs_grid_mlp_forward(const fs::StepCall* call);
// Writes the gradients of <grad, values>: of the table and the coordinates where their pointers are not null, and of
// every weight and bias.
FS_API void fs_grid_mlp_backward(const fs::StepCall* call);
// Writes `loss_value`, the mean loss over points and outputs, and its gradients as above. The loss is computed from
// float32 targets.
FS_API void fs_grid_mlp_gradients(const fs::StepCall* call);
