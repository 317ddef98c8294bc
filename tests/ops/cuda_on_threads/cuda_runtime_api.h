// The part of CUDA that the kernels use, on threads of the CPU: each thread of a block is one, all of a block run at
// the same time, and barriers are real. Under ThreadSanitizer this finds accesses to shared and global memory by
// threads of a block that no barrier, shuffle or atomic operation orders. Blocks run one after another.
#pragma once

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
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

inline thread_local dim3 threadIdx(0, 0, 0), blockIdx(0, 0, 0);
inline dim3 blockDim, gridDim;

namespace threads {

constexpr unsigned WARP = 32;

// A barrier that threads may leave for good, as those of a block do that return from the kernel.
class Barrier {
public:
    explicit Barrier(unsigned count) : expected(count) {}

    void wait() {
        std::unique_lock<std::mutex> lock(mutex);
        const uint64_t mine = round;
        if (++arrived == expected) return next();
        condition.wait(lock, [&] { return round != mine; });
    }
    void leave() {
        const std::lock_guard<std::mutex> lock(mutex);
        --expected;
        if (expected && arrived == expected) next();
    }

private:
    void next() {
        arrived = 0;
        ++round;
        condition.notify_all();
    }

    std::mutex mutex;
    std::condition_variable condition;
    unsigned expected, arrived = 0;
    uint64_t round = 0;
};

struct Lane {
    // Values that the thread passes to its warp, in two slots in turn, because a lane may be one exchange ahead.
    uint64_t passed[2] = {};
    unsigned turn = 0;
};

struct Block {
    explicit Block(unsigned count) : all(count), lanes(count) {
        for (unsigned first = 0; first < count; first += WARP)
            warps.push_back(std::make_unique<Barrier>(std::min(WARP, count - first)));
    }
    Barrier all;
    std::vector<std::unique_ptr<Barrier>> warps;
    std::vector<Lane> lanes;
};

inline Block* block;

inline Barrier& warp() { return *block->warps[threadIdx.x / WARP]; }

// Returns the value of another lane.
template <class T>
T exchange(T value, unsigned lane) {
    Lane& own = block->lanes[threadIdx.x];
    const unsigned turn = own.turn++ % 2;
    std::memcpy(&own.passed[turn], &value, sizeof(T));
    warp().wait();
    std::memcpy(&value, &block->lanes[threadIdx.x / WARP * WARP + lane].passed[turn], sizeof(T));
    return value;
}

// Threads that stay from block to block, because starting one takes longer than most blocks.
class Pool {
public:
    // Calls task(0), ..., task(count - 1) at the same time, and waits for all.
    void run(unsigned count, const std::function<void(unsigned)>& task) {
        std::unique_lock<std::mutex> lock(mutex);
        for (; size < count; ++size) std::thread(&Pool::work, this, size, round).detach();
        job = &task;
        wanted = left = count;
        ++round;
        begun.notify_all();
        ended.wait(lock, [&] { return left == 0; });
    }

private:
    void work(unsigned i, uint64_t seen) {
        std::unique_lock<std::mutex> lock(mutex);
        for (;;) {
            begun.wait(lock, [&] { return round != seen; });
            seen = round;
            if (i >= wanted) continue;
            const std::function<void(unsigned)>& task = *job;
            lock.unlock();
            task(i);
            lock.lock();
            if (--left == 0) ended.notify_one();
        }
    }

    std::mutex mutex;
    std::condition_variable begun, ended;
    const std::function<void(unsigned)>* job = nullptr;
    unsigned size = 0, wanted = 0, left = 0;
    uint64_t round = 0;
};

// Never destroyed: its threads wait when the program ends.
inline Pool& pool() {
    static Pool* const one = new Pool;
    return *one;
}

inline void run_block(const std::function<void()>& kernel, dim3 index, unsigned count) {
    Block own(count);
    block = &own;
    pool().run(count, [&](unsigned i) {
        threadIdx.x = i;
        blockIdx = index;
        kernel();
        warp().leave();
        own.all.leave();
    });
}

template <class T, class U>
void add_atomically(T* to, T value) {
    U* bits = reinterpret_cast<U*>(to);
    U seen = __atomic_load_n(bits, __ATOMIC_RELAXED), wanted;
    do {
        T sum;
        std::memcpy(&sum, &seen, sizeof(T));
        sum += value;
        std::memcpy(&wanted, &sum, sizeof(T));
    } while (!__atomic_compare_exchange_n(bits, &seen, wanted, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
}

}  // namespace threads

inline void __syncthreads() { threads::block->all.wait(); }

inline void __syncwarp() { threads::warp().wait(); }

template <class T>
T __shfl_up_sync(unsigned, T value, int by) {
    const int lane = int(threadIdx.x % threads::WARP);
    return threads::exchange(value, unsigned(lane < by ? lane : lane - by));
}
template <class T>
T __shfl_down_sync(unsigned, T value, int by) {
    const int lane = int(threadIdx.x % threads::WARP);
    return threads::exchange(value, unsigned(lane + by < int(threads::WARP) ? lane + by : lane));
}
template <class T>
T __shfl_sync(unsigned, T value, int from) {
    return threads::exchange(value, unsigned(from));
}
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
    return threads::exchange(value, unsigned(int(threadIdx.x % threads::WARP) ^ mask));
}
inline unsigned __ballot_sync(unsigned, bool vote) {
    const unsigned first = threadIdx.x / threads::WARP * threads::WARP;
    const unsigned turn = threads::block->lanes[threadIdx.x].turn % 2;
    threads::exchange(uint64_t(vote), 0);
    unsigned votes = 0;
    for (unsigned lane = 0; lane < threads::WARP; ++lane)
        votes |= unsigned(threads::block->lanes[first + lane].passed[turn] & 1) << lane;
    return votes;
}
inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
inline int __ffs(unsigned bits) { return __builtin_ffs(int(bits)); }

inline void atomicAdd(float* to, float value) { threads::add_atomically<float, uint32_t>(to, value); }
inline void atomicAdd(double* to, double value) { threads::add_atomically<double, uint64_t>(to, value); }
inline void atomicAdd(float2* to, float2 value) { atomicAdd(&to->x, value.x), atomicAdd(&to->y, value.y); }
inline void atomicAdd(float4* to, float4 value) {
    atomicAdd(&to->x, value.x), atomicAdd(&to->y, value.y), atomicAdd(&to->z, value.z), atomicAdd(&to->w, value.w);
}

inline void atomicMin(unsigned long long* to, unsigned long long value) {
    unsigned long long seen = __atomic_load_n(to, __ATOMIC_RELAXED);
    while (value < seen && !__atomic_compare_exchange_n(to, &seen, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}

template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               const Arguments&... arguments) {
    blockDim = config->blockDim;
    gridDim = config->gridDim;
    for (unsigned y = 0; y < config->gridDim.y; ++y)
        for (unsigned x = 0; x < config->gridDim.x; ++x)
            threads::run_block([&] { kernel(arguments...); }, dim3(x, y), config->blockDim.x);
    return cudaSuccess;
}
