// A layer of Gaussian units: exp(-q / 2) with q = sum over the inputs of exp(log width) * (x - centre)^2.
#pragma once

#include "grid.h"

namespace fs {

// Mirrored by `GaussianCall` in fields/ops/gaussian_layer.py. Arrays are float32, or float64 where is_double; rows are
// contiguous. Gradients whose pointer is null are not computed. `num_threads` is for the CPU.
struct GaussianCall {
    int32_t inputs, units, is_double, num_threads;
    int64_t points;
    const void* x;           // [points, inputs]
    const void* centres;     // [units, inputs]
    const void* log_widths;  // [units, inputs]
    const void* grad;        // [points, units]: gradient of the output
    void* output;            // [points, units]; the backward pass reads it
    void* grad_x;            // [points, inputs]
    void* grad_centres;      // [units, inputs]
    void* grad_log_widths;   // [units, inputs]
};

constexpr int GAUSSIAN_MAX_INPUTS = 256, GAUSSIAN_MAX_UNITS = 256;

}  // namespace fs
