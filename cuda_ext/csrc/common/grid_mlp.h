// What a call of a grid and the MLP behind it is given, on CUDA.
#pragma once

#include "grid.h"
#include "mlp.h"

namespace fs {

// `GridMlpCall` in fields/ops/grid_mlp_cuda.py. Of the grid: layout, coords and a table of floats; of the MLP all but
// the features.
struct GridMlpCall {
    GridCall grid;
    MlpCall mlp;
};

}  // namespace fs
