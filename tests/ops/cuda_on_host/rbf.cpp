// The CUDA kernels of radial basis functions, Gaussian layers and nearest neighbours, compiled for the host; only the
// sort is another.
#include "cuda/gaussian_layer.cu"
#include "cuda/interface.cpp"
#include "cuda/neighbours.cu"
#include "cuda/rbf_gather.cpp"
#include "cuda/rbf_gather_double.cu"
#include "cuda/rbf_gather_float.cu"
#include "sort.h"
