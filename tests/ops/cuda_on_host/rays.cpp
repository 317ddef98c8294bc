// The CUDA ray operations, compiled for the host.
#include <cmath>

using std::exp;

#include "cuda/rays.cu"
