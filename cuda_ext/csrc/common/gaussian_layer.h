// A layer of Gaussian units: exp(-q / 2) with q = sum over the inputs of exp(log width) * (x - centre)^2.
#pragma once

#include "grid.h"

namespace fs {

// `_Call` in fields/ops/gaussian_layer.py. The pointers are to float, or to double where is_double; rows are
// contiguous. Null gradients are not computed. `workers` counts threads of the CPU.
struct GaussianCall {
    int32_t inputs, units, is_double, workers;
    int64_t points;
    const void* x;           // [points, inputs]
    const void* centres;     // [units, inputs]
    const void* log_widths;  // [units, inputs]
    const void* grad;        // [points, units], gradient of the output
    void* output;            // [points, units]; read by the way back
    void* grad_x;
    void* grad_centres;
    void* grad_log_widths;
};

constexpr int GAUSSIAN_MOST_INPUTS = 256, GAUSSIAN_MOST_UNITS = 256;

}  // namespace fs
