// The MLP's CUDA kernels. A warp takes 16 points through all layers and back. Activations are matrices in shared
// memory, a row for each point, and are replaced by their gradients. The warps of a block cooperate on the gradients of
// the weights, which each block sums over all of its points; a last kernel adds the blocks' sums. The source of the
// features is a template parameter: memory, or a grid (grid_mlp.cuh). Each kernel also compiles for the host, for tests
// without a GPU.
#pragma once

#include "../common/activation.h"
#include "fragment.h"
#include "mlp.h"
#include "workspace.h"

namespace fs {

// Shared memory whose size is given at launch.
#if defined(__CUDACC__)
#define FS_DYNAMIC_SHARED(name) extern __shared__ __align__(128) unsigned char name[]
#else
#define FS_DYNAMIC_SHARED(name) alignas(128) static unsigned char name[fs::MAX_SHARED_BYTES]
#endif

constexpr int MLP_WARPS = 8;  // maximum number of warps of a block

FS_HOST_DEVICE int padded(int width) { return (width + SIDE - 1) / SIDE * SIDE; }

// The arguments of the kernels, passed by value. S is the type of sums and arrays: float, or double.
template <class N>
struct MlpArguments {
    using S = typename Accumulator<N>::type;
    int32_t matrices, activation, points_per_block;  // points of a block's tile
    S first_omega, omega, scale;
    int64_t points;
    int32_t sizes[MAX_MATRICES + 1];
    const S* weight[MAX_MATRICES];
    const S* bias[MAX_MATRICES];
    S* grad_weight[MAX_MATRICES];
    S* grad_bias[MAX_MATRICES];
    const S *features, *grad;
    S *values, *grad_features;
    // The workspace: copies of the matrices, [padded outputs, padded inputs] one after another; then for each block its
    // sums of gradients, for each matrix and then its bias.
    N* copies;
    S* sums;
    int64_t gradients;  // values of a block's gradients
};

// Layout of a tile's matrices in shared memory. A row is slightly longer than its padded width, so that rows do not
// begin in the same bank.
template <class N>
struct TileMemory {
    static constexpr int SPACE = 16 / int(sizeof(N)) > 0 ? 16 / int(sizeof(N)) : 1;
    FS_HOST_DEVICE static int stride(int width) { return padded(width) + SPACE; }

    // Values before matrix i; matrix 0 holds the features, matrix i the output of layer i - 1.
    FS_HOST_DEVICE static int64_t before(const int32_t* sizes, int i, int points) {
        int64_t elements = 0;
        for (int j = 0; j < i; ++j) elements += int64_t(points) * stride(sizes[j]);
        return elements;
    }
    // Values of all activations and, where they are kept, of the derivatives of hidden layers; in bytes, a block of
    // sums for each warp is added.
    FS_HOST_DEVICE static int64_t elements(const int32_t* sizes, int matrices, bool slopes, int points) {
        const int64_t all = before(sizes, matrices + 1, points);
        return all + (slopes ? before(sizes, matrices, points) - before(sizes, 1, points) : 0);
    }
    static int64_t bytes(const int32_t* sizes, int matrices, bool slopes, int points) {
        const int64_t blocks = int64_t(points / SIDE) * SIDE * SIDE * int64_t(sizeof(typename Accumulator<N>::type));
        return (elements(sizes, matrices, slopes, points) * int64_t(sizeof(N)) + 31) / 32 * 32 + blocks;
    }
};

template <class N>
struct MlpTile {
    using S = typename Accumulator<N>::type;
    using Memory = TileMemory<N>;
    const MlpArguments<N>& a;
    N* elements;
    S* block;  // of this warp

    __device__ MlpTile(const MlpArguments<N>& a, unsigned char* shared) : a(a), elements(reinterpret_cast<N*>(shared)) {
        const int64_t used = Memory::elements(a.sizes, a.matrices, keeps_slope(a.activation), a.points_per_block);
        block = reinterpret_cast<S*>(shared + (used * int64_t(sizeof(N)) + 31) / 32 * 32) + warp() * SIDE * SIDE;
    }

    __device__ __forceinline__ static int lane() { return threadIdx.x % 32; }
    __device__ __forceinline__ static int warp() { return threadIdx.x / 32; }
    __device__ __forceinline__ N* matrix(int i) const {
        return elements + Memory::before(a.sizes, i, a.points_per_block);
    }
    // Derivatives of the activation in the hidden layer whose output is matrix i.
    __device__ __forceinline__ N* slope(int i) const {
        return elements + Memory::before(a.sizes, a.matrices + 1, a.points_per_block) +
               Memory::before(a.sizes, i, a.points_per_block) - Memory::before(a.sizes, 1, a.points_per_block);
    }
    // The warp's rows of a matrix.
    __device__ __forceinline__ N* rows(N* matrix, int i) const {
        return matrix + warp() * SIDE * Memory::stride(a.sizes[i]);
    }
    __device__ __forceinline__ const N* weight(int i) const {
        const N* at = a.copies;
        for (int j = 0; j < i; ++j) at += padded(a.sizes[j]) * padded(a.sizes[j + 1]);
        return at;
    }

