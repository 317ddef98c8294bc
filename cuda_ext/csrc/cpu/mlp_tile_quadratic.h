// An MLP of quadratic layers on one tile of points, with the functions of `Network` in mlp_tile.h.
#pragma once

#include "mlp_tile.h"

namespace fs::FS_ISA {

// A hidden layer has three matrices: A and B multiply its input h, and C the squares of h.
template <class T>
struct QuadraticNetwork : MlpShape {
    using Number = T;
    static constexpr bool has_activations = false;
    int units[MAX_MATRICES];              // outputs of a layer
    int64_t stride[MAX_MATRICES];         // of rows of them
    const T* weight[MAX_MATRICES][3];     // [units, input_stride]
    const T* transpose[MAX_MATRICES][3];  // [inputs, stride]
    const T* bias[MAX_MATRICES][2];       // [stride]

    explicit QuadraticNetwork(const MlpRecord& mlp) : MlpShape(mlp) {
        for (int i = 0; i < matrices; ++i) {
            units[i] = mlp.sizes[i + 1];
            stride[i] = padded(units[i]);
        }
    }

    int parts(int i) const { return i < last() ? 3 : 1; }
    int64_t values_stride() const { return stride[last()]; }

    size_t bytes() const {
        int64_t numbers = 0;
        for (int i = 0; i < matrices; ++i)
            numbers += parts(i) * (units[i] * input_stride[i] + inputs[i] * stride[i]) + 2 * stride[i];
        return size_t(numbers) * sizeof(T);
    }

    void copy_weights(const MlpRecord& mlp, void* memory) {
        T* to = static_cast<T*>(memory);
        for (int64_t i = 0; i < int64_t(bytes() / sizeof(T)); ++i) to[i] = T(0);
        for (int i = 0; i < matrices; ++i) {
            const T* from = static_cast<const T*>(mlp.weight[i]);
            for (int part = 0; part < parts(i); ++part) {
                T *rows = to, *columns = rows + units[i] * input_stride[i];
                to = columns + inputs[i] * stride[i];
                for (int o = 0; o < units[i]; ++o, from += inputs[i])
                    for (int k = 0; k < inputs[i]; ++k)
                        rows[o * input_stride[i] + k] = columns[k * stride[i] + o] = from[k];
                weight[i][part] = rows;
                transpose[i][part] = columns;
            }
            for (int part = 0; part < 2; ++part, to += stride[i]) {
                bias[i][part] = to;
                for (int o = 0; biased[i] && part < parts(i) && o < units[i]; ++o)
                    to[o] = static_cast<const T*>(mlp.bias[i])[part * units[i] + o];
            }
        }
    }

    struct Tile {
        T* output[MAX_MATRICES];   // [TILE, stride]
        T* sums[MAX_MATRICES][2];  // A h + a and B h + b, [TILE, stride]
        T* squares;                // of a layer's input, [TILE, input_stride]
    };

    // As in `Network`. Quadratic layers are not modulated.
    void place(Tile&, int64_t, int) const {}

    Tile tile() const {
        Tile tile;
        int64_t numbers = 0, widest = 0;
        for (int i = 0; i < matrices; ++i) {
            numbers += 3 * stride[i];
            widest = input_stride[i] > widest ? input_stride[i] : widest;
        }
        T* memory = static_cast<T*>(scratch(tile_slot, size_t(TILE * (numbers + widest)) * sizeof(T)));
        for (int i = 0; i < matrices; ++i) {
            T** const parts[] = {&tile.output[i], &tile.sums[i][0], &tile.sums[i][1]};
            for (T** part : parts) {
                *part = memory;
                memory += TILE * stride[i];
            }
        }
        tile.squares = memory;
        return tile;
    }

