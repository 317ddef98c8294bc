#include "mlp.cuh"

template cudaError_t fs::run_mlp<__half>(const MlpCall&, cudaStream_t, void*, int64_t, bool);
template int64_t fs::mlp_workspace<__half>(const MlpCall&, bool);
