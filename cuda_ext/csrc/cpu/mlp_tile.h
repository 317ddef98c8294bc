// A small MLP on one tile of points, forward and backward: shared by mlp.cpp and fused_step.cpp.
#pragma once

#include "activation.h"
#include "multiply.h"
#include "parallel.h"

namespace fs::FS_ISA {

constexpr int CHUNK = 4096, MAX_CHUNKS = 64;
// Every chunk has sums of the gradients of its own. Together they have at most this many values, except that there may
// always be MIN_CHUNKS.
constexpr int64_t MAX_SUMS = int64_t(1) << 24;
constexpr int MIN_CHUNKS = 8;

// Slots of scratch memory; slot 0 is the grid's.
enum { tile_slot = 1, features_slot = 2, network_slot = 3, saved_slot = 4 };

constexpr int64_t padded(int64_t numbers) { return (numbers + 15) / 16 * 16; }

// The batch is cut into chunks by its size alone, and the chunks' sums are added in order: results do not depend on the
// number of threads.
struct Chunks {
    int count;
    int64_t size, points;

    explicit Chunks(int64_t points, int64_t chunk = CHUNK, int most = MAX_CHUNKS) : points(points) {
        count = int(points / chunk < 1 ? 1 : points / chunk > most ? most : points / chunk);
        size = ((points + count - 1) / count + TILE - 1) / TILE * TILE;
    }

    // Calls action(first, points) for the parts of a chunk, each of at most `max_points` points.
    template <class Action>
    void for_each_part(int chunk, int64_t max_points, const Action& action) const {
        const int64_t begin = chunk * size, end = begin + size < points ? begin + size : points;
        for (int64_t first = begin; first < end; first += max_points)
            action(first, int(end - first < max_points ? end - first : max_points));
    }
};

// The widths of an MLP and the layout of its values: rows are padded with zeros to whole SIMD vectors. The matrix
// `skip` reads rows of a hidden layer's values, padded, and the features behind them.
struct MlpShape {
    int matrices, skip;
    int inputs[MAX_MATRICES], outputs[MAX_MATRICES];
    int64_t input_stride[MAX_MATRICES], output_stride[MAX_MATRICES];
    bool biased[MAX_MATRICES];
    // Number of values of all gradients of weights and biases: for each matrix its rows, then its bias.
    int64_t gradients;

    explicit MlpShape(const MlpRecord& mlp) : matrices(mlp.matrices), skip(mlp.skip), gradients(0) {
        for (int i = 0; i < matrices; ++i) {
            inputs[i] = i && i == skip ? int(padded(mlp.sizes[i])) + mlp.sizes[0] : mlp.sizes[i];
            outputs[i] = mlp.sizes[i + 1] * (mlp.activation == activation_quadratic && i < last() ? 3 : 1);
            input_stride[i] = padded(inputs[i]);
            output_stride[i] = padded(outputs[i]);
            biased[i] = mlp.bias[i];
            if (i == skip && i) output_stride[i - 1] = input_stride[i];
        }
        for (int i = 0; i < matrices; ++i) gradients += outputs[i] * input_stride[i] + output_stride[i];
    }

    // Columns of a matrix as torch has it, and the column that multiplies column k of a row of values, or -1 for none.
    int columns(int i) const { return i && i == skip ? outputs[i - 1] + inputs[0] : inputs[i]; }
    int column(int i, int k) const {
        if (k >= inputs[i]) return -1;
        if (i == 0 || i != skip) return k;
        if (k >= hidden_inputs(i)) return k - int(hidden_inputs(i));
        return k < outputs[i - 1] ? inputs[0] + k : -1;
    }
    // Copies row `o` of a matrix, with its columns in the order of a row of values and zeros between and behind them.
    template <class T>
    void copy_row(const MlpRecord& mlp, int i, int o, T* row) const {
        const T* from = static_cast<const T*>(mlp.weight[i]) + int64_t(o) * columns(i);
        const bool skips = i && i == skip;
        const int64_t first = skips ? outputs[i - 1] : inputs[i], begin = hidden_inputs(i);
        for (int64_t k = 0; k < first; ++k) row[k] = from[skips ? inputs[0] + k : k];
        for (int64_t k = first; k < input_stride[i]; ++k) row[k] = T(0);
        for (int64_t k = 0; skips && k < inputs[0]; ++k) row[begin + k] = from[k];
    }
    // Columns of the input of a layer that are not features of a skip connection.
    int64_t hidden_inputs(int i) const { return i && i == skip ? padded(outputs[i - 1]) : input_stride[i]; }

