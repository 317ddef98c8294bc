// The CUDA kernels on rays, compiled for the host.
#include <cmath>

using std::exp;

#include "cuda/rays.cu"
