// Calls every function of the CPU library with random shapes and values, with arrays of exactly the documented size, on
// every instruction set of the processor. Built with the address and undefined-behaviour sanitizers, which end the
// program at the first error; and for other processors, whose sums of results are compared.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <random>
#include <vector>

#include "../../../cuda_ext/csrc/cpu/adam.h"
#include "../../../cuda_ext/csrc/cpu/fused_step.h"
#include "../../../cuda_ext/csrc/cpu/hash_grid.h"
#include "../../../cuda_ext/csrc/cpu/mlp.h"
#include "../../../cuda_ext/csrc/cpu/network_step.h"

namespace {

std::mt19937 engine(1);

int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(engine); }

template <class T>
std::vector<T> random_values(size_t count) {
    std::vector<T> values(count);
    std::normal_distribution<double> normal;
    for (T& value : values) value = T(normal(engine));
    values.shrink_to_fit();
    return values;
}

// The sum of what was computed since the last `print_results`, each value squashed into -1 .. 1, and the number of
// values that are infinite or no numbers.
double sum_of_results = 0.0;
long odd_results = 0;

template <class T>
void note(const std::vector<T>& results) {
    for (const T result : results) {
        const double value = double(result);
        if (std::isfinite(value))
            sum_of_results += value / (1.0 + std::abs(value));
        else
            ++odd_results;
    }
}

void print_results(const char* isa, const char* of) {
    std::printf("%s %s %.6f %ld\n", isa, of, sum_of_results, odd_results);
    sum_of_results = 0.0;
    odd_results = 0;
}

template <class T>
void fill(std::vector<T>& values) {
    values = random_values<T>(values.size());
}
// Any bits are a valid value.
template <class E>
void fill_with_bits(std::vector<E>& values) {
    for (E& value : values) value.bits = uint16_t(pick(0, 0xffff));
}
void fill(std::vector<fs::Half>& values) { fill_with_bits(values); }
void fill(std::vector<fs::Bfloat16>& values) { fill_with_bits(values); }

template <class T>
std::vector<T> coordinates(size_t count, bool wild) {
    std::vector<T> values(count);
    const T odd[] = {
        T(0), T(1), T(-0.0), T(-3), T(1e30), std::numeric_limits<T>::infinity(), std::numeric_limits<T>::quiet_NaN()};
    for (T& value : values)
        value = wild && pick(0, 9) == 0 ? odd[pick(0, 6)] : T(std::uniform_real_distribution<double>(0, 1)(engine));
    return values;
}

std::vector<fs::GridLevel> random_levels(int dimensions, int64_t& entries) {
    std::vector<fs::GridLevel> levels(pick(1, 5));
    entries = 0;
    for (fs::GridLevel& level : levels) {
        const uint32_t resolution = uint32_t(pick(1, dimensions < 3 ? 40 : 6));
        uint64_t points = 1, farthest = 0;
        for (int axis = 0; axis < dimensions; ++axis) {
            farthest += points * resolution;
            points *= resolution;
        }
        level.offset = entries;
        level.resolution = resolution;
        level.scale = float(resolution) - 1.0f;
        if (resolution > 1) level.scale -= std::uniform_real_distribution<float>(0.0f, 0.99f)(engine);
        level.addressing = uint32_t(pick(0, 2));
        level.size = uint32_t((points + 7) / 8 * 8);
        if (level.addressing == fs::hashed) level.size = 1u << pick(0, 8);
        if (level.addressing == fs::wrapped) level.size = uint32_t(pick(1, int(level.size)));
        if (level.addressing == fs::dense && farthest >= 2 * uint64_t(level.size)) level.addressing = fs::wrapped;
        entries += level.size;
    }
    return levels;
}

void pick_shape(fs::GridCall& call) {
    do {
        call.dimensions = pick(1, 4);
        call.features = 1 << pick(0, 3);
    } while (!fs::has_shape(call.dimensions, call.features));
}

