// The MLP as an operation of its own on the CPU, chunk by chunk of the batch.
#include "mlp.h"

#include "network.h"

namespace fs::FS_ISA {
namespace {

template <class Net>
struct Pass {
    using T = typename Net::Number;
    const MlpCall& call;
    Net net{call.mlp};
    Chunks chunks{call.points, CHUNK, net.max_chunks()};
    int inputs = net.inputs[0], outputs = net.outputs[net.last()];

    // Copies a tile's features, padded with zeros: rows to TILE, columns to a multiple of the SIMD width.
    T* features_of(int64_t first, int points) const {
        const int64_t stride = net.input_stride[0];
        T* rows = static_cast<T*>(scratch(features_slot, size_t(TILE * stride) * sizeof(T)));
        const T* from = static_cast<const T*>(call.features) + first * inputs;
        for (int p = 0; p < points; ++p, from += inputs) {
            for (int k = 0; k < inputs; ++k) rows[p * stride + k] = from[k];
            for (int64_t k = inputs; k < stride; ++k) rows[p * stride + k] = T(0);
        }
        for (int64_t i = points * stride; i < TILE * stride; ++i) rows[i] = T(0);
        return rows;
    }

    void forward_chunk(int chunk) const {
        auto tile = net.tile();
        chunks.for_each_part(chunk, TILE, [&](int64_t first, int points) {
            net.place(tile, first, points);
            const T* values = forward_tile(net, features_of(first, points), tile);
            T* to = static_cast<T*>(call.values) + first * outputs;
            for (int p = 0; p < points; ++p)
                for (int c = 0; c < outputs; ++c) to[p * outputs + c] = values[p * net.values_stride() + c];
        });
    }

    void backward_chunk(int chunk, T* sums) const {
        auto tile = net.tile();
        const int64_t stride = net.values_stride();
        for (int64_t i = 0; i < net.gradients; ++i) sums[i] = T(0);
        chunks.for_each_part(chunk, TILE, [&](int64_t first, int points) {
            net.place(tile, first, points);
            T* features = features_of(first, points);
            T* grad = forward_tile(net, features, tile);
            load_gradient(static_cast<const T*>(call.grad) + first * outputs, points, outputs, grad, stride);
            backward_tile(net, features, tile, sums, call.grad_features);
            if (!call.grad_features) return;
            T* to = static_cast<T*>(call.grad_features) + first * inputs;
            for (int p = 0; p < points; ++p)
                for (int k = 0; k < inputs; ++k) to[p * inputs + k] = features[p * net.input_stride[0] + k];
        });
    }

    void forward() {
        prepare(call.mlp, net, 0);
        advise_huge_pages(call.values, size_t(call.points * outputs) * sizeof(T));
        parallel_for(chunks.count, call.num_threads, [this](int chunk) { forward_chunk(chunk); });
    }

    void backward() {
        T* sums = prepare(call.mlp, net, chunks.count);
        if (call.grad_features) advise_huge_pages(call.grad_features, size_t(call.points * inputs) * sizeof(T));
        parallel_for(chunks.count, call.num_threads,
                     [this, sums](int chunk) { backward_chunk(chunk, sums + chunk * net.gradients); });
        add_gradients(call.mlp, net, sums, chunks.count, call.num_threads);
    }
};

}  // namespace

void mlp_forward(const MlpCall& call) {
    with_network(call.mlp, [&](auto type) { Pass<typename decltype(type)::Net>{call}.forward(); });
}

void mlp_backward(const MlpCall& call) {
    with_network(call.mlp, [&](auto type) { Pass<typename decltype(type)::Net>{call}.backward(); });
}

}  // namespace fs::FS_ISA

#if defined(FS_EXPORTS)
FS_API void fs_mlp_forward(const fs::MlpCall* call) { FS_CALL_MATMUL(call->mlp.matmul_dtype, mlp_forward, *call); }
FS_API void fs_mlp_backward(const fs::MlpCall* call) { FS_CALL_MATMUL(call->mlp.matmul_dtype, mlp_backward, *call); }
#endif
