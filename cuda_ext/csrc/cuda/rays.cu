// Operations on rays on CUDA. Marching, distortion and importance sampling use one thread for a ray. Compositing uses
// one warp for a ray, whose lanes hold adjacent samples, so that accesses are coalesced and a ray's sums are scans over
// the lanes. Compiled without contraction, so that the same cells are found as in plain torch.
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
    if (ray_of_thread() < call.rays) intersect_box<T>(call, ray_of_thread());
}

template <class T>
__global__ void __launch_bounds__(THREADS) count_kernel(const __grid_constant__ MarchCall call) {
    const int64_t ray = ray_of_thread();
    if (ray < call.rays) call.counts[ray] = march_ray(call, OccupancyGrid<T>(call), ray, call.max_samples, [](T, T) {});
}

template <class T>
__global__ void __launch_bounds__(THREADS) write_kernel(const __grid_constant__ MarchCall call) {
    const int64_t ray = ray_of_thread();
    if (ray >= call.rays) return;
    int64_t at = call.offsets[ray];
    march_ray(call, OccupancyGrid<T>(call), ray, call.offsets[ray + 1] - at, [&](T start, T end) {
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

// Inclusive prefix sum over the lanes.
template <class T>
__device__ __forceinline__ T sum_through(T value, int lane) {
    for (int step = 1; step < WARP; step *= 2) {
        const T received = __shfl_up_sync(ALL_LANES, value, step);
        if (lane >= step) value += received;
    }
    return value;
}

// Transmittance before and after each lane's sample; the warp advances along its ray 32 samples at a time.
template <class T>
struct TransmittanceScan {
    T absorbed = T(0);  // sum of density * length over all earlier samples

    // `x` must be zero in lanes beyond the ray's end.
    __device__ __forceinline__ void next(T x, int lane, T& transmittance_before, T& transmittance_after) {
        const T inclusive = sum_through(x, lane);
        const T previous = __shfl_up_sync(ALL_LANES, inclusive, 1);
        transmittance_before = exp(-(absorbed + (lane ? previous : T(0))));
        transmittance_after = exp(-(absorbed + inclusive));
        absorbed += __shfl_sync(ALL_LANES, inclusive, WARP - 1);
    }
};

template <class T>
__global__ void __launch_bounds__(THREADS) forward_kernel(const __grid_constant__ CompositeCall call) {
    const int64_t ray = ray_of_warp();
    if (ray >= call.rays) return;  // whole warps return
    const RaySamples<T> samples(call);
    const int lane = threadIdx.x % WARP;
    const int64_t first = call.offsets[ray], last = call.offsets[ray + 1];
    T* weights = static_cast<T*>(call.weights);
    T opacity = T(0), depth = T(0);
    TransmittanceScan<T> scan;
    for (int64_t batch = first; batch < last; batch += WARP) {
        const int64_t i = batch + lane;
        const bool exists = i < last;
        T transmittance_before, transmittance_after;
        scan.next(exists ? samples.density[i] * (samples.ends[i] - samples.starts[i]) : T(0), lane,
                  transmittance_before, transmittance_after);
        if (!exists) continue;
        const T weight =
            transmittance_before < samples.threshold ? T(0) : -transmittance_before * samples.negative_alpha(i);
        weights[i] = weight;
        opacity += weight;
        depth += weight * samples.midpoint(i);
    }
    opacity = warp_sum(opacity);
    depth = warp_sum(depth);
    if (lane == 0) {
        static_cast<T*>(call.opacity)[ray] = opacity;
        static_cast<T*>(call.depth)[ray] = depth;
    }
    for (int c = 0; c < samples.channels; ++c) {
        T sum = T(0);
        for (int64_t i = first + lane; i < last; i += WARP)
            sum += weights[i] * samples.colors[i * samples.channels + c];
        sum = warp_sum(sum);
        if (lane == 0) static_cast<T*>(call.color)[ray * samples.channels + c] = sum;
    }
}

template <class T>
__global__ void __launch_bounds__(THREADS) backward_kernel(const __grid_constant__ CompositeCall call) {
    const int64_t ray = ray_of_warp();
    if (ray >= call.rays) return;
    const RaySamples<T> samples(call);
    const OutputGradients<T> gradients(call, ray);
    const int lane = threadIdx.x % WARP;
    const int64_t first = call.offsets[ray], last = call.offsets[ray + 1];
    const T* weights = static_cast<const T*>(call.weights);
    T remaining = T(0);
    for (int64_t i = first + lane; i < last; i += WARP) remaining += weights[i] * gradients.weight_gradient(samples, i);
    remaining = warp_sum(remaining);  // of the samples from the current 32 on
    TransmittanceScan<T> scan;
    for (int64_t batch = first; batch < last; batch += WARP) {
        const int64_t i = batch + lane;
        const bool exists = i < last;
        T transmittance_before, transmittance_after;
        scan.next(exists ? samples.density[i] * (samples.ends[i] - samples.starts[i]) : T(0), lane,
                  transmittance_before, transmittance_after);
        const T weight_gradient = exists ? gradients.weight_gradient(samples, i) : T(0);
        const T inclusive = sum_through(exists ? weights[i] * weight_gradient : T(0), lane);
        const T density_gradient = transmittance_after * weight_gradient - (remaining - inclusive);
        remaining -= __shfl_sync(ALL_LANES, inclusive, WARP - 1);
        if (!exists) continue;
        static_cast<T*>(call.grad_density)[i] =
            transmittance_before < samples.threshold ? T(0) : density_gradient * (samples.ends[i] - samples.starts[i]);
        if (call.grad_colors)
            for (int c = 0; c < samples.channels; ++c)
                static_cast<T*>(call.grad_colors)[i * samples.channels + c] =
                    gradients.color ? weights[i] * gradients.color[c] : T(0);
    }
}

// Launches the kernel for the call's type, with `each` rays a block.
template <class Call>
int32_t run(const Call& call, int32_t device, void* stream, int each, void (*floats)(Call), void (*doubles)(Call)) {
    if (call.rays < 0) return cudaErrorInvalidValue;
    if (call.rays == 0) return cudaSuccess;
    const DeviceGuard guard(device);
    if (guard.status) return guard.status;
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
