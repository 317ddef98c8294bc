// Makes a device current for as long as it lives.
#pragma once

#include <cuda_runtime_api.h>

namespace fs {
namespace {

struct OnDevice {
    int before = 0;
    cudaError_t status;

    explicit OnDevice(int device) : status(cudaGetDevice(&before)) {
        if (status == cudaSuccess && before != device) status = cudaSetDevice(device);
    }
    ~OnDevice() {
        int now;
        if (cudaGetDevice(&now) == cudaSuccess && now != before) cudaSetDevice(before);
    }
    OnDevice(const OnDevice&) = delete;
};

}  // namespace
}  // namespace fs
