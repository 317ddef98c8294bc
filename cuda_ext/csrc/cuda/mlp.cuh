// The MLP's kernels. A warp takes 16 points through all layers and back; activations lie in shared memory, as matrices
// with a row a point, and are replaced by their gradients. The warps of a block meet for the gradients of the weights,
// which each block sums up for all of its points; a last kernel adds the blocks' sums. Where the features come from is
// a type: from memory, or from a grid (grid_mlp.cuh). Each kernel also compiles for the host, for tests without a GPU.
#pragma once

#include "fragment.h"
#include "mlp.h"

namespace fs {

// Shared memory whose size the launch says.
#if defined(__CUDACC__)
#define FS_DYNAMIC_SHARED(name) extern __shared__ __align__(128) unsigned char name[]
#else
#define FS_DYNAMIC_SHARED(name) alignas(128) static unsigned char name[fs::MOST_SHARED]
#endif

constexpr int MLP_WARPS = 8;  // of a block, at most

FS_HOST_DEVICE int whole_blocks(int numbers) { return (numbers + SIDE - 1) / SIDE * SIDE; }

// A call as the kernels get it: by value. Sums of type S: float, or double.
template <class N>
struct MlpArguments {
    using S = typename Sums<N>::type;
    int32_t matrices, activation, points_together;  // points of a block's tile
    S omega;
    int64_t points;
    int32_t sizes[MOST_MATRICES + 1];
    const S* weight[MOST_MATRICES];
    const S* bias[MOST_MATRICES];
    S* grad_weight[MOST_MATRICES];
    S* grad_bias[MOST_MATRICES];
    const S *features, *grad;
    S *values, *grad_features;
    // The workspace: matrices [whole outputs, whole inputs] one after another, and a sum of gradients a block: of a
    // matrix, then of its bias.
    N* copies;
    S* sums;
    int64_t gradients;  // of a block
};

// Where a tile's matrices lie in shared memory. A row is a little longer than whole blocks, lest rows begin in one
// bank.
template <class N>
struct TileMemory {
    static constexpr int SPACE = 16 / int(sizeof(N)) > 0 ? 16 / int(sizeof(N)) : 1;
    FS_HOST_DEVICE static int stride(int numbers) { return whole_blocks(numbers) + SPACE; }

    // Numbers before matrix i; matrix 0 are the features, i the output of layer i - 1.
    FS_HOST_DEVICE static int64_t before(const int32_t* sizes, int i, int points) {
        int64_t numbers = 0;
        for (int j = 0; j < i; ++j) numbers += int64_t(points) * stride(sizes[j]);
        return numbers;
    }
    // Activations of all layers, slopes of the hidden ones for sines, then a block of sums for each warp.
    FS_HOST_DEVICE static int64_t numbers(const int32_t* sizes, int matrices, bool slopes, int points) {
        const int64_t all = before(sizes, matrices + 1, points);
        return all + (slopes ? before(sizes, matrices, points) - before(sizes, 1, points) : 0);
    }
    static int64_t bytes(const int32_t* sizes, int matrices, bool slopes, int points) {
        const int64_t blocks = int64_t(points / SIDE) * SIDE * SIDE * int64_t(sizeof(typename Sums<N>::type));
        return (numbers(sizes, matrices, slopes, points) * int64_t(sizeof(N)) + 31) / 32 * 32 + blocks;
    }
};

// Sines on the GPU may be those of the compiler; arguments are moderate.
__device__ __forceinline__ void sine_and_slope(float x, float omega, float& sine, float& slope) {
    sine = sinf(omega * x);
    slope = omega * cosf(omega * x);
}
__device__ __forceinline__ void sine_and_slope(double x, double omega, double& sine, double& slope) {
    sine = sin(omega * x);
    slope = omega * cos(omega * x);
}

template <class N>
struct MlpTile {
    using S = typename Sums<N>::type;
    using Memory = TileMemory<N>;
    const MlpArguments<N>& a;
    N* numbers;
    S* block;  // of this warp

