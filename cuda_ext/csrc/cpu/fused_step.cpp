// The grid and its MLP in one pass. Activations of a tile stay in the near caches and are replaced by their gradients;
// the one thing that is kept for the whole batch is the gradient of the features, so that afterwards each level of the
// table can be scattered by one thread. The batch is cut into chunks by its size alone, and their sums are added in
// order: the result does not depend on the number of threads.
#include "fused_step.h"

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

// The matrices as the products want them: rows padded with zeros to whole packs, both ways round.
struct Network {
    int matrices;
    int inputs[MOST_MATRICES], outputs[MOST_MATRICES];
    int64_t input_stride[MOST_MATRICES], output_stride[MOST_MATRICES];
    const float* weight[MOST_MATRICES];     // [outputs, input_stride]
    const float* transpose[MOST_MATRICES];  // [inputs, output_stride]
    int64_t numbers;                        // of all weights, padded: those of one sum of gradients

    int64_t widest() const {
        int64_t most = 0;
        for (int i = 0; i < matrices; ++i) most = output_stride[i] > most ? output_stride[i] : most;
        return most;
    }
};

Network describe(const StepCall& call) {
    Network net;
    net.matrices = call.matrices;
    net.numbers = 0;
    for (int i = 0; i < net.matrices; ++i) {
        net.inputs[i] = call.sizes[i];
        net.outputs[i] = call.sizes[i + 1];
        net.input_stride[i] = padded(net.inputs[i]);
        net.output_stride[i] = padded(net.outputs[i]);
        net.numbers += net.outputs[i] * net.input_stride[i];
    }
    return net;
}

int64_t copied_numbers(const Network& net) {
    int64_t total = 0;
    for (int i = 0; i < net.matrices; ++i)
        total += net.outputs[i] * net.input_stride[i] + net.inputs[i] * net.output_stride[i];
    return total;
}

void copy_weights(const StepCall& call, Network& net, float* to) {
    for (int i = 0; i < net.matrices; ++i) {
        const int64_t in = net.input_stride[i], out = net.output_stride[i];
        float* weight = to;
        float* transpose = weight + net.outputs[i] * in;
        to = transpose + net.inputs[i] * out;
        for (float* number = weight; number < to; ++number) *number = 0.0f;
        for (int o = 0; o < net.outputs[i]; ++o) {
            for (int k = 0; k < net.inputs[i]; ++k) {
                weight[o * in + k] = call.weight[i][o * net.inputs[i] + k];
                transpose[k * out + o] = weight[o * in + k];
            }
        }
        net.weight[i] = weight;
        net.transpose[i] = transpose;
    }
}

// What a thread keeps of a tile: the output of every layer, and for sines the slope at every hidden unit.
struct Activations {
    float* output[MOST_MATRICES];
    float* slope[MOST_MATRICES];
};

Activations tile_memory(const Network& net) {
    Activations tile;
    const int64_t size = TILE * net.widest();
    float* memory = static_cast<float*>(scratch(tile_slot, size_t(2 * MOST_MATRICES * size) * sizeof(float)));
    for (int i = 0; i < MOST_MATRICES; ++i) {
        tile.output[i] = memory + 2 * i * size;
        tile.slope[i] = tile.output[i] + size;
    }
    return tile;
}

// One tile forward: features are rows of `net.input_stride[0]` numbers.
template <Activation activation>
void forward(const Network& net, float omega, const float* features, const Activations& tile) {
    const float* input = features;
    for (int i = 0; i < net.matrices; ++i) {
        const int64_t stride = net.output_stride[i];
        float* output = tile.output[i];
        float* slope = tile.slope[i];
        const Factor rows = {input, net.input_stride[i], 1};
        if (i + 1 == net.matrices || activation == activation_none) {
            multiply(TILE, whole_packs(net.outputs[i]), net.inputs[i], rows, net.transpose[i], stride,
                     [=](int row, int column, Floats sum) { store(output + row * stride + column, sum); });
        } else if (activation == activation_relu) {
            multiply(TILE, whole_packs(net.outputs[i]), net.inputs[i], rows, net.transpose[i], stride,
                     [=](int row, int column, Floats sum) {
                         store(output + row * stride + column, sum > 0.0f ? sum : Floats{});
                     });
        } else {
            multiply(TILE, whole_packs(net.outputs[i]), net.inputs[i], rows, net.transpose[i], stride,
                     [=](int row, int column, Floats sum) {
                         Floats sine, cosine;
                         sine_and_cosine(sum * omega, sine, cosine);
                         store(output + row * stride + column, sine);
                         store(slope + row * stride + column, cosine * omega);
                     });
        }
        input = output;
    }
}

