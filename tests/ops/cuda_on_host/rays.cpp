// The CUDA kernels on rays, compiled for the host.
#include <cmath>

using std::exp;

#include "cuda/interface.cpp"
#include "cuda/rays.cu"