    __device__ MlpTile(const MlpArguments<N>& a, unsigned char* shared) : a(a), numbers(reinterpret_cast<N*>(shared)) {
        const int64_t used = Memory::numbers(a.sizes, a.matrices, a.activation == activation_sine, a.points_together);
        block = reinterpret_cast<S*>(shared + (used * int64_t(sizeof(N)) + 31) / 32 * 32) + warp() * SIDE * SIDE;
    }

    __device__ __forceinline__ static int lane() { return threadIdx.x % 32; }
    __device__ __forceinline__ static int warp() { return threadIdx.x / 32; }
    __device__ __forceinline__ N* matrix(int i) const {
        return numbers + Memory::before(a.sizes, i, a.points_together);
    }
    // Slopes of the hidden layer whose output is matrix i.
    __device__ __forceinline__ N* slope(int i) const {
        return numbers + Memory::before(a.sizes, a.matrices + 1, a.points_together) +
               Memory::before(a.sizes, i, a.points_together) - Memory::before(a.sizes, 1, a.points_together);
    }
    // The warp's rows of a matrix.
    __device__ __forceinline__ N* rows(N* matrix, int i) const {
        return matrix + warp() * SIDE * Memory::stride(a.sizes[i]);
    }
    __device__ __forceinline__ const N* weight(int i) const {
        const N* at = a.copies;
        for (int j = 0; j < i; ++j) at += whole_blocks(a.sizes[j]) * whole_blocks(a.sizes[j + 1]);
        return at;
    }

    // This warp's rows of features, or of gradients of the values: `width` numbers a point, padded with zeros.
    __device__ void read(const S* from, int width, int64_t first, N* to) const {
        const int stride = Memory::stride(width), whole = whole_blocks(width);
        const int64_t mine = first + warp() * SIDE;
        for (int i = lane(); i < SIDE * whole; i += 32) {
            const int p = i / whole, k = i % whole;
            const bool exists = k < width && mine + p < a.points;
            to[p * stride + k] = narrow<N>(exists ? from[(mine + p) * width + k] : S(0));
        }
    }

    // action(row, column, sum) for what a fragment holds, element by element.
    template <class Action>
    __device__ __forceinline__ void each(const Fragment<N>& sums, int column, const Action& action) const {
        sums.store(block, SIDE);
        __syncwarp();
        for (int i = lane(); i < SIDE * SIDE; i += 32) action(i / SIDE, column + i % SIDE, block[i]);
        __syncwarp();
    }

    __device__ void layer(int i, int64_t first) const {
        const int inputs = whole_blocks(a.sizes[i]), outputs = whole_blocks(a.sizes[i + 1]),
                  stride = Memory::stride(a.sizes[i + 1]);
        const bool last = i + 1 == a.matrices;
        const N* from = rows(matrix(i), i);
        N* to = rows(matrix(i + 1), i + 1);
        const N* w = weight(i);
        for (int column = 0; column < outputs; column += SIDE) {
            Fragment<N> sums;
            sums.clear();
            for (int k = 0; k < inputs; k += SIDE)
                sums.template add<false, true>(from + k, Memory::stride(a.sizes[i]), w + column * inputs + k, inputs);
            each(sums, column, [&](int row, int o, S sum) {
                if (a.bias[i] && o < a.sizes[i + 1]) sum += a.bias[i][o];
                if (last) {
                    const int64_t point = first + warp() * SIDE + row;
                    if (a.values && o < a.sizes[i + 1] && point < a.points) a.values[point * a.sizes[i + 1] + o] = sum;
                    return;
                }
                if (a.activation == activation_relu) {
                    sum = sum > S(0) ? sum : S(0);
                } else if (a.activation == activation_sine) {
                    S slope_here;
                    sine_and_slope(sum, a.omega, sum, slope_here);
                    // Columns that pad have no weights inwards, so what their slope is does not count.
                    rows(slope(i + 1), i + 1)[row * stride + o] = narrow<N>(slope_here);
                }
                to[row * stride + o] = narrow<N>(sum);
            });
        }
    }

