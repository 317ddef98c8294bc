// A small MLP on the CPU: values, and gradients whose activations are recomputed tile by tile.
#pragma once

#include "../common/mlp.h"
#include "isa.h"

FS_DECLARE(void mlp_forward(const MlpCall& call))
FS_DECLARE(void mlp_backward(const MlpCall& call))
FS_DECLARE_BFLOAT16(void mlp_forward(const MlpCall& call))
FS_DECLARE_BFLOAT16(void mlp_backward(const MlpCall& call))

// Shapes, dtypes and layouts of all arrays: `MlpCall` and `MlpRecord`.

// Writes `values` = MLP(features).
FS_API void fs_mlp_forward(const fs::MlpCall* call);
// Writes the gradients of <grad, values>: of the features where `grad_features` is not null, and of every weight and
// bias.
FS_API void fs_mlp_backward(const fs::MlpCall* call);
