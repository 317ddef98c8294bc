// The C functions that Python calls.
#include "adam.h"
#include "factor_grid.h"
#include "fused_step.h"
#include "gaussian_layer.h"
#include "hash_grid.h"
#include "mlp.h"
#include "neighbours.h"
#include "rays.h"
#include "rbf_gather.h"

FS_API void fs_hash_grid_forward(const fs::GridCall* call) { FS_CALL(hash_grid_forward, *call); }

FS_API void fs_hash_grid_backward(const fs::GridCall* call) { FS_CALL(hash_grid_backward, *call); }

FS_API void fs_adam(const fs::AdamCall* call) { FS_CALL(adam, *call); }

FS_API void fs_mlp_forward(const fs::MlpCall* call) { FS_CALL_PRODUCTS(call->mlp.products, mlp_forward, *call); }

FS_API void fs_ray_box(const fs::BoxCall* call) { FS_CALL(ray_box, *call); }

FS_API void fs_march_count(const fs::MarchCall* call) { FS_CALL(march_count, *call); }

FS_API void fs_march_write(const fs::MarchCall* call) { FS_CALL(march_write, *call); }

FS_API void fs_composite_forward(const fs::CompositeCall* call) { FS_CALL(composite_forward, *call); }

FS_API void fs_composite_backward(const fs::CompositeCall* call) { FS_CALL(composite_backward, *call); }

FS_API void fs_distortion(const fs::DistortionCall* call) { FS_CALL(distortion, *call); }

FS_API void fs_importance(const fs::ImportanceCall* call) { FS_CALL(importance, *call); }

FS_API void fs_mlp_backward(const fs::MlpCall* call) { FS_CALL_PRODUCTS(call->mlp.products, mlp_backward, *call); }

FS_API void fs_grid_mlp_forward(const fs::StepCall* call) {
    FS_CALL_PRODUCTS(call->mlp.products, grid_mlp_forward, *call);
}

FS_API void fs_grid_mlp_backward(const fs::StepCall* call) {
    FS_CALL_PRODUCTS(call->mlp.products, grid_mlp_backward, *call);
}

FS_API void fs_grid_mlp_gradients(const fs::StepCall* call) {
    FS_CALL_PRODUCTS(call->mlp.products, grid_mlp_gradients, *call);
}

FS_API void fs_factor_grid_forward(const fs::FactorCall* call) { FS_CALL(factor_grid_forward, *call); }

FS_API void fs_factor_grid_backward(const fs::FactorCall* call) { FS_CALL(factor_grid_backward, *call); }

FS_API void fs_rbf_gather_forward(const fs::RbfCall* call) { FS_CALL(rbf_gather_forward, *call); }

FS_API void fs_rbf_gather_backward(const fs::RbfCall* call) { FS_CALL(rbf_gather_backward, *call); }

FS_API void fs_nearest(const fs::NearestCall* call) { FS_CALL(nearest, *call); }

FS_API void fs_gaussian_layer_forward(const fs::GaussianCall* call) { FS_CALL(gaussian_forward, *call); }

FS_API void fs_gaussian_layer_backward(const fs::GaussianCall* call) { FS_CALL(gaussian_backward, *call); }
