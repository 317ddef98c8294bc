// The multiresolution grid on the CPU.
#pragma once

#include "../common/grid.h"
#include "isa.h"

// output = features at the points; with a direction, their derivative along it.
FS_DECLARE(void hash_grid_forward(const GridCall& call))
// grad_coords and grad_table of <grad, output>; with a direction, of <grad, derivative of the output along it>.
FS_DECLARE(void hash_grid_backward(const GridCall& call))
