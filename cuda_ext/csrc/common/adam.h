// Adam (Kingma & Ba 2015, algorithm 1): the arguments of one step for one tensor, on both processors.
#pragma once

#include <cstdint>

namespace fs {

// Mirrored by `AdamCall` in fields/ops/adam.py. Arrays are contiguous, [count] where nothing else is said.
struct AdamCall {
    int64_t count;
    float* weight;
    const float* gradient;
    float *mean, *square;         // first and second moment
    int32_t* steps;               // steps taken: [count] where `sparse`, else [1] and already counted up
    const float* rate;            // [max_steps + 1]: step size with both bias corrections, by number of steps
    int32_t max_steps;            // last index of `rate`; the correction no longer changes there
    int32_t sparse, num_threads;  // sparse: elements whose gradient is zero keep weight, moments and step count
    float mean_decay, square_decay, epsilon;
};

}  // namespace fs
