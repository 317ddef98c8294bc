// The MLP of mlp_tile.h with products of bfloat16 numbers: AVX512-BF16 multiplies two pairs at once and adds both
// products to one float. Weights, sums, slopes, values and the gradients of weights stay float; weights and activations
// are rounded when they become factors.
#pragma once

#include "mlp_tile.h"

namespace fs::FS_ISA {
namespace {

using PairPack = Pack<uint32_t>;  // the lower half of each number comes first

template <>
struct Element<uint32_t> {
    using Sum = float;
    FS_HOST_DEVICE static Floats multiply_add(PairPack a, PairPack b, Floats sum) {
        return (Floats)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
    }
};

// To nearest, ties to even, as vcvtneps2bf16 does it (of numbers that are none too small).
inline uint32_t rounded(float number) {
    uint32_t bits;
    __builtin_memcpy(&bits, &number, sizeof(bits));
    if ((bits & 0x7fffffffu) > 0x7f800000u) return bits >> 16 | 0x40u;  // stays no number
    return (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
}
inline uint32_t pair(float first, float second) { return rounded(first) | rounded(second) << 16; }

// A tile's matrix of activations or gradients, twice: as a factor A its rows, whose neighbouring columns are pairs; as
// a factor B, and as A read downwards, neighbouring rows are pairs.
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
        store(pairs + row / 2 * stride + column, (PairPack)_mm512_permutexvar_epi16(order, both));
    }

    void store_all(const float* from) const {
        for (int row = 0; row < TILE; row += 2)
            for (int column = 0; column < stride; column += WIDTH<float>)
                store_two(row, column, load<Floats>(from + row * stride + column),
                          load<Floats>(from + (row + 1) * stride + column));
    }

    FS_HOST_DEVICE PairPack pairs_at(int row, int column) const {
        return load<PairPack>(pairs + row / 2 * stride + column);
    }
};

// A finish that takes a pack of two neighbouring rows at a time: action(row, column, upper, lower).
template <class Action>
FS_HOST_DEVICE auto each_two_rows(const Action& action) {
    return [action](int row, int column, auto& sums) __attribute__((always_inline)) {
        constexpr int R = sizeof(sums) / sizeof(sums[0]), P = sizeof(sums[0]) / sizeof(sums[0][0]);
        if constexpr (R > 1)  // the rows of a tile are never taken one by one
            for (int i = 0; i < R; i += 2)
                for (int j = 0; j < P; ++j) action(row + i, column + j * WIDTH<float>, sums[i][j], sums[i + 1][j]);
    };
}

struct Bfloat16Network : Shape {
    using Number = float;
    float omega;
    const uint32_t* inward[MOST_MATRICES];   // [half the outputs, input_stride]: W's rows, two together
    const uint32_t* outward[MOST_MATRICES];  // [half the inputs, output_stride]: W's columns, two together
    const float* bias[MOST_MATRICES];        // [output_stride]

    explicit Bfloat16Network(const MlpRecord& mlp) : Shape(mlp), omega(float(mlp.omega)) {}

    static int halved(int numbers) { return (numbers + 1) / 2; }

    size_t bytes() const {
        int64_t words = 0;
        for (int i = 0; i < matrices; ++i)
            words += halved(outputs[i]) * input_stride[i] + halved(inputs[i]) * output_stride[i] + output_stride[i];
        return size_t(words) * sizeof(float);
    }

    void copy_weights(const MlpRecord& mlp, void* memory) {
        uint32_t* to = static_cast<uint32_t*>(memory);
        for (int i = 0; i < matrices; ++i) {
            const float* from = static_cast<const float*>(mlp.weight[i]);
            const auto weight = [&](int o, int k) {
                return o < outputs[i] && k < inputs[i] ? from[o * inputs[i] + k] : 0.0f;
            };
            inward[i] = to;
            for (int o = 0; o < outputs[i]; o += 2)
                for (int k = 0; k < input_stride[i]; ++k) *to++ = pair(weight(o, k), weight(o + 1, k));
            outward[i] = to;
            for (int k = 0; k < inputs[i]; k += 2)
                for (int o = 0; o < output_stride[i]; ++o) *to++ = pair(weight(o, k), weight(o, k + 1));
            float* added = reinterpret_cast<float*>(to);
            for (int o = 0; o < output_stride[i]; ++o)
                added[o] = biased[i] && o < outputs[i] ? static_cast<const float*>(mlp.bias[i])[o] : 0.0f;
            bias[i] = added;
            to += output_stride[i];
        }
    }

