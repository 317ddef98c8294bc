// Rays on CUDA. Marching, distortion and importance sampling take a thread a ray; compositing takes a warp a ray, whose
// lanes hold neighbouring samples, so that samples are read side by side and a ray's sums are scans over the lanes.
// Compiled without contraction, so that cells are found as plain torch finds them.
#include "rays.h"

#include "../common/composite.h"
#include "device.h"
#include "launch.h"

namespace fs {
namespace {

constexpr int WARPS = THREADS / WARP;

__device__ __forceinline__ int64_t ray_of_thread() { return int64_t(blockIdx.x) * THREADS + threadIdx.x; }
__device__ __forceinline__ int64_t ray_of_warp() { return int64_t(blockIdx.x) * WARPS + threadIdx.x / WARP; }

template <class T>
__global__ void __launch_bounds__(THREADS) box_kernel(const __grid_constant__ BoxCall call) {
    if (ray_of_thread() < call.rays) box_of_ray<T>(call, ray_of_thread());
}

template <class T>
__global__ void __launch_bounds__(THREADS) count_kernel(const __grid_constant__ MarchCall call) {
    const int64_t ray = ray_of_thread();
    if (ray < call.rays) call.counts[ray] = march_ray(call, Cells<T>(call), ray, call.most, [](T, T) {});
}

template <class T>
__global__ void __launch_bounds__(THREADS) write_kernel(const __grid_constant__ MarchCall call) {
    const int64_t ray = ray_of_thread();
    if (ray >= call.rays) return;
    int64_t at = call.offsets[ray];
    march_ray(call, Cells<T>(call), ray, call.offsets[ray + 1] - at, [&](T start, T end) {
        static_cast<T*>(call.starts)[at] = start;
        static_cast<T*>(call.ends)[at] = end;
        call.ray_indices[at++] = ray;
    });
}

template <class T>
__global__ void __launch_bounds__(THREADS) distortion_kernel(const __grid_constant__ DistortionCall call) {
    if (ray_of_thread() < call.rays) distortion_of_ray<T>(call, ray_of_thread());
}

template <class T>
__global__ void __launch_bounds__(THREADS) importance_kernel(const __grid_constant__ ImportanceCall call) {
    if (ray_of_thread() < call.rays) importance_of_ray<T>(call, ray_of_thread());
}

// The sum of this lane's number and those of the lanes before it.
template <class T>
__device__ __forceinline__ T sum_through(T value, int lane) {
    for (int step = 1; step < WARP; step *= 2) {
        const T other = __shfl_up_sync(ALL_LANES, value, step);
        if (lane >= step) value += other;
    }
    return value;
}

// The light before and behind each lane's sample; the warp goes along its ray 32 samples at a time.
template <class T>
struct LightScan {
    T absorbed = T(0);  // by all samples of earlier turns

