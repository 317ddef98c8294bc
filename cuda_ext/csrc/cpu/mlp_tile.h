// A small MLP on one tile of points, forward and back: what the functions of mlp.cpp and fused_step.cpp are made of.
#pragma once

#include "../common/mlp.h"
#include "activation.h"
#include "multiply.h"
#include "parallel.h"

namespace fs::FS_ISA {
namespace {

constexpr int TILE = 64;  // points that go through the MLP together
constexpr int CHUNK = 4096, MOST_CHUNKS = 64;

// Slots of scratch memory; 0 is the grid's.
enum { tile_slot = 1, features_slot = 2, network_slot = 3, kept_slot = 4 };

constexpr int64_t padded(int64_t numbers) { return (numbers + 15) / 16 * 16; }

// The batch is cut into chunks by its size alone, and their sums are added in order: results do not depend on the
// number of threads.
struct Chunks {
    int count;
    int64_t size, points;

    explicit Chunks(int64_t points) : points(points) {
        count = int(points / CHUNK < 1 ? 1 : points / CHUNK > MOST_CHUNKS ? MOST_CHUNKS : points / CHUNK);
        size = ((points + count - 1) / count + TILE - 1) / TILE * TILE;
    }

    // Calls action(first, points) for each of a chunk's parts of at most `most` points.
    template <class Action>
    void each_part(int chunk, int64_t most, const Action& action) const {
        const int64_t begin = chunk * size, end = begin + size < points ? begin + size : points;
        for (int64_t first = begin; first < end; first += most)
            action(first, int(end - first < most ? end - first : most));
    }
};

// The sizes of an MLP, and how its numbers are laid out here: rows are padded with zeros to whole packs.
struct Shape {
    int matrices;
    int inputs[MOST_MATRICES], outputs[MOST_MATRICES];
    int64_t input_stride[MOST_MATRICES], output_stride[MOST_MATRICES];
    bool biased[MOST_MATRICES];
    // Of the gradients of all weights and biases: a matrix's rows, then its bias.
    int64_t gradients;

    explicit Shape(const MlpRecord& mlp) : matrices(mlp.matrices), gradients(0) {
        for (int i = 0; i < matrices; ++i) {
            inputs[i] = mlp.sizes[i];
            outputs[i] = mlp.sizes[i + 1];
            input_stride[i] = padded(inputs[i]);
            output_stride[i] = padded(outputs[i]);
            biased[i] = mlp.bias[i];
            gradients += outputs[i] * input_stride[i] + output_stride[i];
        }
    }

    int64_t widest() const {
        int64_t most = 0;
        for (int i = 0; i < matrices; ++i) most = output_stride[i] > most ? output_stride[i] : most;
        return most;
    }
    int last() const { return matrices - 1; }
    int64_t values_stride() const { return output_stride[last()]; }
};

// Adds the chunks' sums of gradients, in order, and takes the padding out.
template <class T>
void add_gradients(const MlpRecord& mlp, const Shape& shape, const T* sums, int chunks) {
    const auto total = [&](int64_t at) {
        T sum = T(0);
        for (int chunk = 0; chunk < chunks; ++chunk) sum += sums[chunk * shape.gradients + at];
        return sum;
    };
    int64_t at = 0;
    for (int i = 0; i < shape.matrices; ++i) {
        T* to = static_cast<T*>(mlp.grad_weight[i]);
        for (int o = 0; o < shape.outputs[i]; ++o, at += shape.input_stride[i])
            for (int k = 0; k < shape.inputs[i]; ++k) to[o * shape.inputs[i] + k] = total(at + k);
        if (shape.biased[i])
            for (int o = 0; o < shape.outputs[i]; ++o) static_cast<T*>(mlp.grad_bias[i])[o] = total(at + o);
        at += shape.output_stride[i];
    }
}

// sums += the sum over a tile of rows of gradients.
template <class T>
void add_rows(const T* rows, int64_t stride, T* sums) {
    for (int64_t column = 0; column < stride; column += WIDTH<T>) {
        Pack<T> sum = load<Pack<T>>(sums + column);
        for (int p = 0; p < TILE; ++p) sum += load<Pack<T>>(rows + p * stride + column);
        store(sums + column, sum);
    }
}

// A tile's gradients of the values, in place of these; rows beyond `points` and columns beyond `outputs` are zeros.
template <class T>
void take_gradient(const T* from, int points, int outputs, T* rows, int64_t stride) {
    for (int p = 0; p < points; ++p, from += outputs) {
        for (int c = 0; c < outputs; ++c) rows[p * stride + c] = from[c];
        for (int64_t c = outputs; c < stride; ++c) rows[p * stride + c] = T(0);
    }
    for (int64_t i = points * stride; i < TILE * stride; ++i) rows[i] = T(0);
}

// What a layer makes of sums of products, and the slope that a sine leaves for the way back.
template <class T, Activation activation>
FS_HOST_DEVICE Pack<T> activate(Pack<T> sum, T omega, T* slope) {
    if constexpr (activation == activation_relu) {
        return sum > T(0) ? sum : Pack<T>{};
    } else if constexpr (activation == activation_sine) {
        Pack<T> sine, cosine;
        sine_and_cosine(sum * omega, sine, cosine);
        store(slope, cosine * omega);
        return sine;
    } else {
        return sum;
    }
}

// The MLP in numbers of type T.
template <class T>
struct Network : Shape {
    using Number = T;
    T omega;
    const T* weight[MOST_MATRICES];     // [outputs, input_stride]
    const T* transpose[MOST_MATRICES];  // [inputs, output_stride]
    const T* bias[MOST_MATRICES];       // [output_stride]

