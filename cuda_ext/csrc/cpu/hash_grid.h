// The multiresolution grid on the CPU: what the kernels are given.
#pragma once

#include "../common/grid.h"
#include "isa.h"

namespace fs {

// All pointers are to float, or to double where is_double; rows are contiguous. Null results are not computed.
struct GridCall {
    int32_t dimensions, features, levels, smooth, is_double, workers;
    int64_t points;
    const GridLevel* level;
    const void* coords;       // [points, dimensions]
    const void* table;        // [entries, features]
    const void* grad;         // [points, levels * features], gradient of the output
    const void* direction;    // [points, dimensions], gradient of the coordinates' gradient
    void* output;             // [points, levels * features]
    void* grad_coords;        // [points, dimensions]
    void* grad_table;         // [entries, features]
};

}  // namespace fs

// output = features at the points; with a direction, their derivative along it.
FS_DECLARE(void hash_grid_forward(const GridCall& call))
// grad_coords and grad_table of <grad, output>; with a direction, of <grad, derivative of the output along it>.
FS_DECLARE(void hash_grid_backward(const GridCall& call))