    int64_t max_stride() const {
        int64_t largest = 0;
        for (int i = 0; i < matrices; ++i) largest = output_stride[i] > largest ? output_stride[i] : largest;
        return largest;
    }
    int last() const { return matrices - 1; }
    int max_chunks(int most = MAX_CHUNKS) const {
        const int64_t fitting = MAX_SUMS / gradients;
        return fitting > most ? most : fitting < MIN_CHUNKS ? MIN_CHUNKS : int(fitting);
    }
    int64_t values_stride() const { return output_stride[last()]; }
};

// Adds the chunks' sums of gradients, in order, and removes the padding.
template <class T>
void add_gradients(const MlpRecord& mlp, const MlpShape& shape, const T* sums, int chunks, int num_threads = 1) {
    constexpr int PARTS = 8;  // of a matrix, for threads
    parallel_for(shape.matrices * PARTS, num_threads, [&](int index) {
        constexpr int BLOCK = 256;
        T block[BLOCK];
        // Calls put(k, sum) for each k < count, of the values from `at` on.
        const auto each_sum = [&](int64_t at, int count, const auto& put) {
            for (int first = 0; first < count; first += BLOCK) {
                const int size = count - first < BLOCK ? count - first : BLOCK;
                for (int k = 0; k < size; ++k) block[k] = sums[at + first + k];
                for (int chunk = 1; chunk < chunks; ++chunk) {
                    const T* from = sums + chunk * shape.gradients + at + first;
                    for (int k = 0; k < size; ++k) block[k] += from[k];
                }
                for (int k = 0; k < size; ++k) put(first + k, block[k]);
            }
        };
        const int i = index / PARTS;
        int64_t at = 0;
        for (int before = 0; before < i; ++before)
            at += shape.outputs[before] * shape.input_stride[before] + shape.output_stride[before];
        const Range rows = range_of(shape.outputs[i], PARTS, index % PARTS);
        const bool plain = !i || i != shape.skip;
        T* to = static_cast<T*>(mlp.grad_weight[i]) + rows.first * shape.columns(i);
        for (int64_t o = rows.first; o < rows.last; ++o, to += shape.columns(i)) {
            const int64_t row = at + o * shape.input_stride[i];
            if (plain)
                each_sum(row, shape.inputs[i], [=](int k, T sum) { to[k] = sum; });
            else
                each_sum(row, shape.inputs[i], [&](int k, T sum) {
                    if (const int column = shape.column(i, k); column >= 0) to[column] = sum;
                });
        }
        T* bias = static_cast<T*>(mlp.grad_bias[i]);
        if (shape.biased[i] && rows.first < rows.last)
            each_sum(at + shape.outputs[i] * shape.input_stride[i] + rows.first, int(rows.last - rows.first),
                     [=](int k, T sum) { bias[rows.first + k] = sum; });
    });
}

// Adds the rows of a tile's gradients to `sums`.
template <class T>
void add_rows(const T* rows, int64_t stride, int64_t columns, T* sums) {
    for (int64_t column = 0; column < columns; column += WIDTH<T>) {
        Simd<T> sum = load<Simd<T>>(sums + column);
        for (int p = 0; p < TILE; ++p) sum += load<Simd<T>>(rows + p * stride + column);
        store(sums + column, sum);
    }
}

// What the layers of a tile keep for the backward pass besides their outputs, where activations have a pass of their
// own: derivatives at every hidden unit.
template <class T>
struct HiddenTile {
    T* slope[MAX_MATRICES];
    T* slope2[MAX_MATRICES];
    TileModulation<T> modulation[MAX_MATRICES];
};

// The activations of an MLP and what is modulated in it.
template <class T>
struct Activations {
    bool modulated;
    int hidden;
    const MlpRecord* mlp;

    explicit Activations(const MlpRecord& mlp) : modulated(is_modulated(mlp)), hidden(mlp.matrices - 1), mlp(&mlp) {}

    // Buffers of a layer in a tile: values, and derivatives of activations that have a pass of their own.
    int buffers() const { return mlp->activation == activation_gabor ? 3 : pass_of(*mlp) == pass_own ? 2 : 1; }

    TileModulation<T> modulation(int units, T* inverse_deviation) const {
        return {bool(mlp->standardize),
                T(mlp->epsilon),
                units,
                inverse_deviation,
                0,
                2 * hidden,
                nullptr,
                nullptr,
                nullptr,
                nullptr};
    }

