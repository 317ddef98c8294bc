// The layer of Gaussian units on the CPU.
#pragma once

#include "../common/gaussian_layer.h"
#include "isa.h"

FS_DECLARE(void gaussian_forward(const GaussianCall& call))
// Gradients of <grad, output>.
FS_DECLARE(void gaussian_backward(const GaussianCall& call))
