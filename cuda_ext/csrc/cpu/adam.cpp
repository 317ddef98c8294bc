#include "adam.h"

#include <cmath>

#include "parallel.h"
#include "vector.h"

namespace fs::FS_ISA {
namespace {

template <bool sparse>
void update(const AdamCall& call, int64_t first, int64_t last) {
    const float a = call.mean_decay, b = call.square_decay, epsilon = call.epsilon;
    float* __restrict weight = call.weight;
    const float* __restrict gradient = call.gradient;
    float* __restrict mean = call.mean;
    float* __restrict square = call.square;
    int32_t* __restrict steps = call.steps;
    const float* __restrict rate = call.rate;
    const int32_t most = call.most_steps;
    for (int64_t i = first; i < last; ++i) {
        const float g = gradient[i];
        const bool touched = !sparse || g != 0.0f;
        const int32_t step = sparse ? steps[i] + touched : *steps;
        const float m = mean[i] + (g - mean[i]) * (1.0f - a);
        const float v = square[i] + (g * g - square[i]) * (1.0f - b);
        const float change = rate[step < most ? step : most] * m / (std::sqrt(v) + epsilon);
        weight[i] = touched ? weight[i] - change : weight[i];
        mean[i] = touched ? m : mean[i];
        square[i] = touched ? v : square[i];
        if (sparse) steps[i] = step;
    }
}

}  // namespace

void adam(const AdamCall& call) {
    parallel(call.workers, [&](int worker) {
        const Part part = part_of(call.count, call.workers, worker);
        if (call.sparse) {
            update<true>(call, part.first, part.last);
        } else {
            update<false>(call, part.first, part.last);
        }
    });
}

}  // namespace fs::FS_ISA
