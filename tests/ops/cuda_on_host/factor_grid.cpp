// The CUDA kernels of sums of products of grids, compiled for the host; only the sort is another.
#include "cuda/factor_grid.cu"
#include "cuda/interface.cpp"
#include "sort.h"
