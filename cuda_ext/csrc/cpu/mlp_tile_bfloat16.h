// The MLP of mlp_tile.h with matrix products in bfloat16: an AVX512-BF16 instruction multiplies two pairs and adds both
// products to a float32. Weights, sums, derivatives, values and the gradients of weights stay float32; weights and
// activations are rounded when they become operands of a matrix product. With `exact_first` the products of the first
// matrix and of its gradient are in float32, as coordinates rounded to eight bits are those of other points.
#pragma once

#include "mlp_tile.h"

namespace fs::FS_ISA {

using Bfloat16Pairs = Simd<uint32_t>;  // the first value of a pair is in the lower half

namespace {

template <>
struct Element<uint32_t> {
    using Sum = float;
    FS_HOST_DEVICE static Floats multiply_add(Bfloat16Pairs a, Bfloat16Pairs b, Floats sum) {
        return (Floats)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
    }
};

}  // namespace

// Two vectors in bfloat16, the second one behind the first; and both with the values of each column in a pair.
FS_HOST_DEVICE __m512i rounded_pair(Floats first, Floats second) {
    return (__m512i)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
}
FS_HOST_DEVICE __m512i interleaved(__m512i both) {
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                           21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(order, both);
}

// A tile's matrix of activations or gradients in two layouts: `rows`, with adjacent columns in pairs, as operand A; and
// `pairs`, with adjacent rows in pairs, as operand B and as A read by columns.
struct TileMatrix {
    uint32_t* rows;   // [TILE, stride / 2]
    uint32_t* pairs;  // [TILE / 2, stride]
    int64_t stride;

    FS_HOST_DEVICE void store_two(int row, int column, Floats upper, Floats lower) const {
        const __m512i both = rounded_pair(upper, lower);
        uint32_t* to = rows + (row * stride + column) / 2;
        _mm256_storeu_si256((__m256i*)to, _mm512_castsi512_si256(both));
        _mm256_storeu_si256((__m256i*)(to + stride / 2), _mm512_extracti64x4_epi64(both, 1));
        store(pairs + row / 2 * stride + column, (Bfloat16Pairs)interleaved(both));
    }

    void store_all(const float* from) const {
        for (int row = 0; row < TILE; row += 2)
            for (int column = 0; column < stride; column += WIDTH<float>)
                store_two(row, column, load<Floats>(from + row * stride + column),
                          load<Floats>(from + (row + 1) * stride + column));
    }

    FS_HOST_DEVICE Bfloat16Pairs pairs_at(int row, int column) const {
        return load<Bfloat16Pairs>(pairs + row / 2 * stride + column);
    }
};

// A `finish` for `multiply` that takes a vector of two adjacent rows at a time: action(row, column, upper, lower).
template <class Action>
FS_HOST_DEVICE auto each_row_pair(const Action& action) {
    return [action](int row, int column, auto& sums) __attribute__((always_inline)) {
        constexpr int R = sizeof(sums) / sizeof(sums[0]), P = sizeof(sums[0]) / sizeof(sums[0][0]);
        if constexpr (R > 1)  // a tile has an even number of rows
            for (int i = 0; i < R; i += 2)
                for (int j = 0; j < P; ++j) action(row + i, column + j * WIDTH<float>, sums[i][j], sums[i + 1][j]);
    };
}

struct Bfloat16Network : MlpShape {
    using Number = float;
    static constexpr bool has_activations = true;
    Activations<float> activations;
    bool exact_first;
    const uint32_t* row_pairs[MAX_MATRICES];     // [half the outputs, input_stride]: pairs of rows of W
    const uint32_t* column_pairs[MAX_MATRICES];  // [half the inputs, output_stride]: pairs of columns of W
    const float* bias[MAX_MATRICES];             // [output_stride]
    // The first matrix, where its products are in float32.
    const float *first_rows, *first_columns;  // [outputs, input_stride] and [inputs, output_stride]

    explicit Bfloat16Network(const MlpRecord& mlp) : MlpShape(mlp), activations(mlp), exact_first(mlp.exact_first) {}

