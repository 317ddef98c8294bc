// Rays on the CPU.
#pragma once

#include "../common/rays.h"
#include "isa.h"

FS_DECLARE(void ray_box(const BoxCall& call))
// The number of samples of each ray, then the samples themselves, which the caller has made room for.
FS_DECLARE(void march_count(const MarchCall& call))
FS_DECLARE(void march_write(const MarchCall& call))

FS_DECLARE(void composite_forward(const CompositeCall& call))
FS_DECLARE(void composite_backward(const CompositeCall& call))
FS_DECLARE(void distortion(const DistortionCall& call))
FS_DECLARE(void importance(const ImportanceCall& call))
