// One step of Adam (Kingma & Ba 2015, algorithm 1) for one tensor, in place, on the CPU.
#pragma once

#include "../common/adam.h"
#include "isa.h"

FS_DECLARE(void adam(const AdamCall& call))

// Updates `weight`, `mean`, `square` and, where `sparse`, `steps` in place. Shapes and dtypes: `AdamCall`.
FS_API void fs_adam(const fs::AdamCall* call);
