// Random calls of the operations on rays; included by fuzz.cpp, whose random values it uses.
#pragma once

#include "../../../cuda_ext/csrc/cpu/rays.h"

namespace {

template <class T>
void fuzz_march() {
    fs::MarchCall call = {};
    const size_t rays = size_t(pick(0, 3) ? pick(0, 40) : pick(60, 200));
    call.rays = int64_t(rays);
    call.is_double = sizeof(T) == 8;
    call.num_threads = pick(1, 5);
    call.cascades = pick(1, 4);
    call.resolution = 4 * pick(1, 6);
    call.jitter = pick(0, 1);
    call.seed = uint32_t(pick(0, 1 << 30));
    call.first_ray = pick(0, 1 << 30);
    call.max_samples = pick(0, 1) ? 1000 : pick(1, 20);
    call.max_steps = pick(0, 300);
    call.step = 0.05;
    call.cone = pick(0, 1) ? 0.01 : 0.0;
    for (double& c : call.centre) c = 0.5;
    for (double& p : call.inverse_cell_size) p = call.resolution;
    auto origins = random_values<T>(rays * 3), directions = random_values<T>(rays * 3);
    // Some rays parallel to axes, along faces, and far away.
    for (T& d : directions)
        if (pick(0, 5) == 0) d = T(0);
    for (T& o : origins)
        if (pick(0, 9) == 0) o = T(pick(0, 2)) * (pick(0, 3) ? T(1) : T(1e6));
    std::vector<T> near(rays), far(rays);
    fs::BoxCall box = {};
    box.rays = call.rays;
    box.is_double = call.is_double;
    box.num_threads = call.num_threads;
    for (int axis = 0; axis < 3; ++axis) {
        box.lower[axis] = -pick(0, 3);
        box.upper[axis] = 1 + pick(0, 3);
    }
    box.origins = origins.data();
    box.directions = directions.data();
    box.near = near.data();
    box.far = far.data();
    fs_ray_box(&box);
    const size_t blocks = size_t(call.resolution / 4);
    std::vector<uint64_t> words(size_t(call.cascades) * blocks * blocks * blocks);
    for (uint64_t& word : words) word = uint64_t(engine()) << 32 | engine();
    std::vector<uint8_t> clearance(words.size());
    for (uint8_t& blocks : clearance) blocks = uint8_t(pick(0, 6));
    std::vector<int64_t> counts(rays), offsets(rays + 1);
    call.clearance = clearance.data();
    call.origins = box.origins;
    call.directions = box.directions;
    call.near = box.near;
    call.far = box.far;
    call.occupied = words.data();
    call.counts = counts.data();
    fs_march_count(&call);
    for (size_t r = 0; r < rays; ++r) offsets[r + 1] = offsets[r] + counts[r];
    const size_t samples = size_t(offsets[rays]);
    std::vector<T> starts(samples), ends(samples);
    std::vector<int64_t> indices(samples);
    call.offsets = offsets.data();
    call.starts = starts.data();
    call.ends = ends.data();
    call.ray_indices = indices.data();
    fs_march_write(&call);
    note(starts);
    note(ends);
}

template <class T>
void fuzz_packed() {
    const size_t rays = size_t(pick(0, 150));
    std::vector<int64_t> offsets(rays + 1);
    for (size_t r = 0; r < rays; ++r) offsets[r + 1] = offsets[r] + (pick(0, 3) ? pick(0, 40) : 0);
    const size_t samples = size_t(offsets[rays]);
    const bool is_double = sizeof(T) == 8;
    const int num_threads = pick(1, 5);
    std::vector<T> starts(samples), ends(samples);
    for (size_t i = 0; i < samples; ++i) {
        starts[i] = T(i);
        ends[i] = T(i) + T(pick(0, 10)) / T(10);
    }
    fs::CompositeCall call = {};
    call.rays = int64_t(rays);
    call.is_double = is_double;
    call.num_threads = num_threads;
    call.channels = pick(0, 1) ? 3 : pick(0, 7);
    call.threshold = pick(0, 1) ? 0.0 : 0.1;
    const size_t channels = size_t(call.channels);
    const auto density = coordinates<T>(samples, true), colors = random_values<T>(samples * channels);
    std::vector<T> color(rays * channels), opacity(rays), depth(rays), weights(samples), grad_density(samples),
        grad_colors(samples * channels);
    const auto by_color = random_values<T>(rays * channels), by_ray = random_values<T>(rays),
               by_sample = random_values<T>(samples);
    call.density = density.data();
    call.colors = colors.data();
    call.starts = starts.data();
    call.ends = ends.data();
    call.offsets = offsets.data();
    call.color = color.data();
    call.opacity = opacity.data();
    call.depth = depth.data();
    call.weights = weights.data();
    fs_composite_forward(&call);
    call.grad_color = pick(0, 2) ? by_color.data() : nullptr;
    call.grad_opacity = pick(0, 2) ? by_ray.data() : nullptr;
    call.grad_depth = pick(0, 2) ? by_ray.data() : nullptr;
    call.grad_weights = pick(0, 2) ? by_sample.data() : nullptr;
    call.grad_density = grad_density.data();
    call.grad_colors = pick(0, 2) ? grad_colors.data() : nullptr;
    fs_composite_backward(&call);
    note(color);
    note(weights);
    note(grad_density);

    std::vector<T> loss(rays), grad_weights(samples);
    fs::DistortionCall spread = {call.rays,   is_double,      num_threads, by_sample.data(), starts.data(),
                                 ends.data(), offsets.data(), loss.data(), by_ray.data(),    grad_weights.data()};
    fs_distortion(&spread);
    spread.loss = nullptr;
    fs_distortion(&spread);
    note(loss);
    note(grad_weights);

    fs::ImportanceCall pdf = {};
    pdf.rays = call.rays;
    pdf.is_double = is_double;
    pdf.num_threads = num_threads;
    pdf.edges = pick(2, 40);
    pdf.jitter = pick(0, 1);
    std::vector<T> out(rays * size_t(pdf.edges));
    const auto masses = coordinates<T>(samples, true);
    pdf.weights = masses.data();
    pdf.starts = starts.data();
    pdf.ends = ends.data();
    pdf.offsets = offsets.data();
    pdf.out = out.data();
    fs_importance(&pdf);
    note(out);
}

}  // namespace
