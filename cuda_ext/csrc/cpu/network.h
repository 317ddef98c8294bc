// Selects the MLP for a call at compile time: type of its values and of the matrix products, and activation.
#pragma once

#include "mlp_tile_quadratic.h"

#if defined(FS_BFLOAT16)
#include "mlp_tile_bfloat16.h"
#endif

namespace fs::FS_ISA {
namespace {

template <class T, ActivationPass activation_pass>
struct Kind {
    using Number = T;
#if defined(FS_BFLOAT16)
    using Net = Bfloat16Network;
#else
    using Net = Network<T>;
#endif
    static constexpr ActivationPass act = activation_pass;
};

#if !defined(FS_BFLOAT16)
template <class T>
struct QuadraticKind {
    using Number = T;
    using Net = QuadraticNetwork<T>;
    static constexpr ActivationPass act = pass_own;
};
#endif

template <class T, class Action>
void with_activation(const MlpRecord& mlp, const Action& action) {
#if !defined(FS_BFLOAT16)
    if (mlp.activation == activation_quadratic) return action(QuadraticKind<T>());
#endif
    switch (pass_of(mlp)) {
        case pass_relu: return action(Kind<T, pass_relu>());
        case pass_own: return action(Kind<T, pass_own>());
        default: return action(Kind<T, pass_none>());
    }
}

// Calls action(Kind) for the kind of the call.
template <class Action>
void with_kind(const MlpRecord& mlp, const Action& action) {
#if !defined(FS_BFLOAT16)
    if (mlp.is_double) return with_activation<double>(mlp, action);
#endif
    with_activation<float>(mlp, action);
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
