#include "mlp.cuh"

template cudaError_t fs::run_mlp<double>(const MlpCall&, cudaStream_t, void*, int64_t, bool);
template int64_t fs::mlp_workspace<double>(const MlpCall&, bool);
