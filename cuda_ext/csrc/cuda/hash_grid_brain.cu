#include "hash_grid.cuh"

template cudaError_t fs::hash_grid_forward<float, fs::Brain>(const GridCall&, cudaStream_t);
template cudaError_t fs::hash_grid_backward<float, fs::Brain>(const GridCall&, cudaStream_t, Workspace);