// T: type of the arrays; E: type of the table.
template <class T, class E = T>
void fuzz_grid(fs::TableType type) {
    fs::GridCall call = {};
    pick_shape(call);
    call.smooth = pick(0, 1);
    call.table_type = type;
    call.num_threads = pick(1, 5);
    call.points = pick(0, 3) ? pick(0, 200) : pick(4000, 9000);  // more than one tile, so that levels are split
    int64_t entries;
    const auto levels = random_levels(call.dimensions, entries);
    call.levels = int(levels.size());
    call.level = levels.data();
    const size_t width = levels.size() * call.features, points = size_t(call.points);
    const auto coords = coordinates<T>(points * call.dimensions, true),
               direction = random_values<T>(points * call.dimensions);
    const auto grad = random_values<T>(points * width);
    std::vector<E> table(size_t(entries) * call.features);
    fill(table);
    std::vector<T> output(points * width), grad_coords(points * call.dimensions), grad_table(table.size());
    call.coords = coords.data();
    call.table = table.data();
    call.grad = grad.data();
    call.direction = pick(0, 1) ? direction.data() : nullptr;
    call.output = output.data();
    call.grad_coords = pick(0, 3) ? grad_coords.data() : nullptr;
    call.grad_table = pick(0, 3) ? grad_table.data() : nullptr;
    fs_hash_grid_forward(&call);
    fs_hash_grid_backward(&call);
    note(output);
    note(grad_coords);
    note(grad_table);
}

// An MLP of random sizes, with separate arrays for matrices, biases and their gradients.
template <class T>
struct RandomMlp {
    std::vector<std::vector<T>> weights, biases, grad_weights, grad_biases;
    std::vector<T> modulation, grad_modulation;

    // `points` that the network may be modulated at.
    RandomMlp(fs::MlpRecord& mlp, int inputs, size_t points = 0) {
        mlp.matrices = pick(1, 5);
        mlp.activation = pick(0, 8);
        mlp.is_double = sizeof(T) == 8;
        const bool quadratic = mlp.activation == fs::activation_quadratic;
        mlp.matmul_dtype = sizeof(T) == 4 && fs_has_bfloat16() && !quadratic ? pick(0, 1) : 0;
        if (!quadratic) mlp.skip = pick(0, 1) ? pick(0, mlp.matrices - 1) : 0;
        if (mlp.activation == fs::activation_relu) mlp.standardize = pick(0, 1);
        mlp.epsilon = 1e-5;
        mlp.first_omega = 20.0;
        mlp.omega = 30.0;
        mlp.scale = 2.0;
        mlp.sizes[0] = inputs;
        const bool biased = pick(0, 1);
        for (int i = 0; i < mlp.matrices; ++i) {
            mlp.sizes[i + 1] = pick(1, pick(0, 3) ? 40 : pick(0, 7) ? 128 : 300);
            // Units of gabor are pairs of whole vectors.
            if (mlp.activation == fs::activation_gabor && i + 1 < mlp.matrices)
                mlp.sizes[i + 1] = (mlp.sizes[i + 1] + 31) / 32 * 32;
            const size_t rows = size_t(mlp.sizes[i + 1]) * (quadratic && i + 1 < mlp.matrices ? 3 : 1);
            const size_t columns = size_t(mlp.sizes[i]) + (i && i == mlp.skip ? inputs : 0);
            weights.push_back(random_values<T>(rows * columns));
            biases.push_back(random_values<T>(rows));
            grad_weights.emplace_back(weights.back().size());
            grad_biases.emplace_back(biases.back().size());
        }
        if (mlp.activation == fs::activation_relu && mlp.matrices > 1 && points && pick(0, 1)) {
            modulation = random_values<T>(points * 2 * (mlp.matrices - 1));
            grad_modulation.resize(modulation.size());
            mlp.modulation = modulation.data();
            mlp.grad_modulation = grad_modulation.data();
        }
        for (int i = 0; i < mlp.matrices; ++i) {
            mlp.weight[i] = weights[i].data();
            mlp.grad_weight[i] = grad_weights[i].data();
            if (!biased) continue;
            mlp.bias[i] = biases[i].data();
            mlp.grad_bias[i] = grad_biases[i].data();
        }
    }
};