    // matrix[0] are the features, matrix[i + 1] the output of layer i, then its gradient.
    struct Tile {
        TileMatrix matrix[MOST_MATRICES + 1];
        float* slope[MOST_MATRICES];
        float* values;
    };

    Tile tile() const {
        Tile tile;
        const int64_t most = widest() > input_stride[0] ? widest() : input_stride[0], size = TILE * most;
        float* memory = static_cast<float*>(scratch(tile_slot, size_t((2 * matrices + 2) * size) * sizeof(float)));
        for (int i = 0; i <= matrices; ++i) {
            uint32_t* words = reinterpret_cast<uint32_t*>(memory);
            tile.matrix[i] = {words, words + size / 2, i ? output_stride[i - 1] : input_stride[0]};
            memory += size;
            if (i == matrices) break;
            tile.slope[i] = memory;
            memory += size;
        }
        tile.values = memory;
        return tile;
    }

    template <Activation activation>
    float* forward(const float* features, const Tile& tile) const {
        tile.matrix[0].store_all(features);
        for (int i = 0; i < last(); ++i) {
            const TileMatrix to = tile.matrix[i + 1];
            const float *added = bias[i], omega = this->omega;
            float* slope = tile.slope[i];
            multiply(TILE, whole_packs<float>(outputs[i]), halved(inputs[i]), rows_of(tile.matrix[i]), outward[i],
                     to.stride, each_two_rows([=](int row, int column, Floats upper, Floats lower) {
                         const Floats more = load<Floats>(added + column);
                         float* at = slope + row * to.stride + column;
                         to.store_two(row, column, activate<float, activation>(upper + more, omega, at),
                                      activate<float, activation>(lower + more, omega, at + to.stride));
                     }));
        }
        const int64_t stride = values_stride();
        float* values = tile.values;
        const float* added = bias[last()];
        multiply(TILE, whole_packs<float>(outputs[last()]), halved(inputs[last()]), rows_of(tile.matrix[last()]),
                 outward[last()], stride, each_pack([=](int row, int column, Floats sum) {
                     store(values + row * stride + column, sum + load<Floats>(added + column));
                 }));
        return values;
    }

    template <Activation activation>
    void backward(float* features, const Tile& tile, float* sums, bool inwards) const {
        tile.matrix[matrices].store_all(tile.values);
        sums += gradients;
        for (int i = last(); i >= 0; --i) {
            const TileMatrix input = tile.matrix[i], grad = tile.matrix[i + 1];
            const int64_t stride = input.stride;
            sums -= grad.stride;
            if (biased[i]) add_pairs(grad, sums);
            sums -= outputs[i] * stride;
            multiply(outputs[i], whole_packs<float>(inputs[i]), TILE / 2, Factor<uint32_t>{grad.pairs, 1, grad.stride},
                     input.pairs, stride, each_pack([=](int row, int column, Floats sum) {
                         float* to = sums + row * stride + column;
                         store(to, load<Floats>(to) + sum);
                     }));
            if (i == 0) break;
            const float* slope = tile.slope[i - 1];
            multiply(TILE, whole_packs<float>(inputs[i]), halved(outputs[i]), rows_of(grad), inward[i], stride,
                     each_two_rows([=](int row, int column, Floats upper, Floats lower) {
                         if constexpr (activation == activation_relu) {
                             const PairPack output = input.pairs_at(row, column);
                             upper = (output & 0xffffu) != 0u ? upper : Floats{};
                             lower = output > 0xffffu ? lower : Floats{};
                         } else if constexpr (activation == activation_sine) {
                             upper *= load<Floats>(slope + row * stride + column);
                             lower *= load<Floats>(slope + (row + 1) * stride + column);
                         }
                         input.store_two(row, column, upper, lower);
                     }));
        }
        if (!inwards) return;
        const int64_t stride = input_stride[0];
        multiply(TILE, whole_packs<float>(inputs[0]), halved(outputs[0]), rows_of(tile.matrix[1]), inward[0], stride,
                 each_pack([=](int row, int column, Floats sum) { store(features + row * stride + column, sum); }));
    }

private:
    static Factor<uint32_t> rows_of(const TileMatrix& matrix) { return {matrix.rows, matrix.stride / 2, 1}; }

    static void add_pairs(const TileMatrix& matrix, float* sums) {
        const PairPack ones = spread(0x3f803f80u);
        for (int column = 0; column < matrix.stride; column += WIDTH<float>) {
            Floats sum = load<Floats>(sums + column);
            for (int row = 0; row < TILE; row += 2)
                sum = Element<uint32_t>::multiply_add(matrix.pairs_at(row, column), ones, sum);
            store(sums + column, sum);
        }
    }
};

}  // namespace
}  // namespace fs::FS_ISA
