// The arguments of the fused hash grid and MLP on CUDA.
#pragma once

#include "grid.h"
#include "mlp.h"

namespace fs {

// Mirrored by `GridMlpCall` in fields/ops/grid_mlp_cuda.py. Of `grid`: the layout, `coords` and a float32 table; of
// `mlp`: everything but `features`.
struct GridMlpCall {
    GridCall grid;
    MlpCall mlp;
};

}  // namespace fs
