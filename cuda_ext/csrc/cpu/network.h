// Selects the MLP for a call at compile time, by the type of its values and of the matrix products.
#pragma once

#include "mlp_tile_quadratic.h"

#if defined(FS_BFLOAT16)
#include "mlp_tile_bfloat16.h"
#endif

namespace fs::FS_ISA {

// `forward` and `backward` of a network, with the activation that it has. They are most of the code of every operation
// on networks, so that network_float.cpp and network_double.cpp compile them once for all operations.
template <class Net>
typename Net::Number* forward_tile(const Net& net, const typename Net::Number* features,
                                   const typename Net::Tile& tile);
template <class Net>
void backward_tile(const Net& net, typename Net::Number* features, const typename Net::Tile& tile,
                   typename Net::Number* sums, bool wants_input_gradient);

namespace {

template <class AnyNet>
struct NetworkType {
    using Net = AnyNet;
};

// Calls action(NetworkType) with the type of the network of a call whose arrays are float32.
template <class Action>
void with_float_network([[maybe_unused]] const MlpRecord& mlp, const Action& action) {
#if defined(FS_BFLOAT16)
    action(NetworkType<Bfloat16Network>());
#else
    if (mlp.activation == activation_quadratic) return action(NetworkType<QuadraticNetwork<float>>());
    action(NetworkType<Network<float>>());
#endif
}

// The same for a call whose arrays are float32 or float64.
template <class Action>
void with_network(const MlpRecord& mlp, const Action& action) {
#if !defined(FS_BFLOAT16)
    if (mlp.is_double && mlp.activation == activation_quadratic) return action(NetworkType<QuadraticNetwork<double>>());
    if (mlp.is_double) return action(NetworkType<Network<double>>());
#endif
    with_float_network(mlp, action);
}

// Copies the weights in the layout that the matrix products need, and returns room for `sums` sums of gradients behind
// the copies, which each chunk clears for itself.
template <class Net>
typename Net::Number* prepare(const MlpRecord& mlp, Net& net, int sums) {
    using T = typename Net::Number;
    const size_t copies = (net.bytes() + 63) / 64 * 64;
    char* memory = static_cast<char*>(scratch(network_slot, copies + size_t(sums * net.gradients) * sizeof(T)));
    net.copy_weights(mlp, memory);
    return reinterpret_cast<T*>(memory + copies);
}

}  // namespace
}  // namespace fs::FS_ISA
