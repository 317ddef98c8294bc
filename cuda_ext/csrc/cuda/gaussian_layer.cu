// A layer of Gaussian units on CUDA. Forward, one thread computes one unit of a point. Backward, one thread computes
// one input's gradient of a point; then each block sums over a part of the points, with some pairs of a unit and an
// input for each thread, and the blocks' sums are added in their order, so that every run gives the same bits. Each
// kernel also compiles for the host, for tests without a GPU.
#include "gaussian_layer.h"

#include "../common/rbf_gather.h"
#include "device.h"
#include "launch.h"

namespace fs {
namespace {

// Blocks among which the points are divided for the sums of the backward pass.
constexpr int GAUSSIAN_BLOCKS = 256;
constexpr int TILE = 32;  // points that a block loads at a time

template <class T>
struct GaussianArguments {
    int32_t inputs, units;
    int64_t points;
    const T *x, *centres, *log_widths, *grad;
    T *output, *grad_x, *grad_centres, *grad_log_widths;
};

template <class T>
GaussianArguments<T> arguments_of(const GaussianCall& call) {
    const auto in = [](const void* at) { return static_cast<const T*>(at); };
    const auto out = [](void* at) { return static_cast<T*>(at); };
    return {call.inputs,
            call.units,
            call.points,
            in(call.x),
            in(call.centres),
            in(call.log_widths),
            in(call.grad),
            out(call.output),
            out(call.grad_x),
            out(call.grad_centres),
            out(call.grad_log_widths)};
}

template <class T>
__global__ void __launch_bounds__(THREADS) gaussian_forward_kernel(const __grid_constant__ GaussianArguments<T> a) {
    const int64_t at = int64_t(blockIdx.x) * THREADS + threadIdx.x;
    if (at >= a.points * a.units) return;
    const int64_t point = at / a.units;
    const int unit = int(at % a.units);
    T q = T(0);
    for (int e = 0; e < a.inputs; ++e) {
        const T distance = a.x[point * a.inputs + e] - a.centres[unit * a.inputs + e];
        q += Maths<T>::exponential(a.log_widths[unit * a.inputs + e]) * distance * distance;
    }
    a.output[at] = Maths<T>::exponential(T(-0.5) * q);
}

// grad_x: minus the sum over the units of grad * output * exp(log width) * (x - centre).
template <class T>
__global__ void __launch_bounds__(THREADS) gaussian_inputs_kernel(const __grid_constant__ GaussianArguments<T> a) {
    const int64_t at = int64_t(blockIdx.x) * THREADS + threadIdx.x;
    if (at >= a.points * a.inputs) return;
    const int64_t point = at / a.inputs;
    const int e = int(at % a.inputs);
    const T x = a.x[at];
    T sum = T(0);
    for (int n = 0; n < a.units; ++n) {
        const T slope = a.grad[point * a.units + n] * a.output[point * a.units + n];
        const int pair = n * a.inputs + e;
        sum -= slope * Maths<T>::exponential(a.log_widths[pair]) * (x - a.centres[pair]);
    }
    a.grad_x[at] = sum;
}

// sums[block][0 and 1][unit][input]: sum over the block's points of slope * (x - centre), and of slope * (x -
// centre)^2.
template <class T>
__global__ void __launch_bounds__(THREADS)
    gaussian_sums_kernel(const __grid_constant__ GaussianArguments<T> a, T* sums, int64_t points_each) {
    __shared__ T inputs[TILE][WARP], slopes[TILE][WARP];
    const int pairs = a.units * a.inputs, lane = threadIdx.x % WARP, row = threadIdx.x / WARP;
    constexpr int ROWS = THREADS / WARP, EACH = WARP / ROWS;
    const int64_t begin = int64_t(blockIdx.x) * points_each;
    const int64_t end = begin + points_each < a.points ? begin + points_each : a.points;
    T* own = sums + int64_t(blockIdx.x) * 2 * pairs;
    // Tiles of 32 units times 32 inputs; a thread has 4 units of one input.
    for (int unit = 0; unit < a.units; unit += WARP) {
        for (int input = 0; input < a.inputs; input += WARP) {
            T first[EACH] = {}, second[EACH] = {};
            const int e = input + lane;
            for (int64_t tile = begin; tile < end; tile += TILE) {
                __syncthreads();
                for (int p = row; p < TILE; p += ROWS) {
                    const int64_t point = tile + p;
                    const bool exists = point < end;
                    const int n = unit + lane;
                    inputs[p][lane] = exists && e < a.inputs ? a.x[point * a.inputs + e] : T(0);
                    slopes[p][lane] =
                        exists && n < a.units ? a.grad[point * a.units + n] * a.output[point * a.units + n] : T(0);
                }
                __syncthreads();
                for (int i = 0; i < EACH; ++i) {
                    const int n = unit + row + i * ROWS;
                    if (n >= a.units || e >= a.inputs) continue;
                    const T centre = a.centres[n * a.inputs + e];
                    for (int p = 0; p < TILE; ++p) {
                        const T distance = inputs[p][lane] - centre, part = slopes[p][row + i * ROWS] * distance;
                        first[i] += part;
                        second[i] += part * distance;
                    }
                }
            }
            for (int i = 0; i < EACH; ++i) {
                const int n = unit + row + i * ROWS;
                if (n >= a.units || e >= a.inputs) continue;
                own[n * a.inputs + e] = first[i];
                own[pairs + n * a.inputs + e] = second[i];
            }
        }
    }
}

template <class T>
__global__ void __launch_bounds__(THREADS)
    gaussian_join_kernel(const __grid_constant__ GaussianArguments<T> a, const T* sums, int blocks) {
    const int pairs = a.units * a.inputs, pair = blockIdx.x * THREADS + threadIdx.x;
    if (pair >= pairs) return;
    T first = T(0), second = T(0);
    for (int b = 0; b < blocks; ++b) {
        first += sums[int64_t(b) * 2 * pairs + pair];
        second += sums[int64_t(b) * 2 * pairs + pairs + pair];
    }
    const T width = Maths<T>::exponential(a.log_widths[pair]);
    if (a.grad_centres) a.grad_centres[pair] = width * first;
    if (a.grad_log_widths) a.grad_log_widths[pair] = T(-0.5) * width * second;
}

template <class T>
cudaError_t gaussian_layer_forward(const GaussianCall& call, cudaStream_t stream) {
    const int64_t blocks = blocks_for(call.points * call.units, THREADS);
    return blocks ? launch(stream, blocks, gaussian_forward_kernel<T>, arguments_of<T>(call)) : cudaSuccess;
}

template <class T>
cudaError_t gaussian_layer_backward(const GaussianCall& call, cudaStream_t stream, T* sums) {
    const GaussianArguments<T> a = arguments_of<T>(call);
    cudaError_t error = cudaSuccess;
    const int64_t blocks = blocks_for(a.points * a.inputs, THREADS);
    if (a.grad_x && blocks) error = launch(stream, blocks, gaussian_inputs_kernel<T>, a);
    if (error || !(a.grad_centres || a.grad_log_widths)) return error;
    const int64_t points_each = blocks_for(blocks_for(a.points, GAUSSIAN_BLOCKS), TILE) * TILE;
    const int parts = int(a.points ? blocks_for(a.points, points_each) : 0);
    if (parts) error = launch(stream, parts, gaussian_sums_kernel<T>, a, sums, points_each);
    if (error) return error;
    return launch(stream, blocks_for(int64_t(a.units) * a.inputs, THREADS), gaussian_join_kernel<T>, a,
                  static_cast<const T*>(sums), parts);
}

cudaError_t check(const GaussianCall& call) {
    const bool supported = call.inputs >= 1 && call.inputs <= GAUSSIAN_MAX_INPUTS && call.units >= 1 &&
                           call.units <= GAUSSIAN_MAX_UNITS && call.points >= 0;
    return supported ? cudaSuccess : cudaErrorInvalidValue;
}

}  // namespace
}  // namespace fs

