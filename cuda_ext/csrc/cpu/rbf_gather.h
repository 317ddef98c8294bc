// Interpolation of radial basis functions around each point on the CPU.
#pragma once

#include "../common/rbf_gather.h"
#include "isa.h"

FS_DECLARE(void rbf_gather_forward(const RbfCall& call))
FS_DECLARE(void rbf_gather_backward(const RbfCall& call))

// Shapes, dtypes and layouts of all arrays: `RbfCall`.

// Writes `output`, the features at the points.
FS_API void fs_rbf_gather_forward(const fs::RbfCall* call);
// Writes the gradients of <grad, output>, each where its pointer is not null.
FS_API void fs_rbf_gather_backward(const fs::RbfCall* call);
