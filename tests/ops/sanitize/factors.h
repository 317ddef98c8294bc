// Random calls of the sums of products of grids; included by fuzz.cpp, whose random values it uses.
#pragma once

#include "../../../cuda_ext/csrc/cpu/factor_grid.h"

namespace {

template <class T>
void fuzz_factors() {
    fs::FactorCall call = {};
    call.dimensions = pick(1, 4);
    call.features = pick(1, 40);
    call.is_double = sizeof(T) == 8;
    call.num_threads = pick(1, 5);
    call.points = pick(0, 3) ? pick(0, 200) : pick(600, 3000);
    std::vector<fs::GridAxis> grid_axes(size_t(pick(1, 5)));
    for (fs::GridAxis& grid_axis : grid_axes) {
        const bool at_ends = pick(0, 1);
        grid_axis.axis = pick(0, call.dimensions - 1);
        grid_axis.nodes = pick(0, 4) ? pick(1, 5) : pick(1, 60);
        grid_axis.scale = float(at_ends ? grid_axis.nodes - 1 : grid_axis.nodes);
        grid_axis.shift = at_ends ? 0.0f : -0.5f;
    }
    std::vector<fs::Product> products(size_t(pick(1, 4)));
    std::vector<fs::Factor> factors;
    for (fs::Product& product : products) {
        product.first = int(factors.size());
        product.count = pick(0, 9) ? pick(1, 4) : pick(5, fs::MAX_FACTORS_PER_PRODUCT);
        product.slot = &product == &products[0] ? 0 : (&product)[-1].slot + pick(0, 1);
        for (int k = 0; k < product.count; ++k) {
            fs::Factor factor = {};
            factor.offset = call.entries;
            factor.axes = pick(1, 4);
            int32_t stride = 1;
            for (int i = 0; i < factor.axes; ++i) {
                factor.grid_axis[i] = pick(0, int(grid_axes.size()) - 1);
                factor.stride[i] = stride;
                factor.nodes = grid_axes[size_t(factor.grid_axis[i])].nodes;
                // A grid of 60^4 entries would take too long.
                if (int64_t(stride) * factor.nodes > 20000) {
                    factor.axes = i;
                    factor.nodes = grid_axes[size_t(factor.grid_axis[i - 1])].nodes;
                    break;
                }
                stride *= factor.nodes;
            }
            call.entries += stride;
            factors.push_back(factor);
        }
    }
    call.grid_axes = int(grid_axes.size());
    call.factors = int(factors.size());
    call.products = int(products.size());
    call.slots = products.back().slot + 1;
    call.grid_axis = grid_axes.data();
    call.factor = factors.data();
    call.product = products.data();
    const size_t points = size_t(call.points), width = size_t(call.slots) * call.features,
                 size = size_t(call.entries) * call.features;
    const auto coords = coordinates<T>(points * call.dimensions, true),
               direction = random_values<T>(points * call.dimensions);
    const auto table = random_values<T>(size), rows = random_values<T>(size), grad = random_values<T>(points * width);
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
    note(output);
    note(grad_coords);
    note(grad_table);
}

}  // namespace
