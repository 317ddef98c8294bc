#include "factor_grid_kernels.h"

template struct fs::FS_ISA::FactorGrids<float>;
