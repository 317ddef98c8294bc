// The fused CUDA kernel of a grid and its MLP, and the kernels it needs besides, compiled for the host.
#include "cuda/grid_mlp.cpp"
#include "cuda/grid_mlp_float.cu"
#include "cuda/grid_mlp_half.cu"
#include "cuda/mlp.cpp"
#include "cuda/mlp_double.cu"
#include "cuda/mlp_float.cu"
#include "cuda/mlp_half.cu"
#include "hash_grid.cpp"
