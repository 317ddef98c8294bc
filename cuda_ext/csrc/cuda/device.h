// Makes a device current for the lifetime of an object.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace fs {
namespace {

struct DeviceGuard {
    int before = 0;
    cudaError_t status;

    explicit DeviceGuard(int device) : status(cudaGetDevice(&before)) {
        if (status == cudaSuccess && before != device) status = cudaSetDevice(device);
    }
    ~DeviceGuard() {
        int current;
        if (cudaGetDevice(&current) == cudaSuccess && current != before) cudaSetDevice(before);
    }
    DeviceGuard(const DeviceGuard&) = delete;
};

// Runs the action with the device current; `error` is what a check of the call found.
template <class Action>
inline int32_t on_device(cudaError_t error, int32_t device, const Action& action) {
    if (error) return error;
    const DeviceGuard guard(device);
    return guard.status ? guard.status : action();
}

}  // namespace
}  // namespace fs
