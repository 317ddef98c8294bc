#include "hash_grid.cuh"

template cudaError_t fs::hash_grid_forward<float, float>(const GridCall&, cudaStream_t);
template cudaError_t fs::hash_grid_backward<float, float>(const GridCall&, cudaStream_t, Workspace);