    // Loads this warp's rows of features or of gradients of the values: `width` values a point, padded with zeros.
    __device__ void read(const S* from, int width, int64_t first, N* to) const {
        const int stride = Memory::stride(width), whole = padded(width);
        const int64_t mine = first + warp() * SIDE;
        for (int i = lane(); i < SIDE * whole; i += 32) {
            const int p = i / whole, k = i % whole;
            const bool exists = k < width && mine + p < a.points;
            to[p * stride + k] = to_factor<N>(exists ? from[(mine + p) * width + k] : S(0));
        }
    }

    // Calls action(row, column, sum) for each element of a fragment.
    template <class Action>
    __device__ __forceinline__ void each(const Fragment<N>& sums, int column, const Action& action) const {
        sums.store(block, SIDE);
        __syncwarp();
        for (int i = lane(); i < SIDE * SIDE; i += 32) action(i / SIDE, column + i % SIDE, block[i]);
        __syncwarp();
    }

    __device__ void layer(int i, int64_t first) const {
        const int inputs = padded(a.sizes[i]), outputs = padded(a.sizes[i + 1]),
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
                } else if (keeps_slope(a.activation)) {
                    S slope_here;
                    sum = activation_and_slope(a.activation, sum, i ? a.omega : a.first_omega, a.scale, slope_here);
                    // Padding columns have zero weights, so their derivative does not matter.
                    rows(slope(i + 1), i + 1)[row * stride + o] = to_factor<N>(slope_here);
                }
                to[row * stride + o] = to_factor<N>(sum);
            });
        }
    }

    template <class Features>
    __device__ void forward(int64_t first, const Features& features) const {
        features.read(*this, first, rows(matrix(0), 0));
        __syncwarp();
        for (int i = 0; i < a.matrices; ++i) layer(i, first);
    }

    // Adds the tile's gradient of layer i's weights to the block's sums; the warps share the blocks of the matrix.
    __device__ void weight_gradient(int i, S* sums) const {
        const int inputs = padded(a.sizes[i]), outputs = padded(a.sizes[i + 1]);
        const int in_stride = Memory::stride(a.sizes[i]), out_stride = Memory::stride(a.sizes[i + 1]);
        const N *input = matrix(i), *grad = matrix(i + 1);
        const int across = inputs / SIDE, warps = blockDim.x / 32;
        for (int b = warp(); b < across * (outputs / SIDE); b += warps) {
            const int o = b / across * SIDE, k = b % across * SIDE;
            S* at = sums + o * inputs + k;
            Fragment<N> total;
            total.load(at, inputs);
            for (int p = 0; p < a.points_per_block; p += SIDE)
                total.template add<true, false>(grad + p * out_stride + o, out_stride, input + p * in_stride + k,
                                                in_stride);
            total.store(at, inputs);
        }
        if (!a.bias[i]) return;
        S* bias = sums + inputs * outputs;
        for (int o = threadIdx.x; o < a.sizes[i + 1]; o += blockDim.x) {
            S total = bias[o];
            for (int p = 0; p < a.points_per_block; ++p) total += to_sum(grad[p * out_stride + o]);
            bias[o] = total;
        }
    }

    // Replaces layer i's input by its gradient; for the first layer, writes it to grad_features.
    __device__ void input_gradient(int i, int64_t first) const {
        const int inputs = padded(a.sizes[i]), outputs = padded(a.sizes[i + 1]), stride = Memory::stride(a.sizes[i]);
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
                if (a.activation == activation_relu && !(to_sum(*at) > S(0))) sum = S(0);
                if (keeps_slope(a.activation)) sum *= to_sum(rows(slope(i), i)[row * stride + k]);
                *at = to_factor<N>(sum);
            });
        }
    }

    __device__ void backward(int64_t first, S* sums) const {
        read(a.grad, a.sizes[a.matrices], first, rows(matrix(a.matrices), a.matrices));
        S* end = sums + a.gradients;
        for (int i = a.matrices - 1; i >= 0; --i) {
            end -= padded(a.sizes[i + 1]) * (padded(a.sizes[i]) + 1);
            __syncthreads();
            weight_gradient(i, end);
            __syncthreads();
            if (i || a.grad_features) input_gradient(i, first);
        }
    }
};

// Features from rows in memory.
template <class N>
struct FeaturesFromMemory {
    __device__ void read(const MlpTile<N>& tile, int64_t first, N* to) const {
        tile.read(tile.a.features, tile.a.sizes[0], first, to);
    }
};

