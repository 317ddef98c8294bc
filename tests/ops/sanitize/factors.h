// Random sums of products of grids; included by fuzz.cpp, whose random numbers it uses.
#pragma once

#include "../../../cuda_ext/csrc/common/factors.h"

extern "C" {
void fs_factor_grid_forward(const fs::FactorCall* call);
void fs_factor_grid_backward(const fs::FactorCall* call);
}

namespace {

template <class T>
void fuzz_factors() {
    fs::FactorCall call = {};
    call.dimensions = pick(1, 4);
    call.features = pick(1, 40);
    call.is_double = sizeof(T) == 8;
    call.workers = pick(1, 5);
    call.points = pick(0, 3) ? pick(0, 200) : pick(600, 3000);
    std::vector<fs::Ruler> rulers(size_t(pick(1, 5)));
    for (fs::Ruler& ruler : rulers) {
        const bool at_ends = pick(0, 1);
        ruler.axis = pick(0, call.dimensions - 1);
        ruler.nodes = pick(0, 4) ? pick(1, 5) : pick(1, 60);
        ruler.scale = float(at_ends ? ruler.nodes - 1 : ruler.nodes);
        ruler.shift = at_ends ? 0.0f : -0.5f;
    }
    std::vector<fs::Product> products(size_t(pick(1, 4)));
    std::vector<fs::Factor> factors;
    for (fs::Product& product : products) {
        product.first = int(factors.size());
        product.count = pick(0, 9) ? pick(1, 4) : pick(5, fs::MOST_IN_A_PRODUCT);
        product.slot = &product == &products[0] ? 0 : (&product)[-1].slot + pick(0, 1);
        for (int k = 0; k < product.count; ++k) {
            fs::Factor factor = {};
            factor.offset = call.entries;
            factor.axes = pick(1, 4);
            int32_t step = 1;
            for (int i = 0; i < factor.axes; ++i) {
                factor.ruler[i] = pick(0, int(rulers.size()) - 1);
                factor.step[i] = step;
                factor.nodes = rulers[size_t(factor.ruler[i])].nodes;
                // (a grid of 60^4 entries would take too long)
                if (int64_t(step) * factor.nodes > 20000) {
                    factor.axes = i;
                    factor.nodes = rulers[size_t(factor.ruler[i - 1])].nodes;
                    break;
                }
                step *= factor.nodes;
            }
            call.entries += step;
            factors.push_back(factor);
        }
    }
    call.rulers = int(rulers.size());
    call.factors = int(factors.size());
    call.products = int(products.size());
    call.slots = products.back().slot + 1;
    call.ruler = rulers.data();
    call.factor = factors.data();
    call.product = products.data();
    const size_t points = size_t(call.points), width = size_t(call.slots) * call.features,
                 size = size_t(call.entries) * call.features;
    const auto coords = coordinates<T>(points * call.dimensions, true),
               direction = numbers<T>(points * call.dimensions);
    const auto table = numbers<T>(size), rows = numbers<T>(size), grad = numbers<T>(points * width);
    std::vector<T> output(points * width), grad_coords(points * call.dimensions), grad_table(size);
    call.coords = coords.data();
    call.table = table.data();
    call.grad = grad.data();
    call.direction = pick(0, 1) ? direction.data() : nullptr;
    call.rows = pick(0, 1) ? rows.data() : nullptr;
    call.output = output.data();
    call.grad_coords = pick(0, 3) ? grad_coords.data() : nullptr;
    call.grad_table = pick(0, 3) ? grad_table.data() : nullptr;
    fs_factor_grid_forward(&call);
    fs_factor_grid_backward(&call);
}

}  // namespace
