// A training step of many tri-planes with a small network each, on the CPU: loss and gradients, an object after
// another.
#pragma once

#include "../common/mlp.h"
#include "isa.h"

namespace fs {

// Mirrored by `PlaneStackCall` in fields/ops/plane_stack.py. Arrays are float32; rows are contiguous. A field is the
// network of [sum of the features of three planes, p, sin(2^k p), cos(2^k p)] with p in [-1, 1] and k below `octaves`.
struct PlaneStackCall {
    MlpRecord mlp;   // of the first object; those of the others follow, matrix by matrix
    int64_t points;  // of an object
    int32_t objects, num_threads;
    int32_t features, octaves;
    int32_t nodes[3];      // along x, y and z
    int32_t loss;          // a `Loss` of point_loss.h
    int32_t shared;        // whether all objects have one network; its gradients are still written for each object
    const float* table;    // [objects, entries, features]: planes (x, y), (x, z), (y, z); the first axis varies fastest
    float* grad_table;     // the same shape
    const float* coords;   // [objects, points, 3] in [0, 1]; beyond, the features are those at the border
    const float* targets;  // [objects, points, outputs]
    const float* sample_weights;  // [objects, points], or null for ones
    double* losses;               // [objects]
};

}  // namespace fs

FS_DECLARE(void plane_stack_gradients(const PlaneStackCall& call))

// Writes `losses`, the mean loss of each object over its points and outputs, and its gradients of the object's planes,
// weights and biases.
FS_API void fs_plane_stack_gradients(const fs::PlaneStackCall* call);