    explicit Network(const MlpRecord& mlp) : Shape(mlp), omega(T(mlp.omega)) {}

    // Bytes of the copies of the weights, a multiple of 64.
    size_t bytes() const {
        int64_t numbers = 0;
        for (int i = 0; i < matrices; ++i)
            numbers += outputs[i] * input_stride[i] + inputs[i] * output_stride[i] + output_stride[i];
        return size_t(numbers) * sizeof(T);
    }

    void copy_weights(const MlpRecord& mlp, void* memory) {
        T* to = static_cast<T*>(memory);
        for (int i = 0; i < matrices; ++i) {
            const int64_t in = input_stride[i], out = output_stride[i];
            T *rows = to, *columns = rows + outputs[i] * in, *added = columns + inputs[i] * out;
            to = added + out;
            for (T* number = rows; number < to; ++number) *number = T(0);
            const T* from = static_cast<const T*>(mlp.weight[i]);
            for (int o = 0; o < outputs[i]; ++o)
                for (int k = 0; k < inputs[i]; ++k) rows[o * in + k] = columns[k * out + o] = from[o * inputs[i] + k];
            for (int o = 0; biased[i] && o < outputs[i]; ++o) added[o] = static_cast<const T*>(mlp.bias[i])[o];
            weight[i] = rows;
            transpose[i] = columns;
            bias[i] = added;
        }
    }

    // What a thread keeps of a tile: the output of every layer, and for sines the slope at every hidden unit.
    struct Tile {
        T* output[MOST_MATRICES];
        T* slope[MOST_MATRICES];
    };

    Tile tile() const {
        Tile tile;
        const int64_t size = TILE * widest();
        T* memory = static_cast<T*>(scratch(tile_slot, size_t(2 * matrices * size) * sizeof(T)));
        for (int i = 0; i < matrices; ++i) {
            tile.output[i] = memory + 2 * i * size;
            tile.slope[i] = tile.output[i] + size;
        }
        return tile;
    }

    // Features are rows of `input_stride[0]` numbers, which backward must find as they were; gives rows of values, of
    // `values_stride()` numbers.
    template <Activation activation>
    T* forward(const T* features, const Tile& tile) const {
        const T* input = features;
        for (int i = 0; i < matrices; ++i) {
            if (i == last()) {
                layer<activation_none>(i, input, tile);
            } else {
                layer<activation>(i, input, tile);
            }
            input = tile.output[i];
        }
        return tile.output[last()];
    }

    template <Activation activation>
    void layer(int i, const T* input, const Tile& tile) const {
        const int64_t stride = output_stride[i];
        T *output = tile.output[i], *slope = tile.slope[i];
        const T *added = bias[i], omega = this->omega;
        multiply(TILE, whole_packs<T>(outputs[i]), inputs[i], Factor<T>{input, input_stride[i], 1}, transpose[i],
                 stride, each_pack([=](int row, int column, Pack<T> sum) {
                     const int64_t at = row * stride + column;
                     store(output + at,
                           activate<T, activation>(sum + load<Pack<T>>(added + column), omega, slope + at));
                 }));
    }

    // And back: the values of the tile have been replaced by their gradients; so is the output of every other layer,
    // and the features in the end if `inwards`. Gradients of weights and biases are added to `sums`.
    template <Activation activation>
    void backward(T* features, const Tile& tile, T* sums, bool inwards) const {
        sums += gradients;
        for (int i = last(); i >= 0; --i) {
            const int64_t stride = input_stride[i];
            T* input = i ? tile.output[i - 1] : features;
            const T* slope = i ? tile.slope[i - 1] : nullptr;
            const T* grad = tile.output[i];
            sums -= output_stride[i];
            if (biased[i]) add_rows(grad, output_stride[i], sums);
            sums -= outputs[i] * stride;
            multiply(outputs[i], whole_packs<T>(inputs[i]), TILE, Factor<T>{grad, 1, output_stride[i]}, input, stride,
                     each_pack([=](int row, int column, Pack<T> sum) {
                         T* to = sums + row * stride + column;
                         store(to, load<Pack<T>>(to) + sum);
                     }));
            if (i == 0 && !inwards) return;
            const Factor<T> rows = {grad, output_stride[i], 1};
            multiply(TILE, whole_packs<T>(inputs[i]), outputs[i], rows, weight[i], stride,
                     each_pack([=](int row, int column, Pack<T> sum) {
                         T* at = input + row * stride + column;
                         if (activation == activation_relu && i > 0) sum = load<Pack<T>>(at) > T(0) ? sum : Pack<T>{};
                         if (activation == activation_sine && i > 0)
                             sum *= load<Pack<T>>(slope + row * stride + column);
                         store(at, sum);
                     }));
        }
    }
};

}  // namespace
}  // namespace fs::FS_ISA