// And back: the output of the last layer has been replaced by its gradient; so is that of every other, and the features
// in the end. Gradients of the weights are added to `sums`.
template <Activation activation>
void backward(const Network& net, float* features, const Activations& tile, float* sums) {
    sums += net.numbers;
    for (int i = net.matrices - 1; i >= 0; --i) {
        const int64_t stride = net.input_stride[i];
        float* input = i ? tile.output[i - 1] : features;
        const float* slope = i ? tile.slope[i - 1] : nullptr;
        const float* grad = tile.output[i];
        sums -= net.outputs[i] * stride;
        multiply(net.outputs[i], whole_packs(net.inputs[i]), TILE, {grad, 1, net.output_stride[i]}, input, stride,
                 [=](int row, int column, Floats sum) {
                     float* to = sums + row * stride + column;
                     store(to, load<Floats>(to) + sum);
                 });
        const Factor rows = {grad, net.output_stride[i], 1};
        if (i == 0 || activation == activation_none) {
            multiply(TILE, whole_packs(net.inputs[i]), net.outputs[i], rows, net.weight[i], stride,
                     [=](int row, int column, Floats sum) { store(input + row * stride + column, sum); });
        } else if (activation == activation_relu) {
            multiply(TILE, whole_packs(net.inputs[i]), net.outputs[i], rows, net.weight[i], stride,
                     [=](int row, int column, Floats sum) {
                         float* at = input + row * stride + column;
                         store(at, load<Floats>(at) > 0.0f ? sum : Floats{});
                     });
        } else {
            multiply(TILE, whole_packs(net.inputs[i]), net.outputs[i], rows, net.weight[i], stride,
                     [=](int row, int column, Floats sum) {
                         const int64_t at = row * stride + column;
                         store(input + at, sum * load<Floats>(slope + at));
                     });
        }
    }
}

// A value's share of the loss, and its derivative.
inline float loss_of(int32_t kind, float value, float target, float& slope) {
    const float error = value - target;
    if (kind == loss_l1) {
        slope = error > 0.0f ? 1.0f : error < 0.0f ? -1.0f : 0.0f;
        return error * slope;
    }
    // Relative: by the squared value, which is not differentiated (Müller et al. 2022, section 5.2).
    const float scale = kind == loss_l2 ? 1.0f : 1.0f / (value * value + 0.01f);
    slope = 2.0f * error * scale;
    return error * error * scale;
}

// Replaces the values of a tile by the gradients of the loss; rows beyond `points` by zeros. Gives the sum of losses.
double loss_and_gradient(const StepCall& call, int64_t first, int points, float* values, int64_t stride) {
    const int outputs = call.sizes[call.matrices];
    const float mean = float(1.0 / (double(call.grid.points) * outputs));
    double total = 0.0;
    for (int p = 0; p < points; ++p) {
        const float weight = call.sample_weights ? call.sample_weights[first + p] : 1.0f;
        float sum = 0.0f;
        for (int c = 0; c < outputs; ++c) {
            float slope;
            sum += loss_of(call.loss, values[p * stride + c], call.targets[(first + p) * outputs + c], slope);
            values[p * stride + c] = slope * weight * mean;
        }
        total += double(sum * weight);
    }
    for (int64_t i = points * stride; i < TILE * stride; ++i) values[i] = 0.0f;
    return total;
}

template <Activation activation>
struct Step {
    const StepCall& call;
    Network net;
    int64_t points = call.grid.points;
    int chunks = int(points / CHUNK < 1 ? 1 : points / CHUNK > MOST_CHUNKS ? MOST_CHUNKS : points / CHUNK);
    int64_t chunk_points = ((points + chunks - 1) / chunks + TILE - 1) / TILE * TILE;
    // A line more than the points, lest every level begins at the same place of the cache.
    int64_t kept_stride = (points + TILE - 1) / TILE * TILE + 16;

    // Calls action(first, points) for each of a chunk's tiles of the grid.
    template <class Action>
    void each_grid_tile(int chunk, const Action& action) const {
        const int64_t begin = chunk * chunk_points, end = begin + chunk_points < points ? begin + chunk_points : points;
        for (int64_t first = begin; first < end; first += GRID_TILE)
            action(first, int(end - first < GRID_TILE ? end - first : GRID_TILE));
    }

