// The hash grid's exported functions: checks, and dispatch on the types of a call's arrays.
#include "hash_grid.h"

#include <cstddef>
#include <initializer_list>

#include "device.h"
#include "sort.h"

namespace fs {
namespace {

size_t value_bytes(const GridCall& call) { return call.table_type == table_double ? sizeof(double) : sizeof(float); }

size_t entry_bytes(const GridCall& call) {
    const bool reduced = call.table_type == table_half || call.table_type == table_bfloat16;
    return size_t(call.features) * (reduced ? sizeof(Half) : value_bytes(call));
}

// Whether rows of this many bytes are aligned in all arrays, so that they can be read and written as vectors.
bool aligned(size_t row, std::initializer_list<const void*> arrays) {
    uintptr_t bits = 0;
    for (const void* rows : arrays) bits |= reinterpret_cast<uintptr_t>(rows);
    return bits % (row < 16 ? row : 16) == 0;
}

cudaError_t check(const GridCall& call) {
    const bool supported = call.dimensions >= 1 && call.dimensions <= 4 && call.levels >= 1 &&
                           call.levels <= MAX_LEVELS &&
                           (call.features == 1 || call.features == 2 || call.features == 4 || call.features == 8) &&
                           call.table_type >= table_float && call.table_type <= table_bfloat16 && call.points >= 0;
    if (!supported) return cudaErrorInvalidValue;
    if (!aligned(size_t(call.features) * value_bytes(call), {call.grad, call.output, call.grad_table}) ||
        !aligned(entry_bytes(call), {call.table}))
        return cudaErrorMisalignedAddress;
    return cudaSuccess;
}

// Calls the action with a value of the arrays' type and one of the table's type.
template <class Action>
cudaError_t with_types(const GridCall& call, const Action& action) {
    switch (call.table_type) {
        case table_double: return action(double(), double());
        case table_half: return action(float(), Half());
        case table_bfloat16: return action(float(), Bfloat16());
        default: return action(float(), float());
    }
}

cudaError_t clear_table_gradient(const GridCall& call, cudaStream_t stream) {
    const GridLevel& last = call.level[call.levels - 1];
    const size_t bytes = size_t(last.offset + last.size) * size_t(call.features) * value_bytes(call);
    return cudaMemsetAsync(call.grad_table, 0, bytes, stream);
}

}  // namespace
}  // namespace fs

FS_API int32_t fs_hash_grid_forward(const fs::GridCall* call, int32_t device, void* stream) {
    const cudaError_t error = fs::check(*call);
    if (error || call->points == 0) return error;
    return fs::on_device(error, device, [&] {
        return fs::with_types(*call, [&](auto value, auto entry) {
            return fs::hash_grid_forward<decltype(value), decltype(entry)>(*call, static_cast<cudaStream_t>(stream));
        });
    });
}

FS_API int32_t fs_hash_grid_backward(const fs::GridCall* call, int32_t device, void* stream, void* workspace,
                                     int64_t workspace_bytes) {
    return fs::on_device(fs::check(*call), device, [&] {
        const cudaStream_t cuda_stream = static_cast<cudaStream_t>(stream);
        if (call->grad_table)
            if (const cudaError_t error = fs::clear_table_gradient(*call, cuda_stream)) return error;
        if (call->points == 0) return cudaSuccess;
        return fs::with_types(*call, [&](auto value, auto entry) {
            return fs::hash_grid_backward<decltype(value), decltype(entry)>(*call, cuda_stream,
                                                                            {workspace, workspace_bytes});
        });
    });
}

FS_API int64_t fs_hash_grid_workspace(const fs::GridCall* call, int32_t device) {
    if (const cudaError_t error = fs::check(*call)) return -int64_t(error);
    const fs::DeviceGuard guard(device);
    if (guard.status) return -int64_t(guard.status);
    size_t sort_scratch = 0;
    const int pairs = int(fs::points_per_sort(*call) << call->dimensions);
    if (const cudaError_t error = fs::sort_bytes(pairs, sort_scratch)) return -int64_t(error);
    return 4 * fs::workspace_slot(*call) + int64_t(sort_scratch);
}
