#include "adam.h"

#include "parallel.h"
#include "vector.h"

namespace fs::FS_ISA {
namespace {

using Floats = Pack<float>;
using Counts = PackOf<float>::whole;
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

// A pack of numbers of a tensor and what Adam keeps of them.
struct Numbers {
    Floats weight, gradient, mean, square;
    Counts steps;
};

template <bool sparse>
FS_HOST_DEVICE void update(const AdamCall& call, Floats dense_rate, Numbers& n) {
    const Counts touched = sparse ? Counts(n.gradient != 0.0f) : Counts{} - 1;
    const Floats mean = n.mean + (n.gradient - n.mean) * (1.0f - call.mean_decay);
    const Floats square = n.square + (n.gradient * n.gradient - n.square) * (1.0f - call.square_decay);
    Floats rate = dense_rate;
    if (sparse) {
        n.steps -= touched;
        rate = look_up(call.rate, n.steps < call.most_steps ? n.steps : Counts{} + call.most_steps);
    }
    const Floats weight = n.weight - rate * mean / (square_root(square) + call.epsilon);
    n.weight = touched ? weight : n.weight;
    n.mean = touched ? mean : n.mean;
    n.square = touched ? square : n.square;
}

template <bool sparse>
void update_range(const AdamCall& call, int64_t first, int64_t last) {
    const Floats rate =
        sparse ? Floats{} : spread(call.rate[*call.steps < call.most_steps ? *call.steps : call.most_steps]);
    Numbers n = {};
    int64_t i = first;
    for (; i + LANES <= last; i += LANES) {
        n.gradient = load<Floats>(call.gradient + i);
        // Much of a table is untouched by a small batch: its moments need not even be read.
        if (sparse && !any(n.gradient != 0.0f)) continue;
        n.weight = load<Floats>(call.weight + i);
        n.mean = load<Floats>(call.mean + i);
        n.square = load<Floats>(call.square + i);
        if (sparse) n.steps = load<Counts>(call.steps + i);
        update<sparse>(call, rate, n);
        store(call.weight + i, n.weight);
        store(call.mean + i, n.mean);
        store(call.square + i, n.square);
        if (sparse) store(call.steps + i, n.steps);
    }
    if (i == last) return;
    Numbers rest = {};
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
    parallel(call.workers, [&](int worker) {
        const Part part = part_of(call.count, call.workers, worker);
        if (call.sparse) {
            update_range<true>(call, part.first, part.last);
        } else {
            update_range<false>(call, part.first, part.last);
        }
    });
}

}  // namespace fs::FS_ISA
