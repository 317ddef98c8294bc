// A layer of Gaussian units on the CPU.
#pragma once

#include "../common/gaussian_layer.h"
#include "isa.h"

FS_DECLARE(void gaussian_forward(const GaussianCall& call))
FS_DECLARE(void gaussian_backward(const GaussianCall& call))

// Shapes, dtypes and layouts of all arrays: `GaussianCall`.

// Writes `output`.
FS_API void fs_gaussian_layer_forward(const fs::GaussianCall* call);
// Reads `output` and writes the gradients of <grad, output>, each where its pointer is not null.
FS_API void fs_gaussian_layer_backward(const fs::GaussianCall* call);