FS_API int32_t fs_gaussian_layer_forward(const fs::GaussianCall* call, int32_t device, void* stream) {
    return fs::on_device(fs::check(*call), device, [&] {
        const cudaStream_t cuda_stream = static_cast<cudaStream_t>(stream);
        return call->is_double ? fs::gaussian_layer_forward<double>(*call, cuda_stream)
                               : fs::gaussian_layer_forward<float>(*call, cuda_stream);
    });
}

FS_API int32_t fs_gaussian_layer_backward(const fs::GaussianCall* call, int32_t device, void* stream, void* workspace,
                                          int64_t workspace_bytes) {
    if (workspace_bytes < fs_gaussian_layer_workspace(call)) return cudaErrorInvalidValue;
    return fs::on_device(fs::check(*call), device, [&] {
        const cudaStream_t cuda_stream = static_cast<cudaStream_t>(stream);
        return call->is_double ? fs::gaussian_layer_backward(*call, cuda_stream, static_cast<double*>(workspace))
                               : fs::gaussian_layer_backward(*call, cuda_stream, static_cast<float*>(workspace));
    });
}

FS_API int64_t fs_gaussian_layer_workspace(const fs::GaussianCall* call) {
    const int64_t sums = int64_t(2) * call->units * call->inputs;
    return fs::GAUSSIAN_BLOCKS * sums * int64_t(call->is_double ? sizeof(double) : sizeof(float));
}