template <class T>
void fuzz_mlp() {
    fs::MlpCall call = {};
    const int inputs = pick(1, pick(0, 3) ? 40 : 300);
    call.points = pick(0, 3) ? pick(0, 200) : pick(4000, 9000);
    const RandomMlp<T> random(call.mlp, inputs, size_t(call.points));
    call.num_threads = pick(1, 5);
    const size_t points = size_t(call.points), outputs = size_t(call.mlp.sizes[call.mlp.matrices]);
    const auto features = random_values<T>(points * inputs), grad = random_values<T>(points * outputs);
    std::vector<T> values(grad.size()), grad_features(features.size());
    call.features = features.data();
    call.grad = grad.data();
    call.values = values.data();
    call.grad_features = pick(0, 3) ? grad_features.data() : nullptr;
    fs_mlp_forward(&call);
    fs_mlp_backward(&call);
    note(values);
    note(grad_features);
}

template <class T>
void fuzz_step() {
    fs::StepCall call = {};
    fs::GridCall& grid = call.grid;
    pick_shape(grid);
    grid.smooth = pick(0, 1);
    grid.table_type = sizeof(T) == 8 ? fs::table_double : fs::table_float;
    grid.num_threads = pick(1, 5);
    grid.points = pick(0, 3) ? pick(0, 200) : pick(4000, 9000);
    int64_t entries;
    const auto levels = random_levels(grid.dimensions, entries);
    grid.levels = int(levels.size());
    grid.level = levels.data();
    const RandomMlp<T> random(call.mlp, grid.levels * grid.features);
    call.loss = pick(0, 2);
    const size_t points = size_t(grid.points), outputs = size_t(call.mlp.sizes[call.mlp.matrices]);
    const auto coords = coordinates<T>(points * grid.dimensions, pick(0, 1));
    const auto table = random_values<T>(size_t(entries) * grid.features), grad = random_values<T>(points * outputs);
    const auto targets = random_values<float>(points * outputs), samples = random_values<float>(points);
    std::vector<T> grad_table(table.size()), grad_coords(coords.size()), values(points * outputs);
    double loss = 0.0;
    grid.coords = coords.data();
    grid.table = table.data();
    call.targets = targets.data();
    call.sample_weights = pick(0, 1) ? samples.data() : nullptr;
    call.values = values.data();
    call.grad = grad.data();
    call.loss_value = &loss;
    fs_grid_mlp_forward(&call);
    grid.grad_table = grad_table.data();
    fs_grid_mlp_gradients(&call);
    grid.grad_table = pick(0, 2) ? grad_table.data() : nullptr;
    grid.grad_coords = pick(0, 2) ? grad_coords.data() : nullptr;
    fs_grid_mlp_backward(&call);
    note(values);
    note(grad_table);
    note(grad_coords);
}

void fuzz_network() {
    fs::NetworkStepCall call = {};
    call.dimensions = pick(1, 4);
    call.encoding = pick(0, 2);
    call.frequencies = call.encoding == fs::input_coords ? 0 : pick(1, 40);
    const int inputs = (call.encoding == fs::input_fourier ? 0 : call.dimensions) + 2 * call.frequencies;
    call.points = pick(0, 3) ? pick(0, 200) : pick(2000, 5000);
    const RandomMlp<float> random(call.mlp, inputs, size_t(call.points));
    call.sigmoid = pick(0, 1);
    call.num_threads = pick(1, 5);
    call.input_scale = 2.0;
    call.input_offset = -1.0;
    call.value_scale = 0.5;
    call.value_offset = 0.5;
    call.loss = pick(0, 2);
    const size_t points = size_t(call.points), outputs = size_t(call.mlp.sizes[call.mlp.matrices]);
    const auto coords = coordinates<float>(points * call.dimensions, pick(0, 1)),
               matrix = random_values<float>(size_t(call.frequencies) * call.dimensions),
               targets = random_values<float>(points * outputs), samples = random_values<float>(points);
    double loss = 0.0;
    call.coords = coords.data();
    call.matrix = matrix.data();
    call.targets = targets.data();
    call.sample_weights = pick(0, 1) ? samples.data() : nullptr;
    call.loss_value = &loss;
    fs_network_gradients(&call);
    note(std::vector<double>{loss});
}