    static int half_rounded_up(int numbers) { return (numbers + 1) / 2; }

    size_t bytes() const {
        int64_t words = 2 * max_input_stride();
        if (exact_first) words += outputs[0] * input_stride[0] + inputs[0] * output_stride[0];
        for (int i = 0; i < matrices; ++i)
            words += half_rounded_up(outputs[i]) * input_stride[i] + half_rounded_up(inputs[i]) * output_stride[i] +
                     output_stride[i];
        return size_t(words) * sizeof(float);
    }

    void copy_weights(const MlpRecord& mlp, void* memory) {
        // Two adjacent rows of a matrix.
        float *upper = static_cast<float*>(memory), *lower = upper + max_input_stride(),
              *to = lower + max_input_stride();
        for (int i = 0; i < matrices; ++i) {
            const int64_t in = input_stride[i], out = output_stride[i];
            const int pairs = half_rounded_up(inputs[i]);
            uint32_t* rows = reinterpret_cast<uint32_t*>(to);
            uint32_t* columns = rows + half_rounded_up(outputs[i]) * in;
            float* bias_row = reinterpret_cast<float*>(columns + pairs * out);
            to = bias_row + out;
            row_pairs[i] = rows;
            column_pairs[i] = columns;
            bias[i] = bias_row;
            for (float* number = reinterpret_cast<float*>(columns); number < to; ++number) *number = 0.0f;
            for (int o = 0; o < outputs[i]; o += 2) {
                copy_row(mlp, i, o, upper);
                if (o + 1 < outputs[i])
                    copy_row(mlp, i, o + 1, lower);
                else
                    for (int64_t k = 0; k < in; ++k) lower[k] = 0.0f;
                for (int64_t k = 0; k < in; k += WIDTH<float>, rows += WIDTH<float>) {
                    const __m512i both = rounded_pair(load<Floats>(upper + k), load<Floats>(lower + k));
                    store(rows, (Bfloat16Pairs)interleaved(both));
                    uint32_t words[16];
                    _mm512_storeu_si512(words, both);
                    for (int j = 0; j < 8 && k / 2 + j < pairs; ++j) {
                        columns[(k / 2 + j) * out + o] = words[j];
                        columns[(k / 2 + j) * out + o + 1] = words[8 + j];
                    }
                }
            }
            for (int o = 0; biased[i] && o < outputs[i]; ++o) bias_row[o] = static_cast<const float*>(mlp.bias[i])[o];
            if (i || !exact_first) continue;
            float* exact = to;
            for (int o = 0; o < outputs[0]; ++o) copy_row(mlp, 0, o, exact + o * in);
            float* transposed = exact + outputs[0] * in;
            to = transposed + inputs[0] * out;
            for (float* number = transposed; number < to; ++number) *number = 0.0f;
            transpose_rows(exact, outputs[0], inputs[0], in, transposed, out);
            first_rows = exact;
            first_columns = transposed;
        }
    }

    // matrix[0] holds the features, matrix[i + 1] the output of layer i and later its gradient.
    struct Tile : HiddenTile<float> {
        TileMatrix matrix[MAX_MATRICES + 1];
        float* values;
        float* grad;     // of a layer's output, in the end of the first one's
        float* skipped;  // gradient of the features of a skip connection, [TILE, input_stride[0]]
    };

    // As in `Network`.
    void place(Tile& tile, int64_t first, int count) const { activations.place(tile, first, count); }

    Tile tile() const {
        Tile tile;
        const int64_t largest = max_stride() > input_stride[0] ? max_stride() : input_stride[0], size = TILE * largest;
        const int buffers = activations.buffers();
        const int64_t numbers = (buffers * matrices + 4) * size + TILE * matrices;
        float* memory = static_cast<float*>(scratch(tile_slot, size_t(numbers) * sizeof(float)));
        for (int i = 0; i <= matrices; ++i) {
            uint32_t* words = reinterpret_cast<uint32_t*>(memory);
            tile.matrix[i] = {words, words + size / 2, i ? output_stride[i - 1] : input_stride[0]};
            memory += size;
            if (i == matrices) break;
            tile.slope[i] = memory;
            tile.slope2[i] = memory + size;
            memory += (buffers - 1) * size;
            tile.modulation[i] = activations.modulation(outputs[i], memory);
            memory += TILE;
        }
        tile.values = memory;
        tile.grad = memory + size;
        tile.skipped = memory + 2 * size;
        return tile;
    }

private:
    static auto add_to(float* sums, int64_t stride) {
        return each_vector([=](int row, int column, Floats sum) {
            float* to = sums + row * stride + column;
            store(to, load<Floats>(to) + sum);
        });
    }

