// The CUDA MLP and Adam, compiled for the host.
#include "cuda/mlp.cpp"
#include "cuda/adam.cu"
#include "cuda/mlp_double.cu"
#include "cuda/mlp_float.cu"
#include "cuda/mlp_half.cu"

FS_API const char* fs_error(int32_t error) { return cudaGetErrorString(cudaError_t(error)); }