    // The features of a grid tile, in memory of the thread; rows to whole tiles, and columns to whole packs, are zeros.
    float* features_of(int64_t first, int count) const {
        const int64_t stride = net.input_stride[0];
        float* rows = static_cast<float*>(scratch(features_slot, size_t(GRID_TILE * stride) * sizeof(float)));
        const int whole = (count + TILE - 1) / TILE * TILE;
        for (int p = 0; p < whole; ++p)
            for (int64_t k = p < count ? net.inputs[0] : 0; k < stride; ++k) rows[p * stride + k] = 0.0f;
        encode_tile(call.grid, first, count, rows, stride);
        return rows;
    }

    void forward_chunk(int chunk) const {
        const Activations tile = tile_memory(net);
        const int last = net.matrices - 1, outputs = net.outputs[last];
        each_grid_tile(chunk, [&](int64_t first, int count) {
            float* features = features_of(first, count);
            for (int b = 0; b < count; b += TILE) {
                forward<activation>(net, call.omega, features + b * net.input_stride[0], tile);
                for (int p = 0; p < TILE && b + p < count; ++p)
                    for (int c = 0; c < outputs; ++c)
                        call.values[(first + b + p) * outputs + c] = tile.output[last][p * net.output_stride[last] + c];
            }
        });
    }

    double gradients_of_chunk(int chunk, float* sums, const TableGradient& kept) const {
        const Activations tile = tile_memory(net);
        const int last = net.matrices - 1;
        double loss = 0.0;
        for (int64_t i = 0; i < net.numbers; ++i) sums[i] = 0.0f;
        each_grid_tile(chunk, [&](int64_t first, int count) {
            const int64_t stride = net.input_stride[0];
            float* features = features_of(first, count);
            for (int b = 0; b < count; b += TILE) {
                float* rows = features + b * stride;
                forward<activation>(net, call.omega, rows, tile);
                loss += loss_and_gradient(call, first + b, count - b < TILE ? count - b : TILE, tile.output[last],
                                          net.output_stride[last]);
                backward<activation>(net, rows, tile, sums);
            }
            keep_tile_gradient(call.grid, first, count, features, stride, kept);
        });
        return loss;
    }

    float* prepare(int sums) {
        const int64_t copies = copied_numbers(net);
        float* memory = static_cast<float*>(scratch(network_slot, size_t(copies + sums * net.numbers) * sizeof(float)));
        copy_weights(call, net, memory);
        return memory + copies;
    }

    void values() {
        prepare(0);
        for_each(chunks, call.grid.workers, [this](int chunk) { forward_chunk(chunk); });
    }

    void gradients() {
        float* sums = prepare(chunks);
        double losses[MOST_CHUNKS];
        const int levels = call.grid.levels;
        const int64_t rows = call.grid.dimensions + int64_t(levels) * call.grid.features;
        float* memory = static_cast<float*>(scratch(kept_slot, size_t(rows * kept_stride) * sizeof(float)));
        const TableGradient kept = {memory, memory + call.grid.dimensions * kept_stride, kept_stride};

        for_each(chunks, call.grid.workers, [&](int chunk) {
            losses[chunk] = gradients_of_chunk(chunk, sums + chunk * net.numbers, kept);
        });
        // The finest levels first: they take longest.
        for_each(levels, call.grid.workers, [&](int i) { scatter_kept_level(call.grid, levels - 1 - i, kept); });

        double total = 0.0;
        for (int chunk = 0; chunk < chunks; ++chunk) total += losses[chunk];
        *call.loss_value = points ? total / (double(points) * net.outputs[net.matrices - 1]) : 0.0;
        add_sums(sums);
    }

    void add_sums(const float* sums) const {
        for (int i = 0; i < net.matrices; ++i) {
            const int64_t stride = net.input_stride[i];
            for (int o = 0; o < net.outputs[i]; ++o) {
                for (int k = 0; k < net.inputs[i]; ++k) {
                    float total = 0.0f;
                    for (int chunk = 0; chunk < chunks; ++chunk) total += sums[chunk * net.numbers + o * stride + k];
                    call.grad_weight[i][o * net.inputs[i] + k] = total;
                }
            }
            sums += net.outputs[i] * stride;
        }
    }
};

template <class Action>
void with_step(const StepCall& call, const Action& action) {
    const Network net = describe(call);
    switch (call.activation) {
        case activation_relu: return action(Step<activation_relu>{call, net});
        case activation_sine: return action(Step<activation_sine>{call, net});
        default: return action(Step<activation_none>{call, net});
    }
}

}  // namespace

void grid_mlp_forward(const StepCall& call) {
    with_step(call, [](auto step) { step.values(); });
}

void grid_mlp_gradients(const StepCall& call) {
    with_step(call, [](auto step) { step.gradients(); });
}

}  // namespace fs::FS_ISA
