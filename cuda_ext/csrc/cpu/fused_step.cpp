// The hash grid and its MLP in one pass on the CPU. The activations of a tile stay in the first- and second-level cache
// and are replaced by their gradients. Only the gradients of the features are stored for the whole batch, so that each
// level of the table can be scattered by one thread afterwards.
#include "fused_step.h"

#include "network.h"
#include "point_loss.h"

namespace fs::FS_ISA {
namespace {

template <class Net>
struct Step {
    using T = typename Net::Number;
    const StepCall& call;
    Net net{call.mlp};
    int64_t points = call.grid.points;
    Chunks chunks{points};
    int outputs = net.outputs[net.last()];
    // One cache line more than the points, so that not all levels begin in the same cache set.
    int64_t saved_stride = (points + TILE - 1) / TILE * TILE + 16;

    // The features of a grid tile, in scratch memory of the thread. Rows up to a multiple of TILE and columns up to a
    // multiple of the SIMD width are zeros.
    T* features_of(int64_t first, int count) const {
        const int64_t stride = net.input_stride[0];
        T* rows = static_cast<T*>(scratch(features_slot, size_t(GRID_TILE * stride) * sizeof(T)));
        const int whole = (count + TILE - 1) / TILE * TILE;
        for (int p = 0; p < whole; ++p)
            for (int64_t k = p < count ? net.inputs[0] : 0; k < stride; ++k) rows[p * stride + k] = T(0);
        encode_tile(call.grid, first, count, rows, stride);
        return rows;
    }

    void forward_chunk(int chunk) const {
        const auto tile = net.tile();
        chunks.for_each_part(chunk, GRID_TILE, [&](int64_t first, int count) {
            T* features = features_of(first, count);
            for (int b = 0; b < count; b += TILE) {
                const T* values = forward_tile(net, features + b * net.input_stride[0], tile);
                T* to = static_cast<T*>(call.values) + (first + b) * outputs;
                for (int p = 0; p < TILE && b + p < count; ++p)
                    for (int c = 0; c < outputs; ++c) to[p * outputs + c] = values[p * net.values_stride() + c];
            }
        });
    }

    // gradient(first, points, rows) replaces a tile's values by their gradients.
    template <class Gradient>
    void backward_chunk(int chunk, T* sums, const SavedGradient& saved, const Gradient& gradient) const {
        const auto tile = net.tile();
        const bool wants_input_gradient = call.grid.grad_table || call.grid.grad_coords;
        for (int64_t i = 0; i < net.gradients; ++i) sums[i] = T(0);
        chunks.for_each_part(chunk, GRID_TILE, [&](int64_t first, int count) {
            const int64_t stride = net.input_stride[0];
            T* features = features_of(first, count);
            for (int b = 0; b < count; b += TILE) {
                T* rows = features + b * stride;
                T* values = forward_tile(net, rows, tile);
                gradient(first + b, count - b < TILE ? count - b : TILE, values);
                backward_tile(net, rows, tile, sums, wants_input_gradient);
            }
            if (call.grid.grad_coords) tile_coords_gradient(call.grid, first, count, features, stride);
            if (call.grid.grad_table) save_tile_gradient(call.grid, first, count, features, stride, saved);
        });
    }

    // gradient_of(chunk) returns the `gradient` function for backward_chunk.
    template <class GradientOf>
    void gradients_of(const GradientOf& gradient_of) {
        T* sums = prepare(call.mlp, net, chunks.count);
        SavedGradient saved = {};
        const int levels = call.grid.levels;
        if (call.grid.grad_table) {
            const int64_t rows = call.grid.dimensions + int64_t(levels) * call.grid.features;
            T* memory = static_cast<T*>(scratch(saved_slot, size_t(rows * saved_stride) * sizeof(T)));
            saved = {memory, memory + call.grid.dimensions * saved_stride, saved_stride};
        }
        parallel_for(chunks.count, call.grid.num_threads, [&](int chunk) {
            backward_chunk(chunk, sums + chunk * net.gradients, saved, gradient_of(chunk));
        });
        // The finest levels first, because they take longest.
        if (call.grid.grad_table)
            parallel_for(levels, call.grid.num_threads,
                         [&](int i) { scatter_saved_level(call.grid, levels - 1 - i, saved); });
        add_gradients(call.mlp, net, sums, chunks.count, call.grid.num_threads);
    }

    void values() {
        prepare(call.mlp, net, 0);
        parallel_for(chunks.count, call.grid.num_threads, [this](int chunk) { forward_chunk(chunk); });
    }

    void backward() {
        gradients_of([this](int) {
            return [this](int64_t first, int count, T* values) {
                load_gradient(static_cast<const T*>(call.grad) + first * outputs, count, outputs, values,
                              net.values_stride());
            };
        });
    }

    void step() {
        const PointLoss<T> loss(call.loss, call.targets, call.sample_weights, points, outputs);
        double losses[MAX_CHUNKS] = {};
        gradients_of([&](int chunk) {
            return [&, chunk](int64_t first, int count, T* values) {
                losses[chunk] += loss.gradient(first, count, values, net.values_stride());
            };
        });
        *call.loss_value = loss.mean(losses, chunks.count);
    }
};

template <class Action>
void with_step(const StepCall& call, const Action& action) {
    with_network(call.mlp, [&](auto type) { action(Step<typename decltype(type)::Net>{call}); });
}

}  // namespace

void grid_mlp_forward(const StepCall& call) {
    with_step(call, [](auto step) { step.values(); });
}

void grid_mlp_backward(const StepCall& call) {
    with_step(call, [](auto step) { step.backward(); });
}

void grid_mlp_gradients(const StepCall& call) {
    with_step(call, [](auto step) { step.step(); });
}

}  // namespace fs::FS_ISA

#if defined(FS_EXPORTS)
FS_API void fs_grid_mlp_forward(const fs::StepCall* call) {
    FS_CALL_MATMUL(call->mlp.matmul_dtype, grid_mlp_forward, *call);
}
FS_API void fs_grid_mlp_backward(const fs::StepCall* call) {
    FS_CALL_MATMUL(call->mlp.matmul_dtype, grid_mlp_backward, *call);
}
FS_API void fs_grid_mlp_gradients(const fs::StepCall* call) {
    FS_CALL_MATMUL(call->mlp.matmul_dtype, grid_mlp_gradients, *call);
}
#endif
