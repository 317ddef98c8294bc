// Random calls of the operations on radial basis functions and nearest neighbours; included by fuzz.cpp, whose random
// values it uses.
#pragma once

#include "../../../cuda_ext/csrc/cpu/gaussian_layer.h"
#include "../../../cuda_ext/csrc/cpu/neighbours.h"
#include "../../../cuda_ext/csrc/cpu/rbf_gather.h"

namespace {

template <class T>
void fuzz_rbf() {
    fs::RbfCall call = {};
    call.dimensions = pick(2, 3);
    call.neighbours = pick(1, pick(0, 1) ? 8 : 32);
    call.features = pick(0, 1) ? 16 * pick(1, 8) : pick(1, 128);
    call.kernel = pick(0, 4);
    call.normalise = pick(0, 2);
    call.is_double = sizeof(T) == 8;
    call.num_threads = pick(1, 5);
    call.points = pick(0, 150);
    call.kernels = pick(1, 60);
    const size_t points = size_t(call.points), kernels = size_t(call.kernels), width = size_t(call.features);
    const size_t shape_size = size_t(fs::packed_size(call.dimensions));
    const auto coords = coordinates<T>(points * call.dimensions, true),
               centres = random_values<T>(kernels * call.dimensions);
    const auto shapes = random_values<T>(kernels * shape_size), weights = random_values<T>(kernels * width),
               grad = random_values<T>(points * width);
    const auto frequencies = random_values<T>(width), phases = random_values<T>(width);
    std::vector<int32_t> nearest(points * size_t(call.neighbours));
    for (int32_t& n : nearest) n = pick(0, int(kernels) - 1);
    std::vector<T> output(points * width), grad_coords(coords.size()), grad_centres(centres.size()),
        grad_shapes(shapes.size());
    std::vector<T> grad_weights(weights.size()), grad_phases(width);
    const bool sines = pick(0, 1);
    call.nearest = nearest.data();
    call.coords = coords.data();
    call.centres = centres.data();
    call.shapes = shapes.data();
    call.weights = weights.data();
    call.frequencies = sines ? frequencies.data() : nullptr;
    call.phases = sines && pick(0, 1) ? phases.data() : nullptr;
    call.grad = grad.data();
    call.output = output.data();
    call.grad_coords = pick(0, 1) ? grad_coords.data() : nullptr;
    call.grad_centres = pick(0, 1) ? grad_centres.data() : nullptr;
    call.grad_shapes = pick(0, 1) ? grad_shapes.data() : nullptr;
    call.grad_weights = pick(0, 1) ? grad_weights.data() : nullptr;
    call.grad_phases = call.phases && pick(0, 1) ? grad_phases.data() : nullptr;
    fs_rbf_gather_forward(&call);
    fs_rbf_gather_backward(&call);
    note(output);
    note(grad_coords);
    note(grad_centres);
}

template <class T>
void fuzz_gaussian() {
    fs::GaussianCall call = {};
    call.inputs = pick(1, 60);
    call.units = pick(1, 70);
    call.is_double = sizeof(T) == 8;
    call.num_threads = pick(1, 5);
    call.points = pick(0, 3) ? pick(0, 150) : pick(4000, 9000);
    const size_t points = size_t(call.points), size = size_t(call.inputs) * size_t(call.units);
    const auto x = coordinates<T>(points * size_t(call.inputs), true), centres = random_values<T>(size),
               log_widths = random_values<T>(size);
    const auto grad = random_values<T>(points * size_t(call.units));
    std::vector<T> output(grad.size()), grad_x(x.size()), grad_centres(size), grad_log_widths(size);
    call.x = x.data();
    call.centres = centres.data();
    call.log_widths = log_widths.data();
    call.grad = grad.data();
    call.output = output.data();
    call.grad_x = pick(0, 1) ? grad_x.data() : nullptr;
    call.grad_centres = pick(0, 1) ? grad_centres.data() : nullptr;
    call.grad_log_widths = pick(0, 1) ? grad_log_widths.data() : nullptr;
    fs_gaussian_layer_forward(&call);
    fs_gaussian_layer_backward(&call);
    note(output);
    note(grad_x);
    note(grad_centres);
}

void fuzz_nearest() {
    fs::NearestCall call = {};
    call.dimensions = pick(1, 3);
    call.num_centres = pick(0, 3) ? pick(1, 60) : pick(1000, 3000);
    call.neighbours = pick(1, int(call.num_centres < 32 ? call.num_centres : 32));
    call.num_threads = pick(1, 5);
    call.points = pick(0, 600);
    const auto coords = random_values<float>(size_t(call.points) * size_t(call.dimensions));
    auto centres = random_values<float>(size_t(call.num_centres) * size_t(call.dimensions));
    if (pick(0, 2) == 0)
        for (float& x : centres) x = std::round(x);
    std::vector<int32_t> nearest(size_t(call.points) * size_t(call.neighbours));
    call.coords = coords.data();
    call.centres = centres.data();
    call.nearest = nearest.data();
    fs_nearest(&call);
    note(nearest);
    for (int32_t n : nearest)
        if (n < 0 || n >= call.num_centres) std::abort();
}

}  // namespace