    // The pass over layer i of a tile.
    ActivationCall<T> pass(int i, const MlpShape& shape, const HiddenTile<T>& tile) const {
        return {mlp->activation,
                T(i ? mlp->omega : mlp->first_omega),
                T(mlp->scale),
                shape.output_stride[i],
                simd_count<T>(shape.outputs[i]) * WIDTH<T>,
                tile.slope[i],
                tile.slope2[i],
                shape.outputs[i] / 2,
                modulated ? &tile.modulation[i] : nullptr};
    }

    // Points a tile to the modulation of its `count` points from `first` on.
    void place(HiddenTile<T>& tile, int64_t first, int count) const {
        if (!mlp->modulation) return;
        const T* rows = static_cast<const T*>(mlp->modulation) + first * 2 * hidden;
        T* grads = static_cast<T*>(mlp->grad_modulation);
        if (grads) grads += first * 2 * hidden;
        for (int i = 0; i < hidden; ++i) {
            TileModulation<T>& layer = tile.modulation[i];
            layer.points = count;
            layer.scales = rows + i;
            layer.shifts = rows + hidden + i;
            layer.grad_scales = grads ? grads + i : nullptr;
            layer.grad_shifts = grads ? grads + hidden + i : nullptr;
        }
    }
};

// Copies the gradients of a tile's values to `rows`; rows from `points` on and columns from `outputs` on are zeros.
template <class T>
void load_gradient(const T* from, int points, int outputs, T* rows, int64_t stride) {
    for (int p = 0; p < points; ++p, from += outputs) {
        for (int c = 0; c < outputs; ++c) rows[p * stride + c] = from[c];
        for (int64_t c = outputs; c < stride; ++c) rows[p * stride + c] = T(0);
    }
    for (int64_t i = points * stride; i < TILE * stride; ++i) rows[i] = T(0);
}

// Copies rows of `columns` values, each `stride` after the one before, to columns; in squares that the near cache
// holds.
template <class T>
void transpose_rows(const T* from, int rows, int columns, int64_t stride, T* to, int64_t to_stride) {
    constexpr int SIDE = 32;
    for (int row = 0; row < rows; row += SIDE)
        for (int column = 0; column < columns; column += SIDE)
            for (int k = column; k < columns && k < column + SIDE; ++k)
                for (int o = row; o < rows && o < row + SIDE; ++o) to[k * to_stride + o] = from[o * stride + k];
}

// The MLP in values of type T.
template <class T>
struct Network : MlpShape {
    using Number = T;
    static constexpr bool has_activations = true;
    Activations<T> activations;
    const T* weight[MAX_MATRICES];     // [outputs, input_stride]
    const T* transpose[MAX_MATRICES];  // [inputs, output_stride]
    const T* bias[MAX_MATRICES];       // [output_stride]

