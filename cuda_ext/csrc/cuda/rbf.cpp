// The C functions of radial basis functions that Python calls.
#include "rbf.h"

#include <cstddef>

#include "device.h"
#include "sort.h"

namespace fs {
namespace {

cudaError_t check(const RbfCall& call) {
    const bool fits = (call.dimensions == 2 || call.dimensions == 3) && call.neighbours >= 1 &&
                      call.neighbours <= RBF_MOST_NEIGHBOURS && call.features >= 1 &&
                      call.features <= RBF_MOST_FEATURES && call.kernel >= inverse_quadratic && call.kernel <= markov &&
                      call.normalise >= normalise_none && call.normalise <= normalise_full && call.kernels >= 1 &&
                      call.points >= 0;
    return fits ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t check(const GaussianCall& call) {
    const bool fits = call.inputs >= 1 && call.inputs <= GAUSSIAN_MOST_INPUTS && call.units >= 1 &&
                      call.units <= GAUSSIAN_MOST_UNITS && call.points >= 0;
    return fits ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t check(const NearestCall& call) {
    const bool fits = call.dimensions >= 1 && call.dimensions <= 3 && call.neighbours >= 1 &&
                      call.neighbours <= MOST_NEAREST && call.centres >= call.neighbours && call.points >= 0;
    return fits ? cudaSuccess : cudaErrorInvalidValue;
}

// Runs the action with the device current, if the call is sound.
template <class Call, class Action>
int32_t on_device(const Call& call, int32_t device, const Action& action) {
    if (const cudaError_t error = check(call)) return error;
    const OnDevice on(device);
    return on.status ? on.status : action();
}

}  // namespace
}  // namespace fs

FS_API int32_t fs_rbf_gather_forward(const fs::RbfCall* call, int32_t device, void* stream) {
    return fs::on_device(*call, device, [&] {
        const cudaStream_t queue = static_cast<cudaStream_t>(stream);
        return call->is_double ? fs::rbf_gather_forward<double>(*call, queue)
                               : fs::rbf_gather_forward<float>(*call, queue);
    });
}

FS_API int32_t fs_rbf_gather_backward(const fs::RbfCall* call, int32_t device, void* stream, void* workspace,
                                      int64_t workspace_bytes) {
    return fs::on_device(*call, device, [&] {
        const cudaStream_t queue = static_cast<cudaStream_t>(stream);
        const fs::Space space = {workspace, workspace_bytes};
        return call->is_double ? fs::rbf_gather_backward<double>(*call, queue, space)
                               : fs::rbf_gather_backward<float>(*call, queue, space);
    });
}

FS_API int64_t fs_rbf_gather_workspace(const fs::RbfCall* call, int32_t device) {
    if (const cudaError_t error = fs::check(*call)) return -int64_t(error);
    const fs::OnDevice on(device);
    if (on.status) return -int64_t(on.status);
    size_t scratch = 0;
    const int pairs = int(fs::rbf_points_at_once(*call) * call->neighbours);
    if (const cudaError_t error = fs::sort_bytes(pairs, scratch)) return -int64_t(error);
    return fs::RbfParts(*call).total() + int64_t(scratch);
}

FS_API int32_t fs_gaussian_layer_forward(const fs::GaussianCall* call, int32_t device, void* stream) {
    return fs::on_device(*call, device, [&] {
        const cudaStream_t queue = static_cast<cudaStream_t>(stream);
        return call->is_double ? fs::gaussian_layer_forward<double>(*call, queue)
                               : fs::gaussian_layer_forward<float>(*call, queue);
    });
}

FS_API int32_t fs_gaussian_layer_backward(const fs::GaussianCall* call, int32_t device, void* stream, void* workspace,
                                          int64_t workspace_bytes) {
    if (workspace_bytes < fs_gaussian_layer_workspace(call)) return cudaErrorInvalidValue;
    return fs::on_device(*call, device, [&] {
        const cudaStream_t queue = static_cast<cudaStream_t>(stream);
        return call->is_double ? fs::gaussian_layer_backward(*call, queue, static_cast<double*>(workspace))
                               : fs::gaussian_layer_backward(*call, queue, static_cast<float*>(workspace));
    });
}

FS_API int64_t fs_gaussian_layer_workspace(const fs::GaussianCall* call) {
    return fs::GAUSSIAN_BLOCKS * fs::gaussian_sum_numbers(*call) *
           int64_t(call->is_double ? sizeof(double) : sizeof(float));
}

FS_API int32_t fs_nearest(const fs::NearestCall* call, int32_t device, void* stream) {
    return fs::on_device(*call, device, [&] { return fs::nearest(*call, static_cast<cudaStream_t>(stream)); });
}
