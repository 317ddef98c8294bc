// Small matrix products. Rows of B are packs; an element of A is spread over a pack; a block of the result stays in
// registers. One form serves a layer's output, the gradient of its input and that of its weights, because A may be read
// in either direction, so nothing is transposed.
//
// An element is a number, or a pair of bfloat16 numbers of which both products are added to one float.
#pragma once

#include "vector.h"

namespace fs::FS_ISA {
namespace {

// What two elements give: float and double themselves. (The pairs are in pairs.h.)
template <class E>
struct Element {
    using Sum = E;
    FS_HOST_DEVICE static Pack<E> multiply_add(Pack<E> a, Pack<E> b, Pack<E> sum) {
        return FS_ISA::multiply_add(a, b, sum);
    }
};

template <class T>
constexpr int whole_packs(int numbers) {
    return (numbers + WIDTH<T> - 1) / WIDTH<T>;
}

// A(row, k) = from[row * row_step + k * step]
template <class E>
struct Factor {
    const E* from;
    int64_t row_step, step;
};

// finish(row, column, sums) for a block of R rows and P packs: sums over k < depth of A(row, k) * B[k][column...].
template <int R, int P, class E, class Finish>
FS_HOST_DEVICE void multiply_block(int row, int column, int depth, Factor<E> a, const E* b, int64_t b_step,
                                   const Finish& finish) {
    using Sum = Pack<typename Element<E>::Sum>;
    Sum sums[R][P] = {};
    const E* from = a.from + row * a.row_step;
    b += column;
    for (int k = 0; k < depth; ++k, from += a.step, b += b_step) {
        Pack<E> right[P];
        for (int j = 0; j < P; ++j) right[j] = load<Pack<E>>(b + j * WIDTH<E>);
        for (int i = 0; i < R; ++i) {
            const Pack<E> left = spread(from[i * a.row_step]);
            for (int j = 0; j < P; ++j) sums[i][j] = Element<E>::multiply_add(left, right[j], sums[i][j]);
        }
    }
    finish(row, column, sums);
}

template <int R, int P, class E, class Finish>
FS_HOST_DEVICE void multiply_rows(int row, int rows, int column, int depth, Factor<E> a, const E* b, int64_t b_step,
                                  const Finish& finish) {
    for (; row + R <= rows; row += R) multiply_block<R, P>(row, column, depth, a, b, b_step, finish);
    if constexpr (R > 1) multiply_rows<R / 2, P>(row, rows, column, depth, a, b, b_step, finish);
}

// Rows of a block of P packs: as many as the registers hold beside a row of B.
constexpr int block_rows(int packs) {
#if defined(__AVX512F__)
    return packs > 2 ? 4 : 8;
#else
    return packs > 1 ? 4 : 8;
#endif
}

#if defined(__AVX512F__)
constexpr int MOST_PACKS = 4;
#else
constexpr int MOST_PACKS = 2;
#endif

// The whole product: `rows` times `packs` packs of columns.
template <int P = MOST_PACKS, class E, class Finish>
FS_HOST_DEVICE void multiply(int rows, int packs, int depth, Factor<E> a, const E* b, int64_t b_step,
                             const Finish& finish, int column = 0) {
    for (; packs >= P; packs -= P, column += P * WIDTH<E>)
        multiply_rows<block_rows(P), P>(0, rows, column, depth, a, b, b_step, finish);
    if constexpr (P > 1) multiply<P - 1>(rows, packs, depth, a, b, b_step, finish, column);
}

// A finish that takes one pack of one row at a time: action(row, column, sum).
template <class Action>
FS_HOST_DEVICE auto each_pack(const Action& action) {
    return [action](int row, int column, auto& sums) __attribute__((always_inline)) {
        constexpr int R = sizeof(sums) / sizeof(sums[0]), P = sizeof(sums[0]) / sizeof(sums[0][0]);
        constexpr int lanes = sizeof(sums[0][0]) / sizeof(sums[0][0][0]);
        for (int i = 0; i < R; ++i)
            for (int j = 0; j < P; ++j) action(row + i, column + j * lanes, sums[i][j]);
    };
}

}  // namespace
}  // namespace fs::FS_ISA
