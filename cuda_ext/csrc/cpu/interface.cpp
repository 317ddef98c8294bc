// The C functions that Python calls.
#include "adam.h"
#include "fused_step.h"
#include "hash_grid.h"

FS_API void fs_hash_grid_forward(const fs::GridCall* call) { FS_CALL(hash_grid_forward, *call); }

FS_API void fs_hash_grid_backward(const fs::GridCall* call) { FS_CALL(hash_grid_backward, *call); }

FS_API void fs_adam(const fs::AdamCall* call) { FS_CALL(adam, *call); }

FS_API void fs_grid_mlp_forward(const fs::StepCall* call) { FS_CALL(grid_mlp_forward, *call); }

FS_API void fs_grid_mlp_gradients(const fs::StepCall* call) { FS_CALL(grid_mlp_gradients, *call); }
