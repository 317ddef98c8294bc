#include "hash_grid.cuh"

template cudaError_t fs::hash_grid_forward<double, double>(const GridCall&, cudaStream_t);
template cudaError_t fs::hash_grid_backward<double, double>(const GridCall&, cudaStream_t, Workspace);
