// The CUDA sums of products of grids, compiled for the host; only the sort is another.
#include "cuda/factor_grid.cu"
#include "sort.h"

FS_API int fs_abi() { return fs::abi; }
FS_API const char* fs_error(int32_t error) { return cudaGetErrorString(cudaError_t(error)); }
