// The exported functions of the fused hash grid and MLP: checks, and dispatch on the type of the matrix products.
#include "grid_mlp.h"

#include <cuda_fp16.h>

#include "../common/activation.h"
#include "device.h"
#include "hash_grid.h"

namespace fs {
namespace {

cudaError_t run(const GridMlpCall& call, int device, void* stream, void* workspace, int64_t bytes, bool backward) {
    const GridCall& grid = call.grid;
    const MlpRecord& mlp = call.mlp.mlp;
    const bool fits = grid.dimensions >= 2 && grid.dimensions <= 4 && grid.features == 2 &&
                      grid.table_type == table_float && grid.levels >= 1 && grid.levels <= MAX_LEVELS &&
                      !mlp.is_double && mlp.matrices >= 1 && mlp.matrices <= MAX_MATRICES &&
                      is_elementwise(mlp.activation) && !mlp.skip && !mlp.standardize && !mlp.modulation &&
                      mlp.sizes[0] == grid.levels * grid.features && call.mlp.points >= 0;
    if (!fits || (mlp.matmul_dtype != matmul_full && mlp.matmul_dtype != matmul_float16)) return cudaErrorInvalidValue;
    if (reinterpret_cast<uintptr_t>(grid.table) % (2 * sizeof(float))) return cudaErrorMisalignedAddress;
    const DeviceGuard guard(device);
    if (guard.status) return guard.status;
    const cudaStream_t cuda_stream = static_cast<cudaStream_t>(stream);
    if (mlp.matmul_dtype == matmul_float16) return run_grid_mlp<__half>(call, cuda_stream, workspace, bytes, backward);
    return run_grid_mlp<float>(call, cuda_stream, workspace, bytes, backward);
}

}  // namespace
}  // namespace fs

FS_API int32_t fs_grid_mlp_forward(const fs::GridMlpCall* call, int32_t device, void* stream, void* workspace,
                                   int64_t workspace_bytes) {
    return fs::run(*call, device, stream, workspace, workspace_bytes, false);
}

FS_API int32_t fs_grid_mlp_backward(const fs::GridMlpCall* call, int32_t device, void* stream, void* workspace,
                                    int64_t workspace_bytes) {
    return fs::run(*call, device, stream, workspace, workspace_bytes, true);
}
