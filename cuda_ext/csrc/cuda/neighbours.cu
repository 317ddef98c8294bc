// Nearest neighbours by comparing every point with every centre, which stand in shared memory a block at a time.
// Compiles for the host too, for tests without a GPU.
#include "launch.h"
#include "rbf.h"

namespace fs {
namespace {

// The sum of squares as the CPU and plain torch have it: every product rounded.
__device__ __forceinline__ float add_square(float sum, float x) {
#if defined(__CUDA_ARCH__)
    return __fadd_rn(sum, __fmul_rn(x, x));
#else
    return sum + x * x;
#endif
}

template <int D, int most>
__global__ void __launch_bounds__(THREADS) nearest_kernel(const __grid_constant__ NearestCall call) {
    __shared__ float places[THREADS][D];
    const int64_t point = int64_t(blockIdx.x) * THREADS + threadIdx.x;
    const bool exists = point < call.points;
    float x[D];
    for (int i = 0; i < D; ++i) x[i] = exists ? call.coords[point * D + i] : 0.0f;
    Nearest<most> found;
    found.clear(call.neighbours);
    for (int64_t first = 0; first < call.centres; first += THREADS) {
        const int count = int(call.centres - first < THREADS ? call.centres - first : THREADS);
        __syncthreads();
        if (int(threadIdx.x) < count)
            for (int i = 0; i < D; ++i) places[threadIdx.x][i] = call.places[(first + threadIdx.x) * D + i];
        __syncthreads();
        for (int n = 0; n < count; ++n) {
            float square = 0.0f;
            for (int i = 0; i < D; ++i) square = add_square(square, x[i] - places[n][i]);
            found.offer(call.neighbours, square, int32_t(first + n));
        }
    }
    if (!exists) return;
    for (int i = 0; i < call.neighbours; ++i) call.nearest[point * call.neighbours + i] = found.number[i];
}

template <int D>
cudaError_t nearest_of(const NearestCall& call, cudaStream_t stream) {
    const int64_t blocks = blocks_for(call.points, THREADS);
    if (call.neighbours <= 8) return launch(stream, blocks, nearest_kernel<D, 8>, call);
    return launch(stream, blocks, nearest_kernel<D, MOST_NEAREST>, call);
}

}  // namespace

cudaError_t nearest(const NearestCall& call, cudaStream_t stream) {
    if (call.points == 0) return cudaSuccess;
    switch (call.dimensions) {
        case 1: return nearest_of<1>(call, stream);
        case 2: return nearest_of<2>(call, stream);
        default: return nearest_of<3>(call, stream);
    }
}

}  // namespace fs
