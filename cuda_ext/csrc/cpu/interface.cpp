// The C functions that Python calls.
#include "adam.h"
#include "hash_grid.h"
#include "mlp.h"

FS_API void fs_hash_grid_forward(const fs::GridCall* call) { FS_CALL(hash_grid_forward, *call); }

FS_API void fs_hash_grid_backward(const fs::GridCall* call) { FS_CALL(hash_grid_backward, *call); }

FS_API void fs_mlp_forward(const fs::MlpCall* call) { FS_CALL(mlp_forward, *call); }

FS_API void fs_mlp_gradients(const fs::MlpCall* call) { FS_CALL(mlp_gradients, *call); }

FS_API void fs_adam(const fs::AdamCall* call) { FS_CALL(adam, *call); }
