// What the kernels include of CUDA, for the host.
#pragma once

#include "cuda_runtime_api.h"
