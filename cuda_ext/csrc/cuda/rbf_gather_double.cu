#include "rbf_gather.cuh"

template cudaError_t fs::rbf_gather_forward<double>(const RbfCall&, cudaStream_t);
template cudaError_t fs::rbf_gather_backward<double>(const RbfCall&, cudaStream_t, Workspace);
