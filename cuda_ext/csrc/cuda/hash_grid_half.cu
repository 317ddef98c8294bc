#include "hash_grid.cuh"

template cudaError_t fs::hash_grid_forward<float, fs::Half>(const GridCall&, cudaStream_t);
template cudaError_t fs::hash_grid_backward<float, fs::Half>(const GridCall&, cudaStream_t, Workspace);
