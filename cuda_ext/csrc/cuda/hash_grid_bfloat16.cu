#include "hash_grid.cuh"

template cudaError_t fs::hash_grid_forward<float, fs::Bfloat16>(const GridCall&, cudaStream_t);
template cudaError_t fs::hash_grid_backward<float, fs::Bfloat16>(const GridCall&, cudaStream_t, Workspace);
