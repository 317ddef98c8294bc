// The gather of radial basis functions on the CPU.
#pragma once

#include "../common/rbf.h"
#include "isa.h"

// output = the features at the points
FS_DECLARE(void rbf_gather_forward(const RbfCall& call))
// Gradients of <grad, output>.
FS_DECLARE(void rbf_gather_backward(const RbfCall& call))