    auto store_input_gradient(float* features, const Tile& tile) const {
        const int64_t stride = input_stride[0];
        const float* skipped = skip ? tile.skipped : nullptr;
        return each_vector([=](int row, int column, Floats sum) {
            if (skipped) sum += load<Floats>(skipped + row * stride + column);
            store(features + row * stride + column, sum);
        });
    }

public:
    template <ActivationPass act>
    float* forward(const float* features, const Tile& tile) const {
        if (!exact_first || skip) tile.matrix[0].store_all(features);
        for (int i = 0; i < last(); ++i) {
            const TileMatrix to = tile.matrix[i + 1];
            const float* bias_row = bias[i];
            float* z = tile.slope[i];
            sums_of_layer(i, features, tile, each_row_pair([=](int row, int column, Floats upper, Floats lower) {
                              const Floats added = load<Floats>(bias_row + column);
                              upper += added;
                              lower += added;
                              if constexpr (act == pass_own) {
                                  store(z + row * to.stride + column, upper);
                                  store(z + (row + 1) * to.stride + column, lower);
                                  return;
                              } else if constexpr (act == pass_relu) {
                                  upper = upper > 0.0f ? upper : Floats{};
                                  lower = lower > 0.0f ? lower : Floats{};
                              }
                              to.store_two(row, column, upper, lower);
                          }));
            if constexpr (act == pass_own)
                activations.pass(i, *this, tile).apply([=](int row, int64_t column, Floats upper, Floats lower) {
                    to.store_two(row, int(column), upper, lower);
                });
            if (i + 1 == skip) append(tile.matrix[0], to);
        }
        const int64_t stride = values_stride();
        float* values = tile.values;
        const float* bias_row = bias[last()];
        sums_of_layer(last(), features, tile, each_vector([=](int row, int column, Floats sum) {
                          store(values + row * stride + column, sum + load<Floats>(bias_row + column));
                      }));
        return values;
    }

    template <ActivationPass act>
    void backward(float* features, const Tile& tile, float* sums, bool wants_input_gradient) const {
        tile.matrix[matrices].store_all(tile.values);
        sums += gradients;
        for (int i = last(); i >= 0; --i) {
            const TileMatrix input = tile.matrix[i], grad = tile.matrix[i + 1];
            const int64_t stride = input.stride;
            sums -= grad.stride;
            float* bias_sums = sums;
            sums -= outputs[i] * stride;
            if (i == 0 && exact_first) return backward_exactly(features, tile, sums, bias_sums, wants_input_gradient);
            if (biased[i]) add_pairs(grad, padded(outputs[i]), bias_sums);
            multiply(outputs[i], simd_count<float>(inputs[i]), TILE / 2,
                     MatrixView<uint32_t>{grad.pairs, 1, grad.stride}, input.pairs, stride, add_to(sums, stride));
            if (i == 0) break;
            float* raw = tile.grad;
            const int64_t hidden = hidden_inputs(i);
            float* skipped = tile.skipped;
            const bool exact = i == 1 && exact_first;
            const int wanted = wants_input_gradient ? inputs[i] : int(hidden < inputs[i] ? hidden : inputs[i]);
            multiply(TILE, simd_count<float>(wanted), half_rounded_up(outputs[i]), rows_of(grad), row_pairs[i], stride,
                     each_row_pair([=](int row, int column, Floats upper, Floats lower) {
                         if (column >= hidden) {
                             float* to = skipped + row * input_stride[0] + column - hidden;
                             store(to, upper);
                             store(to + input_stride[0], lower);
                             return;
                         }
                         if constexpr (act == pass_relu) {
                             const Bfloat16Pairs output = input.pairs_at(row, column);
                             upper = (output & 0xffffu) != 0u ? upper : Floats{};
                             lower = output > 0xffffu ? lower : Floats{};
                         }
                         if (act == pass_own || exact) {
                             store(raw + row * stride + column, upper);
                             store(raw + (row + 1) * stride + column, lower);
                         } else {
                             input.store_two(row, column, upper, lower);
                         }
                     }));
            if constexpr (act == pass_own)
                activations.pass(i - 1, *this, tile)
                    .backward(raw, [=](int row, int64_t column, Floats upper, Floats lower) {
                        if (!exact) return input.store_two(row, int(column), upper, lower);
                        store(raw + row * stride + column, upper);
                        store(raw + (row + 1) * stride + column, lower);
                    });
        }
        if (!wants_input_gradient) return;
        multiply(TILE, simd_count<float>(inputs[0]), half_rounded_up(outputs[0]), rows_of(tile.matrix[1]), row_pairs[0],
                 input_stride[0], store_input_gradient(features, tile));
    }

private:
    int64_t max_input_stride() const {
        int64_t largest = 0;
        for (int i = 0; i < matrices; ++i) largest = input_stride[i] > largest ? input_stride[i] : largest;
        return largest;
    }

