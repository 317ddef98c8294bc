// The MLP of mlp_tile.h with matrix products in bfloat16: an AVX512-BF16 instruction multiplies two pairs and adds both
// products to a float32. Weights, sums, derivatives, values and the gradients of weights stay float32; weights and
// activations are rounded when they become operands of a matrix product.
#pragma once

#include "mlp_tile.h"

namespace fs::FS_ISA {
namespace {

using Bfloat16Pairs = Simd<uint32_t>;  // the first value of a pair is in the lower half

template <>
struct Element<uint32_t> {
    using Sum = float;
    FS_HOST_DEVICE static Floats multiply_add(Bfloat16Pairs a, Bfloat16Pairs b, Floats sum) {
        return (Floats)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
    }
};

// Rounds to nearest, ties to even, as vcvtneps2bf16 does for values that are not subnormal.
inline uint32_t round_to_bfloat16(float number) {
    uint32_t bits;
    __builtin_memcpy(&bits, &number, sizeof(bits));
    if ((bits & 0x7fffffffu) > 0x7f800000u) return bits >> 16 | 0x40u;  // NaN stays NaN
    return (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
}
inline uint32_t bfloat16_pair(float first, float second) {
    return round_to_bfloat16(first) | round_to_bfloat16(second) << 16;
}

// A tile's matrix of activations or gradients in two layouts: `rows`, with adjacent columns in pairs, as operand A; and
// `pairs`, with adjacent rows in pairs, as operand B and as A read by columns.
struct TileMatrix {
    uint32_t* rows;   // [TILE, stride / 2]
    uint32_t* pairs;  // [TILE / 2, stride]
    int64_t stride;

    FS_HOST_DEVICE void store_two(int row, int column, Floats upper, Floats lower) const {
        const __m512i both = (__m512i)_mm512_cvtne2ps_pbh((__m512)lower, (__m512)upper);
        uint32_t* to = rows + (row * stride + column) / 2;
        _mm256_storeu_si256((__m256i*)to, _mm512_castsi512_si256(both));
        _mm256_storeu_si256((__m256i*)(to + stride / 2), _mm512_extracti64x4_epi64(both, 1));
        const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22,
                                               6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
        store(pairs + row / 2 * stride + column, (Bfloat16Pairs)_mm512_permutexvar_epi16(order, both));
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
    int32_t activation;
    float first_omega, omega, scale;
    Modulations<float> modulations;
    const uint32_t* row_pairs[MAX_MATRICES];     // [half the outputs, input_stride]: pairs of rows of W
    const uint32_t* column_pairs[MAX_MATRICES];  // [half the inputs, output_stride]: pairs of columns of W
    const float* bias[MAX_MATRICES];             // [output_stride]

    explicit Bfloat16Network(const MlpRecord& mlp)
        : MlpShape(mlp), activation(mlp.activation), first_omega(float(mlp.first_omega)), omega(float(mlp.omega)),
          scale(float(mlp.scale)), modulations(mlp) {}

    static int half_rounded_up(int numbers) { return (numbers + 1) / 2; }

    size_t bytes() const {
        int64_t words = 0;
        for (int i = 0; i < matrices; ++i)
            words += half_rounded_up(outputs[i]) * input_stride[i] + half_rounded_up(inputs[i]) * output_stride[i] +
                     output_stride[i];
        return size_t(words) * sizeof(float);
    }

    void copy_weights(const MlpRecord& mlp, void* memory) {
        uint32_t* to = static_cast<uint32_t*>(memory);
        for (int i = 0; i < matrices; ++i) {
            const float* from = static_cast<const float*>(mlp.weight[i]);
            const auto weight = [&](int o, int k) {
                const int at = column(i, k);
                return o < outputs[i] && at >= 0 ? from[o * columns(i) + at] : 0.0f;
            };
            row_pairs[i] = to;
            for (int o = 0; o < outputs[i]; o += 2)
                for (int k = 0; k < input_stride[i]; ++k) *to++ = bfloat16_pair(weight(o, k), weight(o + 1, k));
            column_pairs[i] = to;
            for (int k = 0; k < inputs[i]; k += 2)
                for (int o = 0; o < output_stride[i]; ++o) *to++ = bfloat16_pair(weight(o, k), weight(o, k + 1));
            float* bias_row = reinterpret_cast<float*>(to);
            for (int o = 0; o < output_stride[i]; ++o)
                bias_row[o] = biased[i] && o < outputs[i] ? static_cast<const float*>(mlp.bias[i])[o] : 0.0f;
            bias[i] = bias_row;
            to += output_stride[i];
        }
    }

    // matrix[0] holds the features, matrix[i + 1] the output of layer i and later its gradient.
    struct Tile {
        TileMatrix matrix[MAX_MATRICES + 1];
        float* slope[MAX_MATRICES];
        float* slope2[MAX_MATRICES];
        TileModulation<float> modulation[MAX_MATRICES];
        float* values;
        float* grad;     // of a layer's output
        float* skipped;  // gradient of the features of a skip connection, [TILE, input_stride[0]]

        // As in `Network`.
        void place(const Modulations<float>& modulations, int64_t first, int count) {
            modulations.place(modulation, first, count);
        }
    };

    Tile tile() const {
        Tile tile;
        const int64_t largest = max_stride() > input_stride[0] ? max_stride() : input_stride[0], size = TILE * largest;
        const int buffers = modulations.buffers(activation);
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
            tile.modulation[i] = modulations.layer(outputs[i], memory);
            memory += TILE;
        }
        tile.values = memory;
        tile.grad = memory + size;
        tile.skipped = memory + 2 * size;
        return tile;
    }

    ActivationCall<float> pass(int i, const Tile& tile) const {
        return {activation,
                i ? omega : first_omega,
                scale,
                output_stride[i],
                simd_count<float>(outputs[i]) * WIDTH<float>,
                tile.slope[i],
                tile.slope2[i],
                outputs[i] / 2,
                modulations.any ? &tile.modulation[i] : nullptr};
    }

    template <ActivationPass act>
    float* forward(const float* features, const Tile& tile) const {
        tile.matrix[0].store_all(features);
        for (int i = 0; i < last(); ++i) {
            const TileMatrix to = tile.matrix[i + 1];
            const float* bias_row = bias[i];
            float* z = tile.slope[i];
            multiply(TILE, simd_count<float>(outputs[i]), half_rounded_up(inputs[i]), rows_of(tile.matrix[i]),
                     column_pairs[i], to.stride, each_row_pair([=](int row, int column, Floats upper, Floats lower) {
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
                pass(i, tile).apply([=](int row, int64_t column, Floats upper, Floats lower) {
                    to.store_two(row, int(column), upper, lower);
                });
            if (i + 1 == skip) append(tile.matrix[0], to);
        }
        const int64_t stride = values_stride();
        float* values = tile.values;
        const float* bias_row = bias[last()];
        multiply(TILE, simd_count<float>(outputs[last()]), half_rounded_up(inputs[last()]),
                 rows_of(tile.matrix[last()]), column_pairs[last()], stride,
                 each_vector([=](int row, int column, Floats sum) {
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
            if (biased[i]) add_pairs(grad, padded(outputs[i]), sums);
            sums -= outputs[i] * stride;
            multiply(outputs[i], simd_count<float>(inputs[i]), TILE / 2,
                     MatrixView<uint32_t>{grad.pairs, 1, grad.stride}, input.pairs, stride,
                     each_vector([=](int row, int column, Floats sum) {
                         float* to = sums + row * stride + column;
                         store(to, load<Floats>(to) + sum);
                     }));
            if (i == 0) break;
            float* raw = tile.grad;
            const int64_t hidden = hidden_inputs(i);
            float* skipped = tile.skipped;
            const int wanted = wants_input_gradient ? inputs[i] : int(hidden < inputs[i] ? hidden : inputs[i]);
            multiply(TILE, simd_count<float>(wanted), half_rounded_up(outputs[i]), rows_of(grad), row_pairs[i], stride,
                     each_row_pair([=](int row, int column, Floats upper, Floats lower) {
                         if (column >= hidden) {
                             float* to = skipped + row * input_stride[0] + column - hidden;
                             store(to, upper);
                             store(to + input_stride[0], lower);
                             return;
                         }
                         if constexpr (act == pass_own) {
                             store(raw + row * stride + column, upper);
                             store(raw + (row + 1) * stride + column, lower);
                             return;
                         } else if constexpr (act == pass_relu) {
                             const Bfloat16Pairs output = input.pairs_at(row, column);
                             upper = (output & 0xffffu) != 0u ? upper : Floats{};
                             lower = output > 0xffffu ? lower : Floats{};
                         }
                         input.store_two(row, column, upper, lower);
                     }));
            if constexpr (act == pass_own)
                pass(i - 1, tile).backward(raw, [=](int row, int64_t column, Floats upper, Floats lower) {
                    input.store_two(row, int(column), upper, lower);
                });
        }
        if (!wants_input_gradient) return;
        const int64_t stride = input_stride[0];
        multiply(TILE, simd_count<float>(inputs[0]), half_rounded_up(outputs[0]), rows_of(tile.matrix[1]), row_pairs[0],
                 stride, each_vector([=](int row, int column, Floats sum) {
                     if (skip) sum += load<Floats>(tile.skipped + row * stride + column);
                     store(features + row * stride + column, sum);
                 }));
    }

private:
    static MatrixView<uint32_t> rows_of(const TileMatrix& matrix) { return {matrix.rows, matrix.stride / 2, 1}; }

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

}  // namespace
}  // namespace fs::FS_ISA
