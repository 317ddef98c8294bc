#include "grid_mlp.cuh"

template cudaError_t fs::run_grid_mlp<__half>(const GridMlpCall&, cudaStream_t, void*, int64_t, bool);
