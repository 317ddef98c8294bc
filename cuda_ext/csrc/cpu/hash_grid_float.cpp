#include "hash_grid_kernels.h"

template struct fs::FS_ISA::GridReader<float, float>;
template struct fs::FS_ISA::GridTrainer<float>;
