// A 16 x 16 block of sums that a warp holds together, and the products that it adds to it: tensor cores where the
// factors are half, plain arithmetic for float and double. On the host, where the kernels are tested, half is plain
// too.
#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include "../common/grid.h"

#if defined(__CUDACC__)
#include <mma.h>
#endif

namespace fs {

constexpr int SIDE = 16;

// The type in which products of numbers are added up, and handed in and out.
template <class N>
struct Sums {
    using type = N;
};
template <>
struct Sums<__half> {
    using type = float;
};

template <class N>
__device__ __forceinline__ typename Sums<N>::type widen(N number) {
    return number;
}
template <>
__device__ __forceinline__ float widen<__half>(__half number) {
    return __half2float(number);
}
template <class N>
__device__ __forceinline__ N narrow(typename Sums<N>::type number) {
    return number;
}
template <>
__device__ __forceinline__ __half narrow<__half>(float number) {
    // Beyond the range of half the largest number serves; infinities would turn into NaN in the products.
    return __float2half(fminf(fmaxf(number, -65504.0f), 65504.0f));
}

// Each lane has half a row of the block.
template <class N>
struct Fragment {
    using Sum = typename Sums<N>::type;
    static constexpr int EACH = SIDE / 2;
    Sum sums[EACH];

    __device__ __forceinline__ static int lane() { return threadIdx.x % 32; }
    __device__ __forceinline__ static int row() { return lane() / 2; }
    __device__ __forceinline__ static int column() { return lane() % 2 * EACH; }

    __device__ __forceinline__ void clear() {
        for (int j = 0; j < EACH; ++j) sums[j] = Sum(0);
    }
    __device__ __forceinline__ void load(const Sum* from, int stride) {
        for (int j = 0; j < EACH; ++j) sums[j] = from[row() * stride + column() + j];
    }
    __device__ __forceinline__ void store(Sum* to, int stride) const {
        for (int j = 0; j < EACH; ++j) to[row() * stride + column() + j] = sums[j];
    }
    // += A B for blocks of two matrices; A(row, k) = a[row * a_stride + k], or with `a_down` a[k * a_stride + row]; so
    // B.
    template <bool a_down, bool b_down>
    __device__ __forceinline__ void add(const N* a, int a_stride, const N* b, int b_stride) {
        for (int k = 0; k < SIDE; ++k) {
            const Sum left = widen(a_down ? a[k * a_stride + row()] : a[row() * a_stride + k]);
            for (int j = 0; j < EACH; ++j)
                sums[j] += left * widen(b_down ? b[(column() + j) * b_stride + k] : b[k * b_stride + column() + j]);
        }
    }
};

#if defined(__CUDACC__)
template <>
struct Fragment<__half> {
    using Sum = float;
    nvcuda::wmma::fragment<nvcuda::wmma::accumulator, SIDE, SIDE, SIDE, float> sums;

    __device__ __forceinline__ void clear() { nvcuda::wmma::fill_fragment(sums, 0.0f); }
    __device__ __forceinline__ void load(const Sum* from, int stride) {
        nvcuda::wmma::load_matrix_sync(sums, from, unsigned(stride), nvcuda::wmma::mem_row_major);
    }
    __device__ __forceinline__ void store(Sum* to, int stride) const {
        nvcuda::wmma::store_matrix_sync(to, sums, unsigned(stride), nvcuda::wmma::mem_row_major);
    }
    template <bool a_down, bool b_down>
    __device__ __forceinline__ void add(const __half* a, int a_stride, const __half* b, int b_stride) {
        using namespace nvcuda::wmma;
        using A = std::conditional_t<a_down, col_major, row_major>;
        using B = std::conditional_t<b_down, col_major, row_major>;
        fragment<matrix_a, SIDE, SIDE, SIDE, __half, A> left;
        fragment<matrix_b, SIDE, SIDE, SIDE, __half, B> right;
        load_matrix_sync(left, a, unsigned(a_stride));
        load_matrix_sync(right, b, unsigned(b_stride));
        mma_sync(sums, left, right, sums);
    }
};
#endif

}  // namespace fs
