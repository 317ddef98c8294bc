// The CUDA kernels of the MLP and of Adam, compiled for the host.
#include "cuda/mlp.cpp"
#include "cuda/adam.cu"
#include "cuda/interface.cpp"
#include "cuda/mlp_double.cu"
#include "cuda/mlp_float.cu"
#include "cuda/mlp_half.cu"
