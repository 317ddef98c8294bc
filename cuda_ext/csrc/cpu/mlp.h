// A small MLP on the CPU: values, and gradients whose activations are recomputed tile by tile.
#pragma once

#include "../common/mlp.h"
#include "isa.h"

// values = MLP(features)
FS_DECLARE(void mlp_forward(const MlpCall& call))
// Gradients of <grad, values>: of the features where wanted, of every weight and bias.
FS_DECLARE(void mlp_backward(const MlpCall& call))
FS_DECLARE_BFLOAT16(void mlp_forward(const MlpCall& call))
FS_DECLARE_BFLOAT16(void mlp_backward(const MlpCall& call))
