#include "interface.h"

#include <cuda_runtime_api.h>

FS_API int fs_abi() { return fs::abi; }

FS_API const char* fs_error(int32_t error) { return cudaGetErrorString(cudaError_t(error)); }
