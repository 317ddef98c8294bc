// The C functions that Python calls.
#include "hash_grid.h"

#include <cstddef>

#include "device.h"
#include "sort.h"

namespace fs {
namespace {

cudaError_t check(const GridCall& call) {
    const bool fits = call.dimensions >= 1 && call.dimensions <= 4 && call.levels >= 1 && call.levels <= MOST_LEVELS &&
                      (call.features == 1 || call.features == 2 || call.features == 4 || call.features == 8) &&
                      call.points >= 0;
    if (!fits) return cudaErrorInvalidValue;
    // Rows are read and written as vectors.
    const size_t row = size_t(call.features) * (call.is_double ? sizeof(double) : sizeof(float));
    const size_t unit = row < 16 ? row : 16;
    const auto address = [](const void* rows) { return reinterpret_cast<uintptr_t>(rows); };
    const uintptr_t all = address(call.table) | address(call.grad) | address(call.output) | address(call.grad_table);
    if (all % unit) return cudaErrorMisalignedAddress;
    return cudaSuccess;
}

}  // namespace
}  // namespace fs

FS_API int fs_abi() { return fs::abi; }

FS_API const char* fs_error(int32_t error) { return cudaGetErrorString(cudaError_t(error)); }

FS_API int32_t fs_hash_grid_forward(const fs::GridCall* call, int32_t device, void* stream) {
    if (const cudaError_t error = fs::check(*call)) return error;
    if (call->points == 0) return cudaSuccess;
    const fs::OnDevice on(device);
    if (on.status) return on.status;
    const cudaStream_t queue = static_cast<cudaStream_t>(stream);
    return call->is_double ? fs::hash_grid_forward<double>(*call, queue) : fs::hash_grid_forward<float>(*call, queue);
}

FS_API int32_t fs_hash_grid_backward(const fs::GridCall* call, int32_t device, void* stream, void* workspace,
                                     int64_t workspace_bytes) {
    if (const cudaError_t error = fs::check(*call)) return error;
    const fs::OnDevice on(device);
    if (on.status) return on.status;
    const cudaStream_t queue = static_cast<cudaStream_t>(stream);
    if (call->grad_table) {
        const fs::GridLevel& last = call->level[call->levels - 1];
        const size_t number = call->is_double ? sizeof(double) : sizeof(float);
        const size_t bytes = size_t(last.offset + last.size) * size_t(call->features) * number;
        if (const cudaError_t error = cudaMemsetAsync(call->grad_table, 0, bytes, queue)) return error;
    }
    if (call->points == 0) return cudaSuccess;
    const fs::Workspace space = {workspace, workspace_bytes};
    return call->is_double ? fs::hash_grid_backward<double>(*call, queue, space)
                           : fs::hash_grid_backward<float>(*call, queue, space);
}

FS_API int64_t fs_hash_grid_workspace(const fs::GridCall* call, int32_t device) {
    if (const cudaError_t error = fs::check(*call)) return -int64_t(error);
    const fs::OnDevice on(device);
    if (on.status) return -int64_t(on.status);
    size_t scratch = 0;
    const int pairs = int(fs::points_sorted_at_once(*call) << call->dimensions);
    if (const cudaError_t error = fs::sort_bytes(pairs, scratch)) return -int64_t(error);
    return 4 * fs::workspace_slot(*call) + int64_t(scratch);
}
