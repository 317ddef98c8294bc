// The passes of a network over a tile, for the sources that compile them.
#pragma once

#include "network.h"

namespace fs::FS_ISA {

// Calls action(std::integral_constant<ActivationPass, ...>) with the pass of the network's activation.
template <class Net, class Action>
auto with_pass(const Net& net, const Action& action) {
    if constexpr (Net::has_activations) {
        switch (pass_of(*net.activations.mlp)) {
            case pass_relu: return action(std::integral_constant<ActivationPass, pass_relu>());
            case pass_none: return action(std::integral_constant<ActivationPass, pass_none>());
            default: break;
        }
    }
    return action(std::integral_constant<ActivationPass, pass_own>());
}

template <class Net>
typename Net::Number* forward_tile(const Net& net, const typename Net::Number* features,
                                   const typename Net::Tile& tile) {
    return with_pass(net, [&](auto act) { return net.template forward<decltype(act)::value>(features, tile); });
}

template <class Net>
void backward_tile(const Net& net, typename Net::Number* features, const typename Net::Tile& tile,
                   typename Net::Number* sums, bool wants_input_gradient) {
    with_pass(net, [&](auto act) {
        net.template backward<decltype(act)::value>(features, tile, sums, wants_input_gradient);
    });
}

}  // namespace fs::FS_ISA

#define FS_COMPILE_PASSES(Net)                                                                            \
    template typename Net::Number* fs::FS_ISA::forward_tile(const Net&, const typename Net::Number*,      \
                                                            const typename Net::Tile&);                   \
    template void fs::FS_ISA::backward_tile(const Net&, typename Net::Number*, const typename Net::Tile&, \
                                            typename Net::Number*, bool);
