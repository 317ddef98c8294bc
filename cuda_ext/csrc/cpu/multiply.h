// Products of small matrices. Rows of B are SIMD vectors, an element of A is broadcast over a vector, and a block of
// the result stays in registers. The same code computes a layer's output, the gradient of its input and the gradient of
// its weights, because A may be read by rows or by columns, so nothing is transposed.
//
// An element is a value, or a pair of bfloat16 values, of which both products are added to one float32.
#pragma once

#include "simd.h"

namespace fs::FS_ISA {
namespace {

// Product of two elements: for float and double themselves. Pairs of bfloat16 are in mlp_tile_bfloat16.h.
template <class E>
struct Element {
    using Sum = E;
    FS_HOST_DEVICE static Simd<E> multiply_add(Simd<E> a, Simd<E> b, Simd<E> sum) {
        return FS_ISA::multiply_add(a, b, sum);
    }
};

template <class T>
constexpr int simd_count(int numbers) {
    return (numbers + WIDTH<T> - 1) / WIDTH<T>;
}

// The matrix A(row, k) = from[row * row_step + k * step].
template <class E>
struct MatrixView {
    const E* from;
    int64_t row_step, step;
};

// Calls finish(row, column, sums) for a block of R rows and P vectors: sums over k < depth of A(row, k) *
// B[k][column...].
template <int R, int P, class E, class Finish>
FS_HOST_DEVICE void multiply_block(int row, int column, int depth, MatrixView<E> a, const E* b, int64_t b_step,
                                   const Finish& finish) {
    using Sum = Simd<typename Element<E>::Sum>;
    Sum sums[R][P] = {};
    const E* from = a.from + row * a.row_step;
    b += column;
    for (int k = 0; k < depth; ++k, from += a.step, b += b_step) {
        Simd<E> right[P];
        for (int j = 0; j < P; ++j) right[j] = load<Simd<E>>(b + j * WIDTH<E>);
        for (int i = 0; i < R; ++i) {
            const Simd<E> left = broadcast(from[i * a.row_step]);
            for (int j = 0; j < P; ++j) sums[i][j] = Element<E>::multiply_add(left, right[j], sums[i][j]);
        }
    }
    finish(row, column, sums);
}

template <int R, int P, class E, class Finish>
FS_HOST_DEVICE void multiply_rows(int row, int rows, int column, int depth, MatrixView<E> a, const E* b, int64_t b_step,
                                  const Finish& finish) {
    for (; row + R <= rows; row += R) multiply_block<R, P>(row, column, depth, a, b, b_step, finish);
    if constexpr (R > 1) multiply_rows<R / 2, P>(row, rows, column, depth, a, b, b_step, finish);
}

// Rows of a block of P vectors: as many as fit into the registers beside a row of B.
constexpr int block_rows(int vectors) {
#if defined(__AVX512F__) || defined(__aarch64__)  // 32 registers
    return vectors > 2 ? 4 : 8;
#else
    return vectors > 1 ? 4 : 8;
#endif
}

#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int MAX_VECTORS = 4;
#else
constexpr int MAX_VECTORS = 2;
#endif

// The whole product, of `rows` rows and `vectors` vectors of columns.
template <int P = MAX_VECTORS, class E, class Finish>
FS_HOST_DEVICE void multiply(int rows, int vectors, int depth, MatrixView<E> a, const E* b, int64_t b_step,
                             const Finish& finish, int column = 0) {
    for (; vectors >= P; vectors -= P, column += P * WIDTH<E>)
        multiply_rows<block_rows(P), P>(0, rows, column, depth, a, b, b_step, finish);
    if constexpr (P > 1) multiply<P - 1>(rows, vectors, depth, a, b, b_step, finish, column);
}

// A `finish` that takes one vector of one row at a time: action(row, column, sum).
template <class Action>
FS_HOST_DEVICE auto each_vector(const Action& action) {
    return [action](int row, int column, auto& sums) __attribute__((always_inline)) {
        constexpr int R = sizeof(sums) / sizeof(sums[0]), P = sizeof(sums[0]) / sizeof(sums[0][0]);
        constexpr int lanes = sizeof(sums[0][0]) / sizeof(sums[0][0][0]);
        for (int i = 0; i < R; ++i)
            for (int j = 0; j < P; ++j) action(row + i, column + j * lanes, sums[i][j]);
    };
}

}  // namespace
}  // namespace fs::FS_ISA
