// Operations on rays on the CPU: intersection with a box, marching through an occupancy grid, compositing, the
// distortion loss and importance sampling.
#pragma once

#include "../common/rays.h"
#include "isa.h"

FS_DECLARE(void ray_box(const BoxCall& call))
FS_DECLARE(void march_count(const MarchCall& call))
FS_DECLARE(void march_write(const MarchCall& call))
FS_DECLARE(void composite_forward(const CompositeCall& call))
FS_DECLARE(void composite_backward(const CompositeCall& call))
FS_DECLARE(void distortion(const DistortionCall& call))
FS_DECLARE(void importance(const ImportanceCall& call))

// Shapes, dtypes and layouts of all arrays: the call's struct in ../common/rays.h.

// Writes `near` and `far`, both 0 where a ray misses the box.
FS_API void fs_ray_box(const fs::BoxCall* call);
// Writes `counts`, the number of samples of each ray.
FS_API void fs_march_count(const fs::MarchCall* call);
// Reads `offsets`, the running sums of `counts`, and writes `starts`, `ends` and `ray_indices` of the samples.
FS_API void fs_march_write(const fs::MarchCall* call);
// Writes `color`, `opacity`, `depth` and `weights`.
FS_API void fs_composite_forward(const fs::CompositeCall* call);
// Reads `weights` as well and writes `grad_density` and, where its pointer is not null, `grad_colors`.
FS_API void fs_composite_backward(const fs::CompositeCall* call);
// Writes `loss` and `grad_weights`, each where its pointer is not null.
FS_API void fs_distortion(const fs::DistortionCall* call);
// Writes `out`, the edges of the new intervals.
FS_API void fs_importance(const fs::ImportanceCall* call);
