// Sums of products of interpolated grids on the CPU.
#pragma once

#include "../common/factors.h"
#include "isa.h"

// output = features at the points.
FS_DECLARE(void factor_grid_forward(const FactorCall& call))
// grad_coords and grad_table of <grad, output>.
FS_DECLARE(void factor_grid_backward(const FactorCall& call))
