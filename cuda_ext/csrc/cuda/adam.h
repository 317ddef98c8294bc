// One step of Adam (Kingma & Ba 2015, algorithm 1) for one tensor, in place, on CUDA.
#pragma once

#include <cuda_runtime_api.h>

#include "../common/adam.h"
#include "interface.h"

// Updates `weight`, `mean`, `square` and, where `sparse`, `steps` in place; all arrays, `rate` included, are on the
// device. Shapes and dtypes: `AdamCall`. What all functions have in common: interface.h.
FS_API int32_t fs_adam(const fs::AdamCall* call, int32_t device, void* stream);