    template <class Features>
    __device__ void forward(int64_t first, const Features& features) const {
        features.read(*this, first, rows(matrix(0), 0));
        __syncwarp();
        for (int i = 0; i < a.matrices; ++i) layer(i, first);
    }

    // The block's sums of gradients of layer i, from all rows of the tile; warps take turns at the blocks of the
    // matrix.
    __device__ void weight_gradient(int i, S* sums) const {
        const int inputs = whole_blocks(a.sizes[i]), outputs = whole_blocks(a.sizes[i + 1]);
        const int in_stride = Memory::stride(a.sizes[i]), out_stride = Memory::stride(a.sizes[i + 1]);
        const N *input = matrix(i), *grad = matrix(i + 1);
        const int across = inputs / SIDE, warps = blockDim.x / 32;
        for (int b = warp(); b < across * (outputs / SIDE); b += warps) {
            const int o = b / across * SIDE, k = b % across * SIDE;
            S* at = sums + o * inputs + k;
            Fragment<N> total;
            total.load(at, inputs);
            for (int p = 0; p < a.points_together; p += SIDE)
                total.template add<true, false>(grad + p * out_stride + o, out_stride, input + p * in_stride + k,
                                                in_stride);
            total.store(at, inputs);
        }
        if (!a.bias[i]) return;
        S* bias = sums + inputs * outputs;
        for (int o = threadIdx.x; o < a.sizes[i + 1]; o += blockDim.x) {
            S total = bias[o];
            for (int p = 0; p < a.points_together; ++p) total += widen(grad[p * out_stride + o]);
            bias[o] = total;
        }
    }

    // The gradient of layer i's input, in its place; of the features, to memory.
    __device__ void input_gradient(int i, int64_t first) const {
        const int inputs = whole_blocks(a.sizes[i]), outputs = whole_blocks(a.sizes[i + 1]),
                  stride = Memory::stride(a.sizes[i]);
        const N* from = rows(matrix(i + 1), i + 1);
        N* to = rows(matrix(i), i);
        const N* w = weight(i);
        for (int column = 0; column < inputs; column += SIDE) {
            Fragment<N> sums;
            sums.clear();
            for (int o = 0; o < outputs; o += SIDE)
                sums.template add<false, false>(from + o, Memory::stride(a.sizes[i + 1]), w + o * inputs + column,
                                                inputs);
            each(sums, column, [&](int row, int k, S sum) {
                if (i == 0) {
                    const int64_t point = first + warp() * SIDE + row;
                    if (k < a.sizes[0] && point < a.points) a.grad_features[point * a.sizes[0] + k] = sum;
                    return;
                }
                N* at = to + row * stride + k;
                if (a.activation == activation_relu && !(widen(*at) > S(0))) sum = S(0);
                if (a.activation == activation_sine) sum *= widen(rows(slope(i), i)[row * stride + k]);
                *at = narrow<N>(sum);
            });
        }
    }

