// Nearest neighbours on CUDA: every point is compared with every centre, a block of centres in shared memory at a time.
// Each kernel also compiles for the host, for tests without a GPU.
#include "neighbours.h"

#include "device.h"
#include "launch.h"

namespace fs {
namespace {

// Adds a square, rounding the product first, as the CPU and plain torch do.
__device__ __forceinline__ float add_square(float sum, float x) {
#if defined(__CUDA_ARCH__)
    return __fadd_rn(sum, __fmul_rn(x, x));
#else
    return sum + x * x;
#endif
}

template <int D, int capacity>
__global__ void __launch_bounds__(THREADS) nearest_kernel(const __grid_constant__ NearestCall call) {
    __shared__ float centres[THREADS][D];
    const int64_t point = int64_t(blockIdx.x) * THREADS + threadIdx.x;
    const bool exists = point < call.points;
    float x[D];
    for (int i = 0; i < D; ++i) x[i] = exists ? call.coords[point * D + i] : 0.0f;
    Nearest<capacity> found;
    found.clear(call.neighbours);
    for (int64_t first = 0; first < call.num_centres; first += THREADS) {
        const int count = int(call.num_centres - first < THREADS ? call.num_centres - first : THREADS);
        __syncthreads();
        if (int(threadIdx.x) < count)
            for (int i = 0; i < D; ++i) centres[threadIdx.x][i] = call.centres[(first + threadIdx.x) * D + i];
        __syncthreads();
        for (int n = 0; n < count; ++n) {
            float square = 0.0f;
            for (int i = 0; i < D; ++i) square = add_square(square, x[i] - centres[n][i]);
            found.insert(call.neighbours, square, int32_t(first + n));
        }
    }
    if (!exists) return;
    for (int i = 0; i < call.neighbours; ++i) call.nearest[point * call.neighbours + i] = found.index[i];
}

template <int D>
cudaError_t nearest_of(const NearestCall& call, cudaStream_t stream) {
    const int64_t blocks = blocks_for(call.points, THREADS);
    if (call.neighbours <= 8) return launch(stream, blocks, nearest_kernel<D, 8>, call);
    return launch(stream, blocks, nearest_kernel<D, MAX_NEAREST>, call);
}

cudaError_t check(const NearestCall& call) {
    const bool supported = call.dimensions >= 1 && call.dimensions <= 3 && call.neighbours >= 1 &&
                           call.neighbours <= MAX_NEAREST && call.num_centres >= call.neighbours && call.points >= 0;
    return supported ? cudaSuccess : cudaErrorInvalidValue;
}

}  // namespace
}  // namespace fs

FS_API int32_t fs_nearest(const fs::NearestCall* call, int32_t device, void* stream) {
    return fs::on_device(fs::check(*call), device, [&] {
        const cudaStream_t cuda_stream = static_cast<cudaStream_t>(stream);
        if (call->points == 0) return cudaSuccess;
        switch (call->dimensions) {
            case 1: return fs::nearest_of<1>(*call, cuda_stream);
            case 2: return fs::nearest_of<2>(*call, cuda_stream);
            default: return fs::nearest_of<3>(*call, cuda_stream);
        }
    });
}
