#include "hash_grid_kernels.h"

template struct fs::FS_ISA::GridReader<double, double>;
template struct fs::FS_ISA::GridTrainer<double>;
