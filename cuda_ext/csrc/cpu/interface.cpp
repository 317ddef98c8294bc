// The C functions that Python calls.
#include "hash_grid.h"

FS_API void fs_hash_grid_forward(const fs::GridCall* call) { FS_CALL(hash_grid_forward, *call); }

FS_API void fs_hash_grid_backward(const fs::GridCall* call) { FS_CALL(hash_grid_backward, *call); }
