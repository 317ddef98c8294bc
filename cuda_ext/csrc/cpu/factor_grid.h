// Sums of products of interpolated grids on the CPU.
#pragma once

#include "../common/factor_grid.h"
#include "isa.h"

FS_DECLARE(void factor_grid_forward(const FactorCall& call))
FS_DECLARE(void factor_grid_backward(const FactorCall& call))

// Shapes, dtypes and layouts of all arrays: `FactorCall`.

// Writes `output`, the features at the points.
FS_API void fs_factor_grid_forward(const fs::FactorCall* call);
// Writes `grad_coords` and `grad_table`, the gradients of <grad, output>, each where its pointer is not null.
FS_API void fs_factor_grid_backward(const fs::FactorCall* call);
