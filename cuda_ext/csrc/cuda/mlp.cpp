// The MLP's exported functions: checks, and dispatch on the type of the matrix products.
#include "mlp.h"

#include <cuda_fp16.h>

#include "../common/activation.h"
#include "device.h"

namespace fs {
namespace {

bool fits(const MlpCall& call) {
    const MlpRecord& mlp = call.mlp;
    if (mlp.matrices < 1 || mlp.matrices > MAX_MATRICES || call.points < 0) return false;
    for (int i = 0; i <= mlp.matrices; ++i)
        if (mlp.sizes[i] < 1) return false;
    if (!is_elementwise(mlp.activation) || mlp.skip || mlp.standardize || mlp.modulation) return false;
    return mlp.matmul_dtype == matmul_full || (mlp.matmul_dtype == matmul_float16 && !mlp.is_double);
}

cudaError_t run(const MlpCall& call, int device, void* stream, void* workspace, int64_t bytes, bool backward) {
    if (!fits(call)) return cudaErrorInvalidValue;
    const DeviceGuard guard(device);
    if (guard.status) return guard.status;
    const cudaStream_t cuda_stream = static_cast<cudaStream_t>(stream);
    if (call.mlp.matmul_dtype == matmul_float16) return run_mlp<__half>(call, cuda_stream, workspace, bytes, backward);
    if (call.mlp.is_double) return run_mlp<double>(call, cuda_stream, workspace, bytes, backward);
    return run_mlp<float>(call, cuda_stream, workspace, bytes, backward);
}

}  // namespace
}  // namespace fs

FS_API int32_t fs_mlp_forward(const fs::MlpCall* call, int32_t device, void* stream, void* workspace,
                              int64_t workspace_bytes) {
    return fs::run(*call, device, stream, workspace, workspace_bytes, false);
}

FS_API int32_t fs_mlp_backward(const fs::MlpCall* call, int32_t device, void* stream, void* workspace,
                               int64_t workspace_bytes) {
    return fs::run(*call, device, stream, workspace, workspace_bytes, true);
}

FS_API int64_t fs_mlp_workspace(const fs::MlpCall* call, int32_t backward) {
    if (!fs::fits(*call)) return -int64_t(cudaErrorInvalidValue);
    if (call->mlp.matmul_dtype == fs::matmul_float16) return fs::mlp_workspace<__half>(*call, backward);
    return call->mlp.is_double ? fs::mlp_workspace<double>(*call, backward) : fs::mlp_workspace<float>(*call, backward);
}