    __device__ void backward(int64_t first, S* sums) const {
        read(a.grad, a.sizes[a.matrices], first, rows(matrix(a.matrices), a.matrices));
        S* end = sums + a.gradients;
        for (int i = a.matrices - 1; i >= 0; --i) {
            end -= whole_blocks(a.sizes[i + 1]) * (whole_blocks(a.sizes[i]) + 1);
            __syncthreads();
            weight_gradient(i, end);
            __syncthreads();
            if (i || a.grad_features) input_gradient(i, first);
        }
    }
};

// Rows of the call's features.
template <class N>
struct FeaturesInMemory {
    __device__ void read(const MlpTile<N>& tile, int64_t first, N* to) const {
        tile.read(tile.a.features, tile.a.sizes[0], first, to);
    }
};

template <class N>
__global__ void mlp_copy_kernel(const __grid_constant__ MlpArguments<N> a) {
    N* to = a.copies;
    for (int i = 0; i < a.matrices; ++i) {
        const int inputs = whole_blocks(a.sizes[i]), count = inputs * whole_blocks(a.sizes[i + 1]);
        for (int j = blockIdx.x * blockDim.x + threadIdx.x; j < count; j += gridDim.x * blockDim.x) {
            const int o = j / inputs, k = j % inputs;
            const bool inside = o < a.sizes[i + 1] && k < a.sizes[i];
            to[j] = narrow<N>(inside ? a.weight[i][o * a.sizes[i] + k] : typename Sums<N>::type(0));
        }
        to += count;
    }
}

template <class N, bool backward, class Features>
__global__ void __launch_bounds__(MLP_WARPS * 32)
    mlp_kernel(const __grid_constant__ MlpArguments<N> a, const __grid_constant__ Features features) {
    FS_DYNAMIC_SHARED(tile_memory);
    const MlpTile<N> tile(a, tile_memory);
    typename Sums<N>::type* sums = a.sums + blockIdx.x * a.gradients;
    if (backward)
        for (int64_t i = threadIdx.x; i < a.gradients; i += blockDim.x) sums[i] = 0;
    const int64_t step = int64_t(gridDim.x) * a.points_together;
    for (int64_t first = int64_t(blockIdx.x) * a.points_together; first < a.points; first += step) {
        tile.forward(first, features);
        if (backward) tile.backward(first, sums);
        __syncthreads();
    }
}

template <class N>
__global__ void mlp_sums_kernel(const __grid_constant__ MlpArguments<N> a, int blocks) {
    using S = typename Sums<N>::type;
    const S* from = a.sums;
    for (int i = 0; i < a.matrices; ++i) {
        const int inputs = whole_blocks(a.sizes[i]), outputs = whole_blocks(a.sizes[i + 1]),
                  count = outputs * (inputs + 1);
        for (int j = blockIdx.x * blockDim.x + threadIdx.x; j < count; j += gridDim.x * blockDim.x) {
            const bool bias = j >= outputs * inputs;
            const int o = bias ? j - outputs * inputs : j / inputs, k = bias ? 0 : j % inputs;
            if (o >= a.sizes[i + 1] || k >= a.sizes[i] || (bias && !a.bias[i])) continue;
            S total = S(0);
            for (int b = 0; b < blocks; ++b) total += from[b * a.gradients + j];
            if (bias) {
                a.grad_bias[i][o] = total;
            } else {
                a.grad_weight[i][o * a.sizes[i] + k] = total;
            }
        }
        from += count;
    }
}

// Points that a block takes together: 128, or as many as have room; 0 if not even 16 have.
template <class N>
int mlp_points(const MlpRecord& mlp) {
    int points = MLP_WARPS * SIDE;
    while (points &&
           TileMemory<N>::bytes(mlp.sizes, mlp.matrices, mlp.activation == activation_sine, points) > MOST_SHARED)
        points = points > SIDE ? points / 2 : 0;
    return points;
}

inline int mlp_blocks(int64_t points, int together) {
    const int64_t tiles = (points + together - 1) / together;
    return int(tiles < MOST_MLP_BLOCKS ? tiles : MOST_MLP_BLOCKS);
}

struct MlpNumbers {
    int64_t copies = 0, gradients = 0;
    explicit MlpNumbers(const MlpRecord& mlp) {
        for (int i = 0; i < mlp.matrices; ++i) {
            const int64_t inputs = whole_blocks(mlp.sizes[i]), outputs = whole_blocks(mlp.sizes[i + 1]);
            copies += inputs * outputs;
            gradients += (inputs + 1) * outputs;
        }
    }
};

inline int64_t whole_lines(int64_t bytes) { return (bytes + 255) / 256 * 256; }

template <class N>
int64_t mlp_workspace(const MlpCall& call, bool backward) {
    const MlpNumbers numbers(call.mlp);
    const int together = mlp_points<N>(call.mlp);
    if (!together) return -int64_t(cudaErrorInvalidValue);
    const int64_t blocks = backward ? mlp_blocks(call.points, together) : 0;
    return whole_lines(numbers.copies * int64_t(sizeof(N))) +
           blocks * numbers.gradients * int64_t(sizeof(typename Sums<N>::type));
}

template <class... Parameters, class... Arguments>
cudaError_t launch_shared(cudaStream_t stream, int blocks, int threads, int64_t shared, void (*kernel)(Parameters...),
                          const Arguments&... arguments) {
    if (shared > 48 * 1024) {
        const cudaError_t error = cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                                       cudaFuncAttributeMaxDynamicSharedMemorySize, int(shared));
        if (error) return error;
    }
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(unsigned(blocks));
    config.blockDim = dim3(unsigned(threads));
    config.dynamicSmemBytes = size_t(shared);
    config.stream = stream;
    return cudaLaunchKernelEx(&config, kernel, arguments...);
}