template <class N>
__global__ void mlp_copy_kernel(const __grid_constant__ MlpArguments<N> a) {
    N* to = a.copies;
    for (int i = 0; i < a.matrices; ++i) {
        const int inputs = padded(a.sizes[i]), count = inputs * padded(a.sizes[i + 1]);
        for (int j = blockIdx.x * blockDim.x + threadIdx.x; j < count; j += gridDim.x * blockDim.x) {
            const int o = j / inputs, k = j % inputs;
            const bool inside = o < a.sizes[i + 1] && k < a.sizes[i];
            to[j] = to_factor<N>(inside ? a.weight[i][o * a.sizes[i] + k] : typename Accumulator<N>::type(0));
        }
        to += count;
    }
}

template <class N, bool backward, class Features>
__global__ void __launch_bounds__(MLP_WARPS * 32)
    mlp_kernel(const __grid_constant__ MlpArguments<N> a, const __grid_constant__ Features features) {
    FS_DYNAMIC_SHARED(tile_memory);
    const MlpTile<N> tile(a, tile_memory);
    typename Accumulator<N>::type* sums = a.sums + blockIdx.x * a.gradients;
    if (backward)
        for (int64_t i = threadIdx.x; i < a.gradients; i += blockDim.x) sums[i] = 0;
    const int64_t step = int64_t(gridDim.x) * a.points_per_block;
    for (int64_t first = int64_t(blockIdx.x) * a.points_per_block; first < a.points; first += step) {
        tile.forward(first, features);
        if (backward) tile.backward(first, sums);
        __syncthreads();
    }
}

template <class N>
__global__ void mlp_sums_kernel(const __grid_constant__ MlpArguments<N> a, int blocks) {
    using S = typename Accumulator<N>::type;
    const S* from = a.sums;
    for (int i = 0; i < a.matrices; ++i) {
        const int inputs = padded(a.sizes[i]), outputs = padded(a.sizes[i + 1]), count = outputs * (inputs + 1);
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

// Points of a block's tile: 128, or fewer if they do not fit into shared memory; 0 if not even 16 fit.
template <class N>
int mlp_points_per_block(const MlpRecord& mlp) {
    int points = MLP_WARPS * SIDE;
    while (points &&
           TileMemory<N>::bytes(mlp.sizes, mlp.matrices, keeps_slope(mlp.activation), points) > MAX_SHARED_BYTES)
        points = points > SIDE ? points / 2 : 0;
    return points;
}

inline int mlp_blocks(int64_t points, int points_per_block) {
    const int64_t tiles = (points + points_per_block - 1) / points_per_block;
    return int(tiles < MAX_MLP_BLOCKS ? tiles : MAX_MLP_BLOCKS);
}

struct MlpSizes {
    int64_t copies = 0, gradients = 0;
    explicit MlpSizes(const MlpRecord& mlp) {
        for (int i = 0; i < mlp.matrices; ++i) {
            const int64_t inputs = padded(mlp.sizes[i]), outputs = padded(mlp.sizes[i + 1]);
            copies += inputs * outputs;
            gradients += (inputs + 1) * outputs;
        }
    }
};

template <class N>
int64_t mlp_workspace(const MlpCall& call, bool backward) {
    const MlpSizes sizes(call.mlp);
    const int points_per_block = mlp_points_per_block<N>(call.mlp);
    if (!points_per_block) return -int64_t(cudaErrorInvalidValue);
    const int64_t blocks = backward ? mlp_blocks(call.points, points_per_block) : 0;
    return align_bytes(sizes.copies * int64_t(sizeof(N))) +
           blocks * sizes.gradients * int64_t(sizeof(typename Accumulator<N>::type));
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
    using S = typename Accumulator<N>::type;
    const MlpRecord& mlp = call.mlp;
    const int64_t needed = mlp_workspace<N>(call, backward);
    if (needed < 0 || bytes < needed) return cudaErrorInvalidValue;
    const MlpSizes sizes(mlp);
    MlpArguments<N> a = {};
    a.matrices = mlp.matrices;
    a.activation = mlp.activation;
    a.points_per_block = mlp_points_per_block<N>(mlp);
    a.first_omega = S(mlp.first_omega);
    a.omega = S(mlp.omega);
    a.scale = S(mlp.scale);
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
    a.sums = reinterpret_cast<S*>(static_cast<char*>(workspace) + align_bytes(sizes.copies * int64_t(sizeof(N))));
    a.gradients = sizes.gradients;

    const int blocks = mlp_blocks(call.points, a.points_per_block), threads = a.points_per_block / SIDE * 32;
    const int64_t shared =
        TileMemory<N>::bytes(mlp.sizes, mlp.matrices, keeps_slope(mlp.activation), a.points_per_block);
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
    return run_mlp_on<N>(FeaturesFromMemory<N>(), call, stream, workspace, bytes, backward);
}

}  // namespace fs
