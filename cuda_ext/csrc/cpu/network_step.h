// A training step of a network on coordinates, on the CPU: loss and gradients, one tile of points after another.
#pragma once

#include "../common/mlp.h"
#include "isa.h"

namespace fs {

// What a network sees of a point x = coords * scale + offset: x; x, sin(M x), cos(M x) (NeRF's octaves); or cos(M x),
// sin(M x) (random Fourier features).
enum InputEncoding : int32_t { input_coords = 0, input_octaves = 1, input_fourier = 2 };

// Mirrored by `NetworkStepCall` in fields/ops/network_step.py. Arrays are float32; rows are contiguous.
struct NetworkStepCall {
    MlpRecord mlp;
    int64_t points;
    int32_t num_threads, dimensions;
    int32_t encoding, frequencies;
    double input_scale, input_offset;
    double value_scale, value_offset;  // values = those of the network times value_scale, plus value_offset
    int32_t loss;                      // a `Loss` of point_loss.h
    int32_t sigmoid;                   // whether the network's values go through a sigmoid first
    const float* coords;               // [points, dimensions]
    const float* matrix;               // M, [frequencies, dimensions]
    const float* targets;              // [points, outputs]
    const float* sample_weights;       // [points], or null for ones
    double* loss_value;                // [1]
};

}  // namespace fs

FS_DECLARE(void network_gradients(const NetworkStepCall& call))
FS_DECLARE_BFLOAT16(void network_gradients(const NetworkStepCall& call))

// Writes `loss_value`, the mean loss over points and outputs, and its gradients of every weight and bias.
FS_API void fs_network_gradients(const fs::NetworkStepCall* call);