    explicit Network(const MlpRecord& mlp) : MlpShape(mlp), activations(mlp) {}

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
            T *rows = to, *columns = rows + outputs[i] * in, *bias_row = columns + inputs[i] * out;
            to = bias_row + out;
            for (T* number = columns; number < to; ++number) *number = T(0);
            for (int o = 0; o < outputs[i]; ++o) copy_row(mlp, i, o, rows + o * in);
            transpose_rows(rows, outputs[i], inputs[i], in, columns, out);
            for (int o = 0; biased[i] && o < outputs[i]; ++o) bias_row[o] = static_cast<const T*>(mlp.bias[i])[o];
            weight[i] = rows;
            transpose[i] = columns;
            bias[i] = bias_row;
        }
    }

    // A thread's memory for a tile.
    struct Tile : HiddenTile<T> {
        T* output[MAX_MATRICES];
    };

    // Before a forward pass: the tile's points are `count` from `first` on.
    void place(Tile& tile, int64_t first, int count) const { activations.place(tile, first, count); }

    Tile tile() const {
        Tile tile;
        const int buffers = activations.buffers();
        const int64_t size = TILE * max_stride();
        T* memory = static_cast<T*>(scratch(tile_slot, size_t((buffers * size + TILE) * matrices) * sizeof(T)));
        for (int i = 0; i < matrices; ++i, memory += buffers * size + TILE) {
            tile.output[i] = memory + TILE;
            tile.slope[i] = tile.output[i] + size;
            tile.slope2[i] = tile.slope[i] + size;
            tile.modulation[i] = activations.modulation(outputs[i], memory);
        }
        return tile;
    }

    // `features` are rows of `input_stride[0]` values, which must be unchanged when backward is called. Returns rows of
    // `values_stride()` values.
    template <ActivationPass act>
    T* forward(const T* features, const Tile& tile) const {
        const T* input = features;
        for (int i = 0; i < matrices; ++i) {
            if (i == last()) {
                layer<pass_none>(i, input, tile);
            } else {
                layer<act>(i, input, tile);
                if (i + 1 == skip) append(features, tile.output[i]);
            }
            input = tile.output[i];
        }
        return tile.output[last()];
    }

    // Puts the features behind the hidden values that the skip connection's matrix reads.
    void append(const T* features, T* rows) const {
        const int64_t stride = input_stride[skip], begin = hidden_inputs(skip);
        for (int row = 0; row < TILE; ++row)
            __builtin_memcpy(rows + row * stride + begin, features + row * input_stride[0],
                             size_t(input_stride[0]) * sizeof(T));
    }

    template <ActivationPass act>
    void layer(int i, const T* input, const Tile& tile) const {
        const int64_t stride = output_stride[i];
        T *output = tile.output[i], *sums = act == pass_own ? tile.slope[i] : output;
        const T* bias_row = bias[i];
        multiply(TILE, simd_count<T>(outputs[i]), inputs[i], MatrixView<T>{input, input_stride[i], 1}, transpose[i],
                 stride, each_vector([=](int row, int column, Simd<T> sum) {
                     sum += load<Simd<T>>(bias_row + column);
                     if constexpr (act == pass_relu) sum = sum > T(0) ? sum : Simd<T>{};
                     store(sums + row * stride + column, sum);
                 }));
        if constexpr (act == pass_own)
            activations.pass(i, *this, tile).apply([=](int row, int64_t column, Simd<T> above, Simd<T> below) {
                store(output + row * stride + column, above);
                store(output + (row + 1) * stride + column, below);
            });
    }

    // Takes the gradients of the values from where forward left the values. Replaces the output of every other layer by
    // its gradient, and the features too if `wants_input_gradient`. Adds the gradients of weights and biases to `sums`.
    template <ActivationPass act>
    void backward(T* features, const Tile& tile, T* sums, bool wants_input_gradient) const {
        sums += gradients;
        for (int i = last(); i >= 0; --i) {
            const int64_t stride = input_stride[i];
            T* input = i ? tile.output[i - 1] : features;
            const T* grad = tile.output[i];
            sums -= output_stride[i];
            if (biased[i]) add_rows(grad, output_stride[i], padded(outputs[i]), sums);
            sums -= outputs[i] * stride;
            multiply(outputs[i], simd_count<T>(inputs[i]), TILE, MatrixView<T>{grad, 1, output_stride[i]}, input,
                     stride, each_vector([=](int row, int column, Simd<T> sum) {
                         T* to = sums + row * stride + column;
                         store(to, load<Simd<T>>(to) + sum);
                     }));
            if (i == 0 && !wants_input_gradient) return;
            const MatrixView<T> rows = {grad, output_stride[i], 1};
            const int64_t hidden = hidden_inputs(i);
            const int wanted = wants_input_gradient ? inputs[i] : int(hidden < inputs[i] ? hidden : inputs[i]);
            multiply(TILE, simd_count<T>(wanted), outputs[i], rows, weight[i], stride,
                     each_vector([=](int row, int column, Simd<T> sum) {
                         T* at = input + row * stride + column;
                         if (act == pass_relu && i > 0 && column < hidden)
                             sum = load<Simd<T>>(at) > T(0) ? sum : Simd<T>{};
                         store(at, sum);
                     }));
            if (i == 0 && skip) add_skipped(tile.output[skip - 1], features);
            if constexpr (act == pass_own)
                if (i > 0)
                    activations.pass(i - 1, *this, tile)
                        .backward(input, [=](int row, int64_t column, Simd<T> above, Simd<T> below) {
                            store(input + row * stride + column, above);
                            store(input + (row + 1) * stride + column, below);
                        });
        }
    }

private:
    // Adds the gradients that the skip connection left behind those of its hidden values.
    void add_skipped(const T* rows, T* features) const {
        const int64_t stride = input_stride[skip], begin = hidden_inputs(skip);
        for (int row = 0; row < TILE; ++row)
            for (int64_t k = 0; k < input_stride[0]; k += WIDTH<T>) {
                T* to = features + row * input_stride[0] + k;
                store(to, load<Simd<T>>(to) + load<Simd<T>>(rows + row * stride + begin + k));
            }
    }
};

}  // namespace fs::FS_ISA
