// The CUDA kernels of the hash grid, compiled for the host; only the sort is another.
#include "cuda/hash_grid.cpp"
#include "cuda/hash_grid_bfloat16.cu"
#include "cuda/hash_grid_double.cu"
#include "cuda/hash_grid_float.cu"
#include "cuda/hash_grid_half.cu"
#include "cuda/interface.cpp"
#include "sort.h"
