// The part of CUDA that the kernels use, on one thread of a CPU: blocks run one after another, and the threads of a
// block are coroutines that switch at barriers. It tests what kernels compute and how their threads cooperate, but
// nothing of a GPU: no races, no memory model, no speed.
#pragma once

#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __shared__ static
#define __grid_constant__
#define __launch_bounds__(threads)

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
    dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct float2 {
    float x, y;
};
struct float4 {
    float x, y, z, w;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

enum cudaError_t { cudaSuccess = 0, cudaErrorInvalidValue = 1, cudaErrorMisalignedAddress = 716 };
using cudaStream_t = void*;
struct cudaLaunchConfig_t {
    dim3 gridDim, blockDim;
    size_t dynamicSmemBytes;
    cudaStream_t stream;
};
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize };
inline cudaError_t cudaFuncSetAttribute(const void*, cudaFuncAttribute, int) { return cudaSuccess; }
inline cudaError_t cudaGetDevice(int* device) { return *device = 0, cudaSuccess; }
inline cudaError_t cudaSetDevice(int) { return cudaSuccess; }
inline const char* cudaGetErrorString(cudaError_t error) { return error == cudaSuccess ? "no error" : "an error"; }
inline cudaError_t cudaMemsetAsync(void* at, int value, size_t bytes, cudaStream_t) {
    return std::memset(at, value, bytes), cudaSuccess;
}

inline dim3 threadIdx(0, 0, 0), blockIdx(0, 0, 0), blockDim, gridDim;

namespace host {

constexpr int WARP = 32;

struct Thread {
    ucontext_t context;
    std::vector<char> stack = std::vector<char>(1 << 16);
    bool ended;
    int64_t block_barriers, warp_barriers;
    // Values that this thread passes to its warp, in two slots in turn, because a lane may be one exchange ahead of
    // another.
    uint64_t passed[2];
};

inline std::vector<Thread> threads;
inline ucontext_t scheduler;
inline std::function<void()> body;

inline Thread& self() { return threads[threadIdx.x]; }

inline void run_body() {
    body();
    self().ended = true;
    swapcontext(&self().context, &scheduler);
}

// Runs the other threads until the `count` threads from `first` on have met as many barriers as this one.
inline void wait(int64_t Thread::* barriers, size_t first, size_t count) {
    Thread& thread = self();
    const int64_t mine = ++(thread.*barriers);
    const auto late = [&] {
        for (size_t i = first; i < std::min(first + count, threads.size()); ++i)
            if (!threads[i].ended && threads[i].*barriers < mine) return true;
        return false;
    };
    while (late()) swapcontext(&thread.context, &scheduler);
}

// Returns the value of another lane.
template <class T>
T exchange(T value, int lane) {
    const size_t first = threadIdx.x / WARP * WARP;
    const int turn = int(self().warp_barriers % 2);
    std::memcpy(&self().passed[turn], &value, sizeof(T));
    wait(&Thread::warp_barriers, first, WARP);
    std::memcpy(&value, &threads[first + size_t(lane)].passed[turn], sizeof(T));
    return value;
}

inline void run_block(unsigned count) {
    threads.resize(count);
    for (unsigned i = 0; i < count; ++i) {
        Thread& thread = threads[i];
        thread.ended = false;
        thread.block_barriers = thread.warp_barriers = 0;
        getcontext(&thread.context);
        thread.context.uc_stack.ss_sp = thread.stack.data();
        thread.context.uc_stack.ss_size = thread.stack.size();
        makecontext(&thread.context, run_body, 0);
    }
    for (bool alive = true; alive;) {
        alive = false;
        for (unsigned i = 0; i < count; ++i) {
            if (threads[i].ended) continue;
            threadIdx.x = i;
            swapcontext(&scheduler, &threads[i].context);
            alive |= !threads[i].ended;
        }
    }
}

}  // namespace host

inline void __syncthreads() { host::wait(&host::Thread::block_barriers, 0, host::threads.size()); }

inline void __syncwarp() { host::exchange(0, 0); }

template <class T>
T __shfl_up_sync(unsigned, T value, int by) {
    const int lane = int(threadIdx.x % host::WARP);
    return host::exchange(value, lane < by ? lane : lane - by);
}
template <class T>
T __shfl_down_sync(unsigned, T value, int by) {
    const int lane = int(threadIdx.x % host::WARP);
    return host::exchange(value, lane + by < host::WARP ? lane + by : lane);
}
template <class T>
T __shfl_sync(unsigned, T value, int from) {
    return host::exchange(value, from);
}
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
    return host::exchange(value, int(threadIdx.x % host::WARP) ^ mask);
}
inline unsigned __ballot_sync(unsigned, bool vote) {
    const size_t first = threadIdx.x / host::WARP * host::WARP;
    const int turn = int(host::self().warp_barriers % 2);
    host::exchange(uint64_t(vote), 0);
    unsigned votes = 0;
    for (int lane = 0; lane < host::WARP; ++lane)
        votes |= unsigned(host::threads[first + lane].passed[turn] & 1) << lane;
    return votes;
}
inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
inline int __ffs(unsigned bits) { return __builtin_ffs(int(bits)); }

template <class T>
void atomicAdd(T* to, T value) {
    *to += value;
}
inline void atomicAdd(float2* to, float2 value) { to->x += value.x, to->y += value.y; }
inline void atomicAdd(float4* to, float4 value) {
    to->x += value.x, to->y += value.y, to->z += value.z, to->w += value.w;
}

inline void atomicMin(unsigned long long* to, unsigned long long value) { *to = std::min(*to, value); }

template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               const Arguments&... arguments) {
    host::body = [&] { kernel(arguments...); };
    blockDim = config->blockDim;
    gridDim = config->gridDim;
    for (blockIdx.y = 0; blockIdx.y < config->gridDim.y; ++blockIdx.y)
        for (blockIdx.x = 0; blockIdx.x < config->gridDim.x; ++blockIdx.x) host::run_block(config->blockDim.x);
    return cudaSuccess;
}
