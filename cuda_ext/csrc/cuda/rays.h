// Rays on CUDA: the library's functions. As on the CPU, with the device and the stream in place of the workers; nothing
// waits for the device. They return cudaError_t, 0 for success.
#pragma once

#include "../common/api.h"
#include "../common/rays.h"

FS_API int32_t fs_ray_box(const fs::BoxCall* call, int32_t device, void* stream);

// The number of samples of each ray, then the samples themselves, which the caller has made room for.
FS_API int32_t fs_march_count(const fs::MarchCall* call, int32_t device, void* stream);
FS_API int32_t fs_march_write(const fs::MarchCall* call, int32_t device, void* stream);

FS_API int32_t fs_composite_forward(const fs::CompositeCall* call, int32_t device, void* stream);
FS_API int32_t fs_composite_backward(const fs::CompositeCall* call, int32_t device, void* stream);
FS_API int32_t fs_distortion(const fs::DistortionCall* call, int32_t device, void* stream);
FS_API int32_t fs_importance(const fs::ImportanceCall* call, int32_t device, void* stream);
