#include "hash_grid_kernels.h"

template struct fs::FS_ISA::GridReader<float, fs::Half>;
