// One step of Adam on CUDA: one thread an element, with the same arithmetic as ../cpu/adam.cpp.
#include <cuda_runtime.h>

#include "adam.h"
#include "device.h"

namespace fs {
namespace {

__global__ void adam_kernel(const __grid_constant__ AdamCall call) {
    const int64_t step = int64_t(gridDim.x) * blockDim.x;
    for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < call.count; i += step) {
        const float gradient = call.gradient[i];
        if (call.sparse && gradient == 0.0f) continue;
        int32_t steps = call.sparse ? call.steps[i] + 1 : *call.steps;
        if (call.sparse) call.steps[i] = steps;
        const float rate = call.rate[steps < call.max_steps ? steps : call.max_steps];
        float mean = call.mean[i], square = call.square[i];
        mean += (gradient - mean) * (1.0f - call.mean_decay);
        square += (gradient * gradient - square) * (1.0f - call.square_decay);
        call.mean[i] = mean;
        call.square[i] = square;
        call.weight[i] -= rate * mean / (sqrtf(square) + call.epsilon);
    }
}

}  // namespace
}  // namespace fs

FS_API int32_t fs_adam(const fs::AdamCall* call, int32_t device, void* stream) {
    if (call->count <= 0) return call->count ? cudaErrorInvalidValue : cudaSuccess;
    const fs::DeviceGuard guard(device);
    if (guard.status) return guard.status;
    const int64_t blocks = (call->count + 255) / 256;
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(unsigned(blocks < 4096 ? blocks : 4096));
    config.blockDim = dim3(256);
    config.stream = static_cast<cudaStream_t>(stream);
    return cudaLaunchKernelEx(&config, fs::adam_kernel, *call);
}
