// The MLP that a call asks for, chosen at compile time: type of its numbers and products, and activation.
#pragma once

#include "mlp_tile.h"

#if defined(FS_BFLOAT16)
#include "mlp_tile_bfloat16.h"
#endif

namespace fs::FS_ISA {
namespace {

template <class T, Activation activation>
struct Kind {
    using Number = T;
#if defined(FS_BFLOAT16)
    using Net = Bfloat16Network;
#else
    using Net = Network<T>;
#endif
    static constexpr Activation act = activation;
};

template <class T, class Action>
void with_activation(const MlpRecord& mlp, const Action& action) {
    switch (mlp.activation) {
        case activation_relu: return action(Kind<T, activation_relu>());
        case activation_sine: return action(Kind<T, activation_sine>());
        default: return action(Kind<T, activation_none>());
    }
}

// action(Kind) of what the call asks for.
template <class Action>
void with_kind(const MlpRecord& mlp, const Action& action) {
#if !defined(FS_BFLOAT16)
    if (mlp.is_double) return with_activation<double>(mlp, action);
#endif
    with_activation<float>(mlp, action);
}

// Copies of the weights as the products want them, then room for `sums` sums of gradients, which the chunks clear.
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