    template <ActivationPass>
    T* forward(const T* features, const Tile& tile) const {
        const T* input = features;
        for (int i = 0; i < matrices; ++i) {
            const bool hidden = i < last();
            T* const outputs[] = {hidden ? tile.sums[i][0] : tile.output[i], tile.sums[i][1]};
            for (int part = 0; part < (hidden ? 2 : 1); ++part) linear(i, part, input, outputs[part]);
            if (hidden) {
                square(input, input_stride[i], tile.squares);
                const T *first = outputs[0], *second = outputs[1];
                T* to = tile.output[i];
                const int64_t step = stride[i];
                multiply(TILE, simd_count<T>(units[i]), inputs[i], MatrixView<T>{tile.squares, input_stride[i], 1},
                         transpose[i][2], step, each_vector([=](int row, int column, Simd<T> sum) {
                             const int64_t at = row * step + column;
                             sum = multiply_add(load<Simd<T>>(first + at), load<Simd<T>>(second + at), sum);
                             store(to + at, sum > T(0) ? sum : Simd<T>{});
                         }));
            }
            input = tile.output[i];
        }
        return tile.output[last()];
    }

    template <ActivationPass>
    void backward(T* features, const Tile& tile, T* sums, bool wants_input_gradient) const {
        sums += gradients;
        for (int i = last(); i >= 0; --i) {
            const int64_t in = input_stride[i], out = stride[i];
            T* input = i ? tile.output[i - 1] : features;
            const T* grad = tile.output[i];
            const bool hidden = i < last();
            // Gradients of the sums take each other's place.
            T *first = tile.sums[i][0], *second = tile.sums[i][1];
            for (int64_t at = 0; hidden && at < TILE * out; at += WIDTH<T>) {
                const Simd<T> g = load<Simd<T>>(grad + at), p = load<Simd<T>>(first + at);
                store(first + at, g * load<Simd<T>>(second + at));
                store(second + at, g * p);
            }
            const T* const grads[] = {hidden ? first : grad, second, grad};
            sums -= output_stride[i];
            if (biased[i])
                for (int part = 0; part < (hidden ? 2 : 1); ++part) add_bias(grads[part], i, sums + part * units[i]);
            sums -= outputs[i] * in;
            if (hidden) square(input, in, tile.squares);
            for (int part = 0; part < parts(i); ++part) {
                T* to = sums + part * units[i] * in;
                multiply(units[i], simd_count<T>(inputs[i]), TILE, MatrixView<T>{grads[part], 1, out},
                         part == 2 ? tile.squares : input, in, each_vector([=](int row, int column, Simd<T> sum) {
                             store(to + row * in + column, load<Simd<T>>(to + row * in + column) + sum);
                         }));
            }
            if (i == 0 && !wants_input_gradient) return;
            // The squares are no longer needed: the gradient of the input is summed in their place.
            T* total = tile.squares;
            for (int part = parts(i) - 1; part >= 0; --part)
                multiply(TILE, simd_count<T>(inputs[i]), units[i], MatrixView<T>{grads[part], out, 1}, weight[i][part],
                         in, each_vector([=](int row, int column, Simd<T> sum) {
                             T *at = total + row * in + column, *to = input + row * in + column;
                             const Simd<T> h = load<Simd<T>>(to);
                             if (part == 2) sum *= h + h;
                             if (part < 2 && hidden) sum += load<Simd<T>>(at);
                             if (part > 0) return store(at, sum);
                             if (i > 0) sum = h > T(0) ? sum : Simd<T>{};
                             store(to, sum);
                         }));
        }
    }

private:
    void linear(int i, int part, const T* input, T* to) const {
        const T* added = bias[i][part];
        const int64_t step = stride[i];
        multiply(TILE, simd_count<T>(units[i]), inputs[i], MatrixView<T>{input, input_stride[i], 1}, transpose[i][part],
                 step, each_vector([=](int row, int column, Simd<T> sum) {
                     store(to + row * step + column, sum + load<Simd<T>>(added + column));
                 }));
    }

    static void square(const T* from, int64_t stride, T* to) {
        for (int64_t at = 0; at < TILE * stride; at += WIDTH<T>) {
            const Simd<T> x = load<Simd<T>>(from + at);
            store(to + at, x * x);
        }
    }

    // Sums of gradients of a bias, which need not begin at a whole vector.
    void add_bias(const T* grad, int i, T* sums) const {
        for (int64_t column = 0; column < stride[i]; column += WIDTH<T>) {
            Simd<T> sum = {};
            for (int p = 0; p < TILE; ++p) sum += load<Simd<T>>(grad + p * stride[i] + column);
            for (int k = 0; k < WIDTH<T> && column + k < units[i]; ++k) sums[column + k] += sum[k];
        }
    }
};

}  // namespace fs::FS_ISA
