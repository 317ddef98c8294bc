// Small matrix products. Rows of B are packs; an element of A is spread over a pack; a block of the result stays in
// registers. One form serves a layer's output, the gradient of its input and that of its weights, because A may be read
// in either direction, so nothing is transposed.
#pragma once

#include "vector.h"

namespace fs::FS_ISA {
namespace {

constexpr int LANES = WIDTH<float>;

constexpr int whole_packs(int numbers) { return (numbers + LANES - 1) / LANES; }

// A(row, k) = from[row * row_step + k * step]
struct Factor {
    const float* from;
    int64_t row_step, step;
};

// finish(row, column, sum over k < depth of A(row, k) * B[k][column...]) for R rows and P packs.
template <int R, int P, class Finish>
FS_HOST_DEVICE void multiply_block(int row, int column, int depth, Factor a, const float* b, int64_t b_step,
                                   const Finish& finish) {
    Pack<float> sum[R][P] = {};
    const float* from = a.from + row * a.row_step;
    b += column;
    for (int k = 0; k < depth; ++k, from += a.step, b += b_step) {
        Pack<float> right[P];
        for (int j = 0; j < P; ++j) right[j] = load<Pack<float>>(b + j * LANES);
        for (int i = 0; i < R; ++i) {
            const Pack<float> left = spread(from[i * a.row_step]);
            for (int j = 0; j < P; ++j) sum[i][j] = multiply_add(left, right[j], sum[i][j]);
        }
    }
    for (int i = 0; i < R; ++i)
        for (int j = 0; j < P; ++j) finish(row + i, column + j * LANES, sum[i][j]);
}

template <int R, int P, class Finish>
FS_HOST_DEVICE void multiply_rows(int row, int rows, int column, int depth, Factor a, const float* b, int64_t b_step,
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
template <int P = MOST_PACKS, class Finish>
FS_HOST_DEVICE void multiply(int rows, int packs, int depth, Factor a, const float* b, int64_t b_step,
                             const Finish& finish, int column = 0) {
    for (; packs >= P; packs -= P, column += P * LANES)
        multiply_rows<block_rows(P), P>(0, rows, column, depth, a, b, b_step, finish);
    if constexpr (P > 1) multiply<P - 1>(rows, packs, depth, a, b, b_step, finish, column);
}

}  // namespace
}  // namespace fs::FS_ISA
