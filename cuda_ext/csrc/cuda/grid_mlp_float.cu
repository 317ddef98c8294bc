#include "grid_mlp.cuh"

template cudaError_t fs::run_grid_mlp<float>(const GridMlpCall&, cudaStream_t, void*, int64_t, bool);
