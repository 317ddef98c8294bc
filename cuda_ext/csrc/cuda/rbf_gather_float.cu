#include "rbf_gather.cuh"

template cudaError_t fs::rbf_gather_forward<float>(const RbfCall&, cudaStream_t);
template cudaError_t fs::rbf_gather_backward<float>(const RbfCall&, cudaStream_t, Workspace);
