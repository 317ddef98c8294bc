// The exported functions of the interpolation of radial basis functions: checks, and dispatch on the type.
#include "rbf_gather.h"

#include <cstddef>

#include "device.h"
#include "sort.h"

namespace fs {
namespace {

cudaError_t check(const RbfCall& call) {
    const bool supported = (call.dimensions == 2 || call.dimensions == 3) && call.neighbours >= 1 &&
                           call.neighbours <= RBF_MAX_NEIGHBOURS && call.features >= 1 &&
                           call.features <= RBF_MAX_FEATURES && call.kernel >= inverse_quadratic &&
                           call.kernel <= markov && call.normalise >= normalise_none &&
                           call.normalise <= normalise_full && call.kernels >= 1 && call.points >= 0;
    return supported ? cudaSuccess : cudaErrorInvalidValue;
}

}  // namespace
}  // namespace fs

FS_API int32_t fs_rbf_gather_forward(const fs::RbfCall* call, int32_t device, void* stream) {
    return fs::on_device(fs::check(*call), device, [&] {
        const cudaStream_t cuda_stream = static_cast<cudaStream_t>(stream);
        return call->is_double ? fs::rbf_gather_forward<double>(*call, cuda_stream)
                               : fs::rbf_gather_forward<float>(*call, cuda_stream);
    });
}

FS_API int32_t fs_rbf_gather_backward(const fs::RbfCall* call, int32_t device, void* stream, void* workspace,
                                      int64_t workspace_bytes) {
    return fs::on_device(fs::check(*call), device, [&] {
        const cudaStream_t cuda_stream = static_cast<cudaStream_t>(stream);
        const fs::Workspace memory = {workspace, workspace_bytes};
        return call->is_double ? fs::rbf_gather_backward<double>(*call, cuda_stream, memory)
                               : fs::rbf_gather_backward<float>(*call, cuda_stream, memory);
    });
}

FS_API int64_t fs_rbf_gather_workspace(const fs::RbfCall* call, int32_t device) {
    if (const cudaError_t error = fs::check(*call)) return -int64_t(error);
    const fs::DeviceGuard guard(device);
    if (guard.status) return -int64_t(guard.status);
    size_t sort_scratch = 0;
    const int pairs = int(fs::rbf_points_per_sort(*call) * call->neighbours);
    if (const cudaError_t error = fs::sort_bytes(pairs, sort_scratch)) return -int64_t(error);
    return fs::RbfParts(*call).total() + int64_t(sort_scratch);
}
