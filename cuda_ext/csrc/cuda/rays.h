// Operations on rays on CUDA: intersection with a box, marching through an occupancy grid, compositing, the distortion
// loss and importance sampling.
#pragma once

#include "../common/rays.h"
#include "interface.h"

// Shapes, dtypes and layouts of all arrays: the call's struct in ../common/rays.h. What all functions have in common:
// interface.h.

// Writes `near` and `far`, both 0 where a ray misses the box.
FS_API int32_t fs_ray_box(const fs::BoxCall* call, int32_t device, void* stream);

// Writes `counts`, the number of samples of each ray.
FS_API int32_t fs_march_count(const fs::MarchCall* call, int32_t device, void* stream);
// Reads `offsets`, the running sums of `counts`, and writes `starts`, `ends` and `ray_indices` of the samples.
FS_API int32_t fs_march_write(const fs::MarchCall* call, int32_t device, void* stream);

// Writes `color`, `opacity`, `depth` and `weights`.
FS_API int32_t fs_composite_forward(const fs::CompositeCall* call, int32_t device, void* stream);
// Reads `weights` as well and writes `grad_density` and, where its pointer is not null, `grad_colors`.
FS_API int32_t fs_composite_backward(const fs::CompositeCall* call, int32_t device, void* stream);
// Writes `loss` and `grad_weights`, each where its pointer is not null.
FS_API int32_t fs_distortion(const fs::DistortionCall* call, int32_t device, void* stream);
// Writes `out`, the edges of the new intervals.
FS_API int32_t fs_importance(const fs::ImportanceCall* call, int32_t device, void* stream);
