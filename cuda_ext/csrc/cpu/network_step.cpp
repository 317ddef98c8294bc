// Encoding, network, loss and backward pass of a tile, whose values stay in the near caches.
#include "network_step.h"

#include "network.h"
#include "point_loss.h"

namespace fs::FS_ISA {
namespace {

constexpr int MAX_DIMENSIONS = 4;
// Points of a chunk, and the most chunks: their sums of gradients are most of the memory of a step. A small batch has
// smaller chunks, so that there are some for several threads.
constexpr int STEP_CHUNK = 1024, MIN_STEP_CHUNK = 2 * TILE, MAX_STEP_CHUNKS = 16;
constexpr int64_t step_chunk(int64_t points) {
    const int64_t quarter = points / 4;
    return quarter < MIN_STEP_CHUNK ? MIN_STEP_CHUNK : quarter > STEP_CHUNK ? STEP_CHUNK : quarter;
}

// Slot of scratch memory: the matrix of the encoding with its columns one after the other.
enum { encoding_slot = 5 };

struct Encoder {
    const NetworkStepCall& call;
    int64_t stride;  // of a column of the matrix
    float* columns;  // [dimensions, stride]

    explicit Encoder(const NetworkStepCall& call) : call(call), stride(padded(call.frequencies)) {
        const size_t numbers = size_t(call.dimensions * stride);
        columns = static_cast<float*>(scratch(encoding_slot, (numbers + 16) * sizeof(float)));
        for (int d = 0; d < call.dimensions; ++d)
            for (int64_t f = 0; f < stride; ++f)
                columns[d * stride + f] = f < call.frequencies ? call.matrix[f * call.dimensions + d] : 0.0f;
    }

    // Writes the features of points from `first` on to rows of `row_stride` values.
    void encode(int64_t first, int count, float* rows, int64_t row_stride, int inputs) const {
        const float scale = float(call.input_scale), offset = float(call.input_offset);
        const int dimensions = call.dimensions;
        for (int p = 0; p < count; ++p) {
            const float* from = call.coords + (first + p) * dimensions;
            float* row = rows + p * row_stride;
            float x[MAX_DIMENSIONS];
            for (int d = 0; d < dimensions; ++d) x[d] = from[d] * scale + offset;
            if (call.encoding != input_fourier)
                for (int d = 0; d < dimensions; ++d) row[d] = x[d];
            if (call.encoding != input_coords) waves(x, row);
            for (int64_t k = inputs; k < row_stride; ++k) row[k] = 0.0f;
        }
        for (int64_t i = count * row_stride; i < TILE * row_stride; ++i) rows[i] = 0.0f;
    }

private:
    void waves(const float* x, float* row) const {
        float* sines = call.encoding == input_octaves ? row + call.dimensions : row + call.frequencies;
        float* cosines = call.encoding == input_octaves ? sines + call.frequencies : row;
        float sine_values[WIDTH<float>], cosine_values[WIDTH<float>];
        for (int f = 0; f < call.frequencies; f += WIDTH<float>) {
            Floats phase = {};
            for (int d = 0; d < call.dimensions; ++d)
                phase = multiply_add(broadcast(x[d]), load<Floats>(columns + d * stride + f), phase);
            Floats sine, cosine;
            sine_and_cosine(phase, sine, cosine);
            if (f + WIDTH<float> <= call.frequencies) {
                store(sines + f, sine);
                store(cosines + f, cosine);
                continue;
            }
            store(sine_values, sine);
            store(cosine_values, cosine);
            for (int i = 0; f + i < call.frequencies; ++i) {
                sines[f + i] = sine_values[i];
                cosines[f + i] = cosine_values[i];
            }
        }
    }
};

template <class Net>
struct Step {
    const NetworkStepCall& call;
    Net net{call.mlp};
    Chunks chunks{call.points, step_chunk(call.points), net.max_chunks(MAX_STEP_CHUNKS)};
    int inputs = net.inputs[0], outputs = net.outputs[net.last()];

    double chunk_gradients(int chunk, const Encoder& encoder, float* sums) const {
        const PointLoss<float> loss(call.loss, call.targets, call.sample_weights, call.points, outputs,
                                    call.value_scale, call.value_offset, call.sigmoid);
        auto tile = net.tile();
        const int64_t stride = net.input_stride[0];
        float* features = static_cast<float*>(scratch(features_slot, size_t(TILE * stride) * sizeof(float)));
        for (int64_t i = 0; i < net.gradients; ++i) sums[i] = 0.0f;
        double total = 0.0;
        chunks.for_each_part(chunk, TILE, [&](int64_t first, int count) {
            net.place(tile, first, count);
            encoder.encode(first, count, features, stride, inputs);
            float* values = forward_tile(net, features, tile);
            total += loss.gradient(first, count, values, net.values_stride());
            backward_tile(net, features, tile, sums, false);
        });
        return total;
    }

    void run() {
        float* sums = prepare(call.mlp, net, chunks.count);
        const Encoder encoder(call);
        double losses[MAX_STEP_CHUNKS] = {};
        parallel_for(chunks.count, call.num_threads,
                     [&](int chunk) { losses[chunk] = chunk_gradients(chunk, encoder, sums + chunk * net.gradients); });
        add_gradients(call.mlp, net, sums, chunks.count, call.num_threads);
        const PointLoss<float> loss(call.loss, call.targets, call.sample_weights, call.points, outputs);
        *call.loss_value = loss.mean(losses, chunks.count);
    }
};

}  // namespace

void network_gradients(const NetworkStepCall& call) {
    with_float_network(call.mlp, [&](auto type) { Step<typename decltype(type)::Net>{call}.run(); });
}

}  // namespace fs::FS_ISA

#if defined(FS_EXPORTS)
FS_API void fs_network_gradients(const fs::NetworkStepCall* call) {
    FS_CALL_MATMUL(call->mlp.matmul_dtype, network_gradients, *call);
}
#endif
