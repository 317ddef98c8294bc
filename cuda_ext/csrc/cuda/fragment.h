// A 16 x 16 block of sums that is distributed over a warp, and the matrix products that are added to it: with tensor
// cores for half, with plain arithmetic for float and double. On the host, where the kernels are tested, half uses
// plain arithmetic too.
#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include "grid_point.h"

#if defined(__CUDACC__)
#include <mma.h>
#endif

namespace fs {

constexpr int SIDE = 16;

// The type in which products of N are summed, and of the arrays in global memory.
template <class N>
struct Accumulator {
    using type = N;
};
template <>
struct Accumulator<__half> {
    using type = float;
};

template <class N>
__device__ __forceinline__ typename Accumulator<N>::type to_sum(N number) {
    return number;
}
template <>
__device__ __forceinline__ float to_sum<__half>(__half number) {
    return __half2float(number);
}
template <class N>
__device__ __forceinline__ N to_factor(typename Accumulator<N>::type number) {
    return number;
}
template <>
__device__ __forceinline__ __half to_factor<__half>(float number) {
    // Larger values are clamped to the range of half, because infinities would turn into NaN in the products.
    return __float2half(fminf(fmaxf(number, -65504.0f), 65504.0f));
}

// Each lane holds four rows of two adjacent columns, so that a product takes six reads for eight multiply-adds. Rows of
// a lane are four apart, so that the lanes' rows are adjacent and lie in different banks of shared memory.
template <class N>
struct Fragment {
    using Sum = typename Accumulator<N>::type;
    static constexpr int ROWS = 4, COLUMNS = 2;
    Sum sums[ROWS][COLUMNS];

    __device__ __forceinline__ static int lane() { return threadIdx.x % 32; }
    __device__ __forceinline__ static int row(int i) { return lane() / 8 + 4 * i; }
    __device__ __forceinline__ static int column() { return lane() % 8 * COLUMNS; }

    __device__ __forceinline__ void clear() {
        FS_UNROLL_FOR (int i = 0; i < ROWS; ++i)
            FS_UNROLL_FOR (int j = 0; j < COLUMNS; ++j) sums[i][j] = Sum(0);
    }
    __device__ __forceinline__ void load(const Sum* from, int stride) {
        FS_UNROLL_FOR (int i = 0; i < ROWS; ++i)
            FS_UNROLL_FOR (int j = 0; j < COLUMNS; ++j) sums[i][j] = from[row(i) * stride + column() + j];
    }
    __device__ __forceinline__ void store(Sum* to, int stride) const {
        FS_UNROLL_FOR (int i = 0; i < ROWS; ++i)
            FS_UNROLL_FOR (int j = 0; j < COLUMNS; ++j) to[row(i) * stride + column() + j] = sums[i][j];
    }
    // Adds A B for blocks of two matrices: A(row, k) = a[row * a_stride + k], or a[k * a_stride + row] if
    // `a_transposed`; likewise B.
    template <bool a_transposed, bool b_transposed>
    __device__ __forceinline__ void add(const N* a, int a_stride, const N* b, int b_stride) {
        for (int k = 0; k < SIDE; ++k) {
            Sum left[ROWS], right[COLUMNS];
            FS_UNROLL_FOR (int i = 0; i < ROWS; ++i)
                left[i] = to_sum(a_transposed ? a[k * a_stride + row(i)] : a[row(i) * a_stride + k]);
            FS_UNROLL_FOR (int j = 0; j < COLUMNS; ++j)
                right[j] = to_sum(b_transposed ? b[(column() + j) * b_stride + k] : b[k * b_stride + column() + j]);
            FS_UNROLL_FOR (int i = 0; i < ROWS; ++i)
                FS_UNROLL_FOR (int j = 0; j < COLUMNS; ++j) sums[i][j] += left[i] * right[j];
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
    template <bool a_transposed, bool b_transposed>
    __device__ __forceinline__ void add(const __half* a, int a_stride, const __half* b, int b_stride) {
        using namespace nvcuda::wmma;
        using A = std::conditional_t<a_transposed, col_major, row_major>;
        using B = std::conditional_t<b_transposed, col_major, row_major>;
        fragment<matrix_a, SIDE, SIDE, SIDE, __half, A> left;
        fragment<matrix_b, SIDE, SIDE, SIDE, __half, B> right;
        load_matrix_sync(left, a, unsigned(a_stride));
        load_matrix_sync(right, b, unsigned(b_stride));
        mma_sync(sums, left, right, sums);
    }
};
#endif

}  // namespace fs
