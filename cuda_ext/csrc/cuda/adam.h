// Adam's update of one tensor on CUDA.
#pragma once

#include <cuda_runtime_api.h>

#include "../common/adam.h"
#include "../common/api.h"

// As on the CPU, with the device and the stream in place of the workers; the table of rates lies on the device too.
FS_API int32_t fs_adam(const fs::AdamCall* call, int32_t device, void* stream);