void fuzz_adam() {
    fs::AdamCall call = {};
    const size_t count = size_t(pick(0, 300));
    call.sparse = pick(0, 1);
    call.max_steps = 9;
    auto weight = random_values<float>(count), gradient = random_values<float>(count),
         mean = random_values<float>(count);
    std::vector<float> square(count), rate(10, 0.1f);
    std::vector<int32_t> steps(call.sparse ? count : 1, pick(0, 20));
    for (float& g : gradient)
        if (pick(0, 1)) g = 0.0f;
    call.count = int64_t(count);
    call.weight = weight.data();
    call.gradient = gradient.data();
    call.mean = mean.data();
    call.square = square.data();
    call.steps = steps.data();
    call.rate = rate.data();
    call.num_threads = pick(1, 5);
    call.mean_decay = 0.9f;
    call.square_decay = 0.99f;
    call.epsilon = 1e-15f;
    fs_adam(&call);
    note(weight);
}

}  // namespace

#include "factors.h"
#include "raster.h"
#include "rays.h"
#include "rbf.h"

template <class Body>
void repeat(int rounds, const Body& body, const char* isa, const char* name) {
    engine.seed(1);  // every set has the same inputs
    for (int round = 0; round < rounds; ++round) body();
    print_results(isa, name);
}

int main(int, char** arguments) {
    const int rounds = std::atoi(arguments[1]);
    int sets = 0;
    for (const char* isa : {"baseline", "avx2", "avx512"}) {
        if (!fs_set_isa(isa)) continue;
        ++sets;
        repeat(rounds, [] { fuzz_grid<float>(fs::table_float); }, isa, "fuzz_grid<float>(float)");
        repeat(rounds, [] { fuzz_grid<double>(fs::table_double); }, isa, "fuzz_grid<double>(double)");
        repeat(rounds, [] { fuzz_grid<float, fs::Half>(fs::table_half); }, isa, "fuzz_grid<float, fs::Half>(half)");
        repeat(
            rounds, [] { fuzz_grid<float, fs::Bfloat16>(fs::table_bfloat16); }, isa,
            "fuzz_grid<float, fs::Bfloat16>(bfloat16)");
        repeat(rounds, [] { fuzz_mlp<float>(); }, isa, "fuzz_mlp<float>");
        repeat(rounds, [] { fuzz_mlp<double>(); }, isa, "fuzz_mlp<double>");
        repeat(rounds, [] { fuzz_step<float>(); }, isa, "fuzz_step<float>");
        repeat(rounds, [] { fuzz_step<double>(); }, isa, "fuzz_step<double>");
        repeat(rounds, [] { fuzz_network(); }, isa, "fuzz_network");
        repeat(rounds, [] { fuzz_adam(); }, isa, "fuzz_adam");
        repeat(rounds, [] { fuzz_factors<float>(); }, isa, "fuzz_factors<float>");
        repeat(rounds, [] { fuzz_factors<double>(); }, isa, "fuzz_factors<double>");
        repeat(rounds, [] { fuzz_rbf<float>(); }, isa, "fuzz_rbf<float>");
        repeat(rounds, [] { fuzz_rbf<double>(); }, isa, "fuzz_rbf<double>");
        repeat(rounds, [] { fuzz_gaussian<float>(); }, isa, "fuzz_gaussian<float>");
        repeat(rounds, [] { fuzz_gaussian<double>(); }, isa, "fuzz_gaussian<double>");
        repeat(rounds, [] { fuzz_nearest(); }, isa, "fuzz_nearest");
        repeat(rounds, [] { fuzz_rasterise(); }, isa, "fuzz_rasterise");
        repeat(rounds, [] { fuzz_march<float>(); }, isa, "fuzz_march<float>");
        repeat(rounds, [] { fuzz_march<double>(); }, isa, "fuzz_march<double>");
        repeat(rounds, [] { fuzz_packed<float>(); }, isa, "fuzz_packed<float>");
        repeat(rounds, [] { fuzz_packed<double>(); }, isa, "fuzz_packed<double>");
    }
    std::printf("%d rounds on %d instruction sets\n", rounds, sets);
    return 0;
}
