// The CUDA kernels of rasterisation, compiled for the host.
#include "cuda/rasterise.cu"
#include "cuda/interface.cpp"
