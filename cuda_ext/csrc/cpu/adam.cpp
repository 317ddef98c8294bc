// One step of Adam on the CPU, a SIMD vector of elements at a time.
#include "adam.h"

#include "parallel.h"
#include "simd.h"

namespace fs::FS_ISA {
namespace {

using Floats = Simd<float>;
using Counts = SimdTypes<float>::int32;
constexpr int LANES = WIDTH<float>;

FS_HOST_DEVICE Floats square_root(Floats x) {
    for (int i = 0; i < LANES; ++i) x[i] = __builtin_sqrtf(x[i]);
    return x;
}

FS_HOST_DEVICE bool any(Counts mask) {
    int32_t seen = 0;
    for (int i = 0; i < LANES; ++i) seen |= mask[i];
    return seen != 0;
}

FS_HOST_DEVICE Floats look_up(const float* table, Counts index) {
#if defined(__AVX512F__)
    return _mm512_i32gather_ps((__m512i)index, table, 4);
#else
    Floats found;
    for (int i = 0; i < LANES; ++i) found[i] = table[index[i]];
    return found;
#endif
}

// A SIMD vector of a tensor's elements, with Adam's state of each.
struct AdamState {
    Floats weight, gradient, mean, square;
    Counts steps;
};

template <bool sparse>
FS_HOST_DEVICE void update(const AdamCall& call, Floats dense_rate, AdamState& s) {
    const Counts touched = sparse ? Counts(s.gradient != 0.0f) : Counts{} - 1;
    const Floats mean = s.mean + (s.gradient - s.mean) * (1.0f - call.mean_decay);
    const Floats square = s.square + (s.gradient * s.gradient - s.square) * (1.0f - call.square_decay);
    Floats rate = dense_rate;
    if (sparse) {
        s.steps -= touched;
        rate = look_up(call.rate, s.steps < call.max_steps ? s.steps : Counts{} + call.max_steps);
    }
    const Floats weight = s.weight - rate * mean / (square_root(square) + call.epsilon);
    s.weight = touched ? weight : s.weight;
    s.mean = touched ? mean : s.mean;
    s.square = touched ? square : s.square;
}

template <bool sparse>
void update_range(const AdamCall& call, int64_t first, int64_t last) {
    const Floats rate =
        sparse ? Floats{} : broadcast(call.rate[*call.steps < call.max_steps ? *call.steps : call.max_steps]);
    AdamState s = {};
    int64_t i = first;
    for (; i + LANES <= last; i += LANES) {
        s.gradient = load<Floats>(call.gradient + i);
        // A small batch leaves most of a table untouched: the state of such elements is not even read.
        if (sparse && !any(s.gradient != 0.0f)) continue;
        s.weight = load<Floats>(call.weight + i);
        s.mean = load<Floats>(call.mean + i);
        s.square = load<Floats>(call.square + i);
        if (sparse) s.steps = load<Counts>(call.steps + i);
        update<sparse>(call, rate, s);
        store(call.weight + i, s.weight);
        store(call.mean + i, s.mean);
        store(call.square + i, s.square);
        if (sparse) store(call.steps + i, s.steps);
    }
    if (i == last) return;
    AdamState rest = {};
    for (int64_t k = i; k < last; ++k) {
        rest.gradient[k - i] = call.gradient[k];
        rest.weight[k - i] = call.weight[k];
        rest.mean[k - i] = call.mean[k];
        rest.square[k - i] = call.square[k];
        if (sparse) rest.steps[k - i] = call.steps[k];
    }
    update<sparse>(call, rate, rest);
    for (int64_t k = i; k < last; ++k) {
        call.weight[k] = rest.weight[k - i];
        call.mean[k] = rest.mean[k - i];
        call.square[k] = rest.square[k - i];
        if (sparse) call.steps[k] = rest.steps[k - i];
    }
}

}  // namespace

void adam(const AdamCall& call) {
    parallel(call.num_threads, [&](int thread) {
        const Range part = range_of(call.count, call.num_threads, thread);
        if (call.sparse) {
            update_range<true>(call, part.first, part.last);
        } else {
            update_range<false>(call, part.first, part.last);
        }
    });
}

}  // namespace fs::FS_ISA

#if defined(FS_EXPORTS)
FS_API void fs_adam(const fs::AdamCall* call) { FS_CALL(adam, *call); }
#endif
