// The CUDA kernels of radial basis functions, compiled for the host; only the sort is another.
#include "cuda/rbf.cpp"
#include "cuda/gaussian_layer.cu"
#include "cuda/neighbours.cu"
#include "cuda/rbf_gather_double.cu"
#include "cuda/rbf_gather_float.cu"
#include "sort.h"

FS_API const char* fs_error(int32_t error) { return cudaGetErrorString(cudaError_t(error)); }
