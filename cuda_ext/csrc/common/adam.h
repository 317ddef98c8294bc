// What a call of Adam's update is given, on both processors.
#pragma once

#include <cstdint>

namespace fs {

struct AdamCall {
    int64_t count;
    float* weight;
    const float* gradient;
    float *mean, *square;     // the moments
    int32_t* steps;           // one a number where `sparse`, else one for all, already counted up
    const float* rate;        // step size with the correction of both biases, by the number of steps
    int32_t most_steps;       // last entry of `rate`; the correction has settled there
    int32_t sparse, workers;  // sparse: a number whose gradient is zero is passed over
    float mean_decay, square_decay, epsilon;
};

}  // namespace fs