    // `x` is zero in lanes beyond the ray's end.
    __device__ __forceinline__ void next(T x, int lane, T& before, T& behind) {
        const T through = sum_through(x, lane);
        const T up_to = __shfl_up_sync(ALL_LANES, through, 1);
        before = exp(-(absorbed + (lane ? up_to : T(0))));
        behind = exp(-(absorbed + through));
        absorbed += __shfl_sync(ALL_LANES, through, WARP - 1);
    }
};

template <class T>
__global__ void __launch_bounds__(THREADS) forward_kernel(const __grid_constant__ CompositeCall call) {
    const int64_t ray = ray_of_warp();
    if (ray >= call.rays) return;  // whole warps
    const Light<T> light(call);
    const int lane = threadIdx.x % WARP;
    const int64_t first = call.offsets[ray], last = call.offsets[ray + 1];
    T* weights = static_cast<T*>(call.weights);
    T opacity = T(0), depth = T(0);
    LightScan<T> scan;
    for (int64_t turn = first; turn < last; turn += WARP) {
        const int64_t i = turn + lane;
        const bool exists = i < last;
        T before, behind;
        scan.next(exists ? light.density[i] * (light.ends[i] - light.starts[i]) : T(0), lane, before, behind);
        if (!exists) continue;
        const T weight = before < light.threshold ? T(0) : -before * light.minus_opacity(i);
        weights[i] = weight;
        opacity += weight;
        depth += weight * light.middle(i);
    }
    opacity = warp_sum(opacity);
    depth = warp_sum(depth);
    if (lane == 0) {
        static_cast<T*>(call.opacity)[ray] = opacity;
        static_cast<T*>(call.depth)[ray] = depth;
    }
    for (int c = 0; c < light.channels; ++c) {
        T sum = T(0);
        for (int64_t i = first + lane; i < last; i += WARP) sum += weights[i] * light.colors[i * light.channels + c];
        sum = warp_sum(sum);
        if (lane == 0) static_cast<T*>(call.color)[ray * light.channels + c] = sum;
    }
}

template <class T>
__global__ void __launch_bounds__(THREADS) backward_kernel(const __grid_constant__ CompositeCall call) {
    const int64_t ray = ray_of_warp();
    if (ray >= call.rays) return;
    const Light<T> light(call);
    const Upstream<T> upstream(call, ray);
    const int lane = threadIdx.x % WARP;
    const int64_t first = call.offsets[ray], last = call.offsets[ray + 1];
    const T* weights = static_cast<const T*>(call.weights);
    T all = T(0);
    for (int64_t i = first + lane; i < last; i += WARP) all += weights[i] * upstream.of_weight(light, i);
    all = warp_sum(all);  // of what the samples from the current turn on add
    LightScan<T> scan;
    for (int64_t turn = first; turn < last; turn += WARP) {
        const int64_t i = turn + lane;
        const bool exists = i < last;
        T before, behind;
        scan.next(exists ? light.density[i] * (light.ends[i] - light.starts[i]) : T(0), lane, before, behind);
        const T of_weight = exists ? upstream.of_weight(light, i) : T(0);
        const T through = sum_through(exists ? weights[i] * of_weight : T(0), lane);
        const T slope = behind * of_weight - (all - through);
        all -= __shfl_sync(ALL_LANES, through, WARP - 1);
        if (!exists) continue;
        static_cast<T*>(call.grad_density)[i] =
            before < light.threshold ? T(0) : slope * (light.ends[i] - light.starts[i]);
        if (call.grad_colors)
            for (int c = 0; c < light.channels; ++c)
                static_cast<T*>(call.grad_colors)[i * light.channels + c] =
                    upstream.color ? weights[i] * upstream.color[c] : T(0);
    }
}

// Launches the kernel for the call's type over its rays, `each` of them a block.
template <class Call>
int32_t run(const Call& call, int32_t device, void* stream, int each, void (*floats)(Call), void (*doubles)(Call)) {
    if (call.rays < 0) return cudaErrorInvalidValue;
    if (call.rays == 0) return cudaSuccess;
    const OnDevice on(device);
    if (on.status) return on.status;
    return launch(static_cast<cudaStream_t>(stream), blocks_for(call.rays, each), call.is_double ? doubles : floats,
                  call);
}

}  // namespace
}  // namespace fs

FS_API int32_t fs_ray_box(const fs::BoxCall* call, int32_t device, void* stream) {
    return fs::run(*call, device, stream, fs::THREADS, fs::box_kernel<float>, fs::box_kernel<double>);
}

FS_API int32_t fs_march_count(const fs::MarchCall* call, int32_t device, void* stream) {
    return fs::run(*call, device, stream, fs::THREADS, fs::count_kernel<float>, fs::count_kernel<double>);
}

FS_API int32_t fs_march_write(const fs::MarchCall* call, int32_t device, void* stream) {
    return fs::run(*call, device, stream, fs::THREADS, fs::write_kernel<float>, fs::write_kernel<double>);
}

FS_API int32_t fs_composite_forward(const fs::CompositeCall* call, int32_t device, void* stream) {
    return fs::run(*call, device, stream, fs::WARPS, fs::forward_kernel<float>, fs::forward_kernel<double>);
}

FS_API int32_t fs_composite_backward(const fs::CompositeCall* call, int32_t device, void* stream) {
    return fs::run(*call, device, stream, fs::WARPS, fs::backward_kernel<float>, fs::backward_kernel<double>);
}

FS_API int32_t fs_distortion(const fs::DistortionCall* call, int32_t device, void* stream) {
    return fs::run(*call, device, stream, fs::THREADS, fs::distortion_kernel<float>, fs::distortion_kernel<double>);
}

FS_API int32_t fs_importance(const fs::ImportanceCall* call, int32_t device, void* stream) {
    return fs::run(*call, device, stream, fs::THREADS, fs::importance_kernel<float>, fs::importance_kernel<double>);
}