template <class N, class Features>
cudaError_t run_mlp_on(const Features& features, const MlpCall& call, cudaStream_t stream, void* workspace,
                       int64_t bytes, bool backward) {
    using S = typename Sums<N>::type;
    const MlpRecord& mlp = call.mlp;
    const int64_t needed = mlp_workspace<N>(call, backward);
    if (needed < 0 || bytes < needed) return cudaErrorInvalidValue;
    const MlpNumbers numbers(mlp);
    MlpArguments<N> a = {};
    a.matrices = mlp.matrices;
    a.activation = mlp.activation;
    a.points_together = mlp_points<N>(mlp);
    a.omega = S(mlp.omega);
    a.points = call.points;
    for (int i = 0; i <= mlp.matrices; ++i) a.sizes[i] = mlp.sizes[i];
    for (int i = 0; i < mlp.matrices; ++i) {
        a.weight[i] = static_cast<const S*>(mlp.weight[i]);
        a.bias[i] = static_cast<const S*>(mlp.bias[i]);
        a.grad_weight[i] = static_cast<S*>(mlp.grad_weight[i]);
        a.grad_bias[i] = static_cast<S*>(mlp.grad_bias[i]);
    }
    a.features = static_cast<const S*>(call.features);
    a.grad = static_cast<const S*>(call.grad);
    a.values = backward ? nullptr : static_cast<S*>(call.values);
    a.grad_features = static_cast<S*>(call.grad_features);
    a.copies = static_cast<N*>(workspace);
    a.sums = reinterpret_cast<S*>(static_cast<char*>(workspace) + whole_lines(numbers.copies * int64_t(sizeof(N))));
    a.gradients = numbers.gradients;

    const int blocks = mlp_blocks(call.points, a.points_together), threads = a.points_together / SIDE * 32;
    const int64_t shared =
        TileMemory<N>::bytes(mlp.sizes, mlp.matrices, mlp.activation == activation_sine, a.points_together);
    cudaError_t error = launch_shared(stream, 16, 256, 0, mlp_copy_kernel<N>, a);
    if (error) return error;
    if (!backward)
        return blocks ? launch_shared(stream, blocks, threads, shared, mlp_kernel<N, false, Features>, a, features)
                      : cudaSuccess;
    if (blocks) error = launch_shared(stream, blocks, threads, shared, mlp_kernel<N, true, Features>, a, features);
    return error ? error : launch_shared(stream, 64, 256, 0, mlp_sums_kernel<N>, a, blocks);
}

template <class N>
cudaError_t run_mlp(const MlpCall& call, cudaStream_t stream, void* workspace, int64_t bytes, bool backward) {
    return run_mlp_on<N>(FeaturesInMemory<N>(), call, stream, workspace, bytes, backward);
}

}  // namespace fs