    static MatrixView<uint32_t> rows_of(const TileMatrix& matrix) { return {matrix.rows, matrix.stride / 2, 1}; }

    // W_i times the input of layer i.
    template <class Finish>
    void sums_of_layer(int i, const float* features, const Tile& tile, const Finish& finish) const {
        const int vectors = simd_count<float>(outputs[i]);
        if (i == 0 && exact_first)
            multiply(TILE, vectors, inputs[0], MatrixView<float>{features, input_stride[0], 1}, first_columns,
                     output_stride[0], finish);
        else
            multiply(TILE, vectors, half_rounded_up(inputs[i]), rows_of(tile.matrix[i]), column_pairs[i],
                     output_stride[i], finish);
    }

    // `backward` of the first layer, in float32.
    void backward_exactly(float* features, const Tile& tile, float* sums, float* bias_sums,
                          bool wants_input_gradient) const {
        const float* grad = last() ? tile.grad : tile.values;
        const int64_t in = input_stride[0], out = output_stride[0];
        if (biased[0]) add_rows(grad, out, padded(outputs[0]), bias_sums);
        multiply(outputs[0], simd_count<float>(inputs[0]), TILE, MatrixView<float>{grad, 1, out}, features, in,
                 add_to(sums, in));
        if (wants_input_gradient)
            multiply(TILE, simd_count<float>(inputs[0]), outputs[0], MatrixView<float>{grad, out, 1}, first_rows, in,
                     store_input_gradient(features, tile));
    }

    // As in `Network`.
    void append(const TileMatrix& features, const TileMatrix& rows) const {
        const int64_t begin = hidden_inputs(skip), size = features.stride;
        for (int row = 0; row < TILE; ++row)
            __builtin_memcpy(rows.rows + (row * rows.stride + begin) / 2, features.rows + row * size / 2,
                             size_t(size) * sizeof(uint32_t) / 2);
        for (int row = 0; row < TILE / 2; ++row)
            __builtin_memcpy(rows.pairs + row * rows.stride + begin, features.pairs + row * size,
                             size_t(size) * sizeof(uint32_t));
    }

    static void add_pairs(const TileMatrix& matrix, int64_t columns, float* sums) {
        const Bfloat16Pairs ones = broadcast(0x3f803f80u);
        for (int column = 0; column < columns; column += WIDTH<float>) {
            Floats sum = load<Floats>(sums + column);
            for (int row = 0; row < TILE; row += 2)
                sum = Element<uint32_t>::multiply_add(matrix.pairs_at(row, column), ones, sum);
            store(sums + column, sum);
        }
    }
};

}  // namespace fs::FS_ISA
