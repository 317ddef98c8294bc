// The C functions that Python calls.
#include "hash_grid.h"

#include <cstddef>
#include <initializer_list>

#include "device.h"
#include "sort.h"

namespace fs {
namespace {

size_t number_bytes(const GridCall& call) { return call.table_type == table_double ? sizeof(double) : sizeof(float); }

size_t entry_bytes(const GridCall& call) {
    const bool narrow = call.table_type == table_half || call.table_type == table_brain;
    return size_t(call.features) * (narrow ? sizeof(Half) : number_bytes(call));
}

// Whether rows of so many bytes can be read and written there as vectors.
bool aligned(size_t row, std::initializer_list<const void*> all) {
    uintptr_t bits = 0;
    for (const void* rows : all) bits |= reinterpret_cast<uintptr_t>(rows);
    return bits % (row < 16 ? row : 16) == 0;
}

cudaError_t check(const GridCall& call) {
    const bool fits = call.dimensions >= 1 && call.dimensions <= 4 && call.levels >= 1 && call.levels <= MOST_LEVELS &&
                      (call.features == 1 || call.features == 2 || call.features == 4 || call.features == 8) &&
                      call.table_type >= table_float && call.table_type <= table_brain && call.points >= 0;
    if (!fits) return cudaErrorInvalidValue;
    if (!aligned(size_t(call.features) * number_bytes(call), {call.grad, call.output, call.grad_table}) ||
        !aligned(entry_bytes(call), {call.table}))
        return cudaErrorMisalignedAddress;
    return cudaSuccess;
}

// Calls the action with the types of a call's numbers and of its table's.
template <class Action>
cudaError_t with_types(const GridCall& call, const Action& action) {
    switch (call.table_type) {
        case table_double: return action(double(), double());
        case table_half: return action(float(), Half());
        case table_brain: return action(float(), Brain());
        default: return action(float(), float());
    }
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
    return fs::with_types(*call, [&](auto number, auto entry) {
        return fs::hash_grid_forward<decltype(number), decltype(entry)>(*call, queue);
    });
}

FS_API int32_t fs_hash_grid_backward(const fs::GridCall* call, int32_t device, void* stream, void* workspace,
                                     int64_t workspace_bytes) {
    if (const cudaError_t error = fs::check(*call)) return error;
    const fs::OnDevice on(device);
    if (on.status) return on.status;
    const cudaStream_t queue = static_cast<cudaStream_t>(stream);
    if (call->grad_table) {
        const fs::GridLevel& last = call->level[call->levels - 1];
        const size_t bytes = size_t(last.offset + last.size) * size_t(call->features) * fs::number_bytes(*call);
        if (const cudaError_t error = cudaMemsetAsync(call->grad_table, 0, bytes, queue)) return error;
    }
    if (call->points == 0) return cudaSuccess;
    const fs::Workspace space = {workspace, workspace_bytes};
    return fs::with_types(*call, [&](auto number, auto entry) {
        return fs::hash_grid_backward<decltype(number), decltype(entry)>(*call, queue, space);
    });
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
