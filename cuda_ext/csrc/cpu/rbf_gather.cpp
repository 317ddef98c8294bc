// Interpolation of radial basis functions on the CPU (NeuRBF, Chen et al. 2023, section 3). Points are processed in
// blocks: first the kernel values of all their neighbours, in SIMD vectors; then, point by point, the sines of these
// values at every channel's frequency, times the neighbours' rows of features. None of the [points, neighbours,
// features] intermediate values is stored; the backward pass computes them again.
//
// Each thread sums the gradients of the kernels on its own, and these sums are added in the order of the threads:
// results depend on the number of threads, but are reproducible.
#include "rbf_gather.h"

#include "parallel.h"
#include "simd_math.h"

namespace fs::FS_ISA {
namespace {

constexpr int BLOCK = 16;  // points of a block
constexpr int PAIRS = BLOCK * RBF_MAX_NEIGHBOURS;
constexpr int MAX_GROUP = 4;                             // vectors of a row that are processed together
constexpr int64_t MAX_PRIVATE_BYTES = int64_t(1) << 30;  // limit for the sums of all threads

template <class T>
constexpr int LANES = WIDTH<T>;

template <class T>
constexpr int padded(int features) {
    return (features + LANES<T> - 1) / LANES<T> * LANES<T>;
}

// The pairs of a block's points and their neighbours. Neighbour i of point p is pair i * BLOCK + p.
template <class T, int D>
struct Block {
    static constexpr int S = packed_size(D);
    alignas(64) T offset[D][PAIRS];
    alignas(64) T shape[S][PAIRS];
    alignas(64) T value[PAIRS];       // of the kernel
    alignas(64) T normalised[PAIRS];  // the argument of the sines: the value, divided by the sum or not
    alignas(64) T slope[PAIRS];       // gradient of `normalised`, later of `value`
    alignas(64) T sum[BLOCK];
    int32_t nearest[PAIRS];
};

// Memory of one call, freed at its end.
struct Memory {
    void* at;
    explicit Memory(int64_t bytes) : at(allocate(size_t(bytes))) {
        if (bytes) advise_huge_pages(at, size_t(bytes));
    }
    ~Memory() { release(at); }
    Memory(const Memory&) = delete;
};

template <class T>
void clear(T* at, int64_t count) {
    for (int64_t i = 0; i < count; ++i) at[i] = T(0);
}

template <class T>
void copy(T* to, const T* from, int count, int size) {
    for (int i = 0; i < count; ++i) to[i] = from[i];
    for (int i = count; i < size; ++i) to[i] = T(0);
}

template <class T, int D>
struct Gather {
    using P = Simd<T>;
    static constexpr int S = packed_size(D);
    static constexpr int RECORD = D == 2 ? 8 : 16;  // a kernel's centre and shape, in one cache line
    using Block = FS_ISA::Block<T, D>;

    const RbfCall& call;
    const int k = call.neighbours, features = call.features;
    const int stride = padded<T>(features);
    const bool unpadded = stride == features;
    const T* coords = static_cast<const T*>(call.coords);
    const T* grad = static_cast<const T*>(call.grad);
    // Set before the threads begin.
    const T* records = nullptr;
    const T* rows = nullptr;  // the kernels' features, `stride` values from one kernel to the next
    alignas(64) T frequency[RBF_MAX_FEATURES] = {};
    alignas(64) T phase[RBF_MAX_FEATURES] = {};

    int64_t blocks() const { return (call.points + BLOCK - 1) / BLOCK; }
    int points_of(int64_t block) const {
        const int64_t rest = call.points - block * BLOCK;
        return int(rest < BLOCK ? rest : BLOCK);
    }

    // Centres and shapes in one record, and rows of features padded to whole vectors.
    struct Prepared {
        Memory records, rows;
    };

    int64_t record_bytes() const { return call.kernels * RECORD * int64_t(sizeof(T)); }
    int64_t row_bytes() const { return call.kernels * stride * int64_t(sizeof(T)); }

    void prepare(const Prepared& memory) {
        const T* centres = static_cast<const T*>(call.centres);
        const T* shapes = static_cast<const T*>(call.shapes);
        const T* weights = static_cast<const T*>(call.weights);
        T* to = static_cast<T*>(memory.records.at);
        for (int64_t n = 0; n < call.kernels; ++n) {
            copy(to + n * RECORD, centres + n * D, D, D);
            copy(to + n * RECORD + D, shapes + n * S, S, RECORD - D);
        }
        records = to;
        rows = weights;
        if (!unpadded) {
            T* padded_rows = static_cast<T*>(memory.rows.at);
            for (int64_t n = 0; n < call.kernels; ++n)
                copy(padded_rows + n * stride, weights + n * features, features, stride);
            rows = padded_rows;
        }
        if (call.frequencies) copy(frequency, static_cast<const T*>(call.frequencies), features, stride);
        if (call.phases) copy(phase, static_cast<const T*>(call.phases), features, stride);
    }

    // Loads the neighbours' offsets and shapes. A partial block is filled with copies of its last point.
    void load_pairs(int64_t first, int points, Block& block) const {
        for (int p = 0; p < BLOCK; ++p) {
            const int64_t point = first + (p < points ? p : points - 1);
            const T* x = coords + point * D;
            for (int i = 0; i < k; ++i) {
                const int32_t kernel = call.nearest[point * k + i];
                const T* record = records + int64_t(kernel) * RECORD;
                const int pair = i * BLOCK + p;
                block.nearest[pair] = kernel;
                for (int a = 0; a < D; ++a) block.offset[a][pair] = x[a] - record[a];
                for (int s = 0; s < S; ++s) block.shape[s][pair] = record[D + s];
                const char* row = reinterpret_cast<const char*>(rows + int64_t(kernel) * stride);
                for (int at = 0; at < stride * int(sizeof(T)); at += 64) __builtin_prefetch(row + at);
            }
        }
    }

    struct Pair {
        P offset[D], shape[S];
    };

    FS_HOST_DEVICE static Pair pair_of(const Block& block, int at) {
        Pair pair;
        for (int a = 0; a < D; ++a) pair.offset[a] = load<P>(block.offset[a] + at);
        for (int s = 0; s < S; ++s) pair.shape[s] = load<P>(block.shape[s] + at);
        return pair;
    }

    template <int kernel>
    void values(Block& block) const {
        for (int at = 0; at < k * BLOCK; at += LANES<T>) {
            const Pair pair = pair_of(block, at);
            store(block.value + at, rbf_value<kernel, D>(pair.offset, pair.shape));
        }
    }

    void evaluate(Block& block) const {
        switch (call.kernel) {
            case inverse_quadratic: values<inverse_quadratic>(block); break;
            case inverse_multiquadric: values<inverse_multiquadric>(block); break;
            case gaussian: values<gaussian>(block); break;
            case hat: values<hat>(block); break;
            case markov: values<markov>(block); break;
        }
        for (int p = 0; p < BLOCK; p += LANES<T>) {
            P sum = broadcast(T(RBF_SUM_FLOOR));
            for (int i = 0; i < k; ++i) sum += load<P>(block.value + i * BLOCK + p);
            if (call.normalise == normalise_none) sum = broadcast(T(1));
            store(block.sum + p, sum);
            for (int i = 0; i < k; ++i)
                store(block.normalised + i * BLOCK + p, load<P>(block.value + i * BLOCK + p) / sum);
        }
    }

    // One point's features, `G` vectors from a column on.
    template <bool sines, int G>
    FS_HOST_DEVICE void accumulate_features(const Block& block, int p, int column, T* out) const {
        P sum[G] = {}, m[G], b[G];
        for (int g = 0; g < G; ++g) {
            m[g] = load<P>(frequency + column + g * LANES<T>);
            b[g] = load<P>(phase + column + g * LANES<T>);
        }
        for (int i = 0; i < k; ++i) {
            const int pair = i * BLOCK + p;
            const T* row = rows + int64_t(block.nearest[pair]) * stride + column;
            const P normalised = broadcast(block.normalised[pair]);
            for (int g = 0; g < G; ++g) {
                P factor = normalised, unused;
                if (sines) sine_and_cosine(multiply_add(normalised, m[g], b[g]), factor, unused);
                sum[g] = multiply_add(factor, load<P>(row + g * LANES<T>), sum[g]);
            }
        }
        for (int g = 0; g < G; ++g) store(out + column + g * LANES<T>, sum[g]);
    }

    template <bool sines>
    void point_features(const Block& block, int p, T* out) const {
        int column = 0;
        for (; column + MAX_GROUP * LANES<T> <= stride; column += MAX_GROUP * LANES<T>)
            accumulate_features<sines, MAX_GROUP>(block, p, column, out);
        for (; column + 2 * LANES<T> <= stride; column += 2 * LANES<T>)
            accumulate_features<sines, 2>(block, p, column, out);
        if (column < stride) accumulate_features<sines, 1>(block, p, column, out);
    }

    template <bool sines>
    void forward_blocks(int64_t begin, int64_t end) const {
        Block block;
        alignas(64) T padded_row[RBF_MAX_FEATURES];
        T* output = static_cast<T*>(call.output);
        for (int64_t b = begin; b < end; ++b) {
            const int points = points_of(b);
            load_pairs(b * BLOCK, points, block);
            evaluate(block);
            for (int p = 0; p < points; ++p) {
                T* out = output + (b * BLOCK + p) * features;
                point_features<sines>(block, p, unpadded ? out : padded_row);
                if (!unpadded) copy(out, padded_row, features, features);
            }
        }
    }

    void forward() {
        const Prepared memory = {Memory(record_bytes()), Memory(unpadded ? 0 : row_bytes())};
        prepare(memory);
        advise_huge_pages(call.output, size_t(call.points) * size_t(features) * sizeof(T));
        parallel(call.num_threads, [this](int thread) {
            const Range part = range_of(blocks(), call.num_threads, thread);
            call.frequencies ? forward_blocks<true>(part.first, part.last)
                             : forward_blocks<false>(part.first, part.last);
        });
    }

    // The sums of a thread.
    struct Sums {
        T* rows;         // [kernels, stride]
        T* records;      // [kernels, RECORD]
        double* phases;  // [stride]
    };

    // Adds the gradients of one point's rows and, where `slopes` are needed, of its normalised values and of the
    // phases.
    template <bool sines, bool slopes, int G>
    FS_HOST_DEVICE void distribute_gradient(Block& block, int p, int column, const T* upstream, T* grad_rows,
                                            T* phases) const {
        P u[G], m[G], b[G], phase_sum[G] = {};
        for (int g = 0; g < G; ++g) {
            u[g] = load<P>(upstream + column + g * LANES<T>);
            m[g] = load<P>(frequency + column + g * LANES<T>);
            b[g] = load<P>(phase + column + g * LANES<T>);
        }
        for (int i = 0; i < k; ++i) {
            const int pair = i * BLOCK + p;
            const int64_t at = int64_t(block.nearest[pair]) * stride + column;
            const P normalised = broadcast(block.normalised[pair]);
            P slope = {};
            for (int g = 0; g < G; ++g) {
                P factor = normalised, cosine = {};
                if (sines) sine_and_cosine(multiply_add(normalised, m[g], b[g]), factor, cosine);
                T* to = grad_rows + at + g * LANES<T>;
                store(to, multiply_add(u[g], factor, load<P>(to)));
                if (slopes) {
                    P part = u[g] * load<P>(rows + at + g * LANES<T>);
                    if (sines) {
                        part *= cosine;
                        phase_sum[g] += part;
                        slope = multiply_add(part, m[g], slope);
                    } else {
                        slope += part;
                    }
                }
            }
            if (slopes) block.slope[pair] += total<T>(slope);
        }
        if (slopes && sines)
            for (int g = 0; g < G; ++g) {
                T* to = phases + column + g * LANES<T>;
                store(to, load<P>(to) + phase_sum[g]);
            }
    }

    template <bool sines, bool slopes>
    void point_gradients(Block& block, int p, const T* upstream, T* grad_rows, T* phases) const {
        int column = 0;
        for (; column + 2 * LANES<T> <= stride; column += 2 * LANES<T>)
            distribute_gradient<sines, slopes, 2>(block, p, column, upstream, grad_rows, phases);
        if (column < stride) distribute_gradient<sines, slopes, 1>(block, p, column, upstream, grad_rows, phases);
    }

    // Turns the gradients of the normalised values into those of the values.
    void normalisation_gradient(Block& block) const {
        if (call.normalise == normalise_none) return;
        for (int p = 0; p < BLOCK; p += LANES<T>) {
            const P sum = load<P>(block.sum + p);
            P common = {};
            if (call.normalise == normalise_full)
                for (int i = 0; i < k; ++i)
                    common += load<P>(block.slope + i * BLOCK + p) * load<P>(block.normalised + i * BLOCK + p);
            for (int i = 0; i < k; ++i) {
                T* at = block.slope + i * BLOCK + p;
                store(at, (load<P>(at) - common) / sum);
            }
        }
    }

    // Replaces offsets and shapes by their gradients.
    template <int kernel>
    void geometry_slopes(Block& block) const {
        for (int at = 0; at < k * BLOCK; at += LANES<T>) {
            const Pair pair = pair_of(block, at);
            P by_offset[D], by_shape[S];
            rbf_slopes<kernel, D>(pair.offset, pair.shape, load<P>(block.value + at), load<P>(block.slope + at),
                                  by_offset, by_shape);
            for (int a = 0; a < D; ++a) store(block.offset[a] + at, by_offset[a]);
            for (int s = 0; s < S; ++s) store(block.shape[s] + at, by_shape[s]);
        }
    }

    void geometry_gradients(int64_t first, int points, Block& block, T* grad_records) const {
        normalisation_gradient(block);
        switch (call.kernel) {
            case inverse_quadratic: geometry_slopes<inverse_quadratic>(block); break;
            case inverse_multiquadric: geometry_slopes<inverse_multiquadric>(block); break;
            case gaussian: geometry_slopes<gaussian>(block); break;
            case hat: geometry_slopes<hat>(block); break;
            case markov: geometry_slopes<markov>(block); break;
        }
        if (call.grad_coords) {
            T* out = static_cast<T*>(call.grad_coords) + first * D;
            for (int p = 0; p < points; ++p) {
                for (int a = 0; a < D; ++a) {
                    T sum = T(0);
                    for (int i = 0; i < k; ++i) sum += block.offset[a][i * BLOCK + p];
                    out[p * D + a] = sum;
                }
            }
        }
        if (!grad_records) return;
        for (int p = 0; p < points; ++p) {
            for (int i = 0; i < k; ++i) {
                const int pair = i * BLOCK + p;
                T* to = grad_records + int64_t(block.nearest[pair]) * RECORD;
                for (int a = 0; a < D; ++a) to[a] -= block.offset[a][pair];
                for (int s = 0; s < S; ++s) to[D + s] += block.shape[s][pair];
            }
        }
    }

    template <bool sines, bool slopes>
    void backward_blocks(int64_t begin, int64_t end, const Sums& sums) const {
        Block block;
        alignas(64) T padded_row[RBF_MAX_FEATURES], phases[RBF_MAX_FEATURES];
        for (int64_t b = begin; b < end; ++b) {
            const int points = points_of(b);
            load_pairs(b * BLOCK, points, block);
            evaluate(block);
            if (slopes) {
                clear(block.slope, k * BLOCK);
                clear(phases, stride);
            }
            for (int p = 0; p < points; ++p) {
                const T* upstream = grad + (b * BLOCK + p) * features;
                if (!unpadded) copy(padded_row, upstream, features, stride);
                point_gradients<sines, slopes>(block, p, unpadded ? upstream : padded_row, sums.rows, phases);
            }
            if (!slopes) continue;
            for (int f = 0; f < stride; ++f) sums.phases[f] += double(phases[f]);
            geometry_gradients(b * BLOCK, points, block, sums.records);
        }
    }

    bool wants_records() const { return call.grad_centres || call.grad_shapes; }
    bool wants_slopes() const { return call.grad_coords || wants_records() || call.grad_phases; }

    void backward_part(const Range& part, const Sums& sums) const {
        clear(sums.rows, call.kernels * stride);
        if (sums.records) clear(sums.records, call.kernels * RECORD);
        clear(sums.phases, stride);
        if (call.frequencies) {
            wants_slopes() ? backward_blocks<true, true>(part.first, part.last, sums)
                           : backward_blocks<true, false>(part.first, part.last, sums);
        } else {
            wants_slopes() ? backward_blocks<false, true>(part.first, part.last, sums)
                           : backward_blocks<false, false>(part.first, part.last, sums);
        }
    }

    // Adds the threads' sums for kernels first .. last - 1.
    void reduce(const Sums* sums, int num_threads, int64_t first, int64_t last) const {
        T* grad_weights = static_cast<T*>(call.grad_weights);
        T* grad_centres = static_cast<T*>(call.grad_centres);
        T* grad_shapes = static_cast<T*>(call.grad_shapes);
        const auto summed = [&](T* Sums::* part, int64_t at) {
            T sum = (sums[0].*part)[at];
            for (int w = 1; w < num_threads; ++w) sum += (sums[w].*part)[at];
            return sum;
        };
        for (int64_t n = first; n < last; ++n) {
            if (grad_weights)
                for (int f = 0; f < features; ++f) grad_weights[n * features + f] = summed(&Sums::rows, n * stride + f);
            if (grad_centres)
                for (int a = 0; a < D; ++a) grad_centres[n * D + a] = summed(&Sums::records, n * RECORD + a);
            if (grad_shapes)
                for (int s = 0; s < S; ++s) grad_shapes[n * S + s] = summed(&Sums::records, n * RECORD + D + s);
        }
    }

    void backward() {
        const Prepared prepared = {Memory(record_bytes()), Memory(unpadded ? 0 : row_bytes())};
        prepare(prepared);
        const int64_t bytes_per_thread = row_bytes() + (wants_records() ? record_bytes() : 0);
        // Fewer threads if their sums would exceed the limit.
        int num_threads = call.num_threads;
        while (num_threads > 1 && num_threads * bytes_per_thread > MAX_PRIVATE_BYTES) --num_threads;
        const Memory memory(num_threads * bytes_per_thread),
            phase_memory(num_threads * stride * int64_t(sizeof(double)));
        const Memory list(num_threads * int64_t(sizeof(Sums)));
        Sums* sums = static_cast<Sums*>(list.at);
        for (int w = 0; w < num_threads; ++w) {
            T* own = reinterpret_cast<T*>(static_cast<char*>(memory.at) + w * bytes_per_thread);
            sums[w] = {own, wants_records() ? own + call.kernels * stride : nullptr,
                       static_cast<double*>(phase_memory.at) + w * stride};
        }
        parallel(num_threads,
                 [&](int thread) { backward_part(range_of(blocks(), num_threads, thread), sums[thread]); });
        parallel(num_threads, [&](int thread) {
            const Range part = range_of(call.kernels, num_threads, thread);
            reduce(sums, num_threads, part.first, part.last);
        });
        if (!call.grad_phases) return;
        for (int f = 0; f < features; ++f) {
            double sum = 0.0;
            for (int w = 0; w < num_threads; ++w) sum += sums[w].phases[f];
            static_cast<T*>(call.grad_phases)[f] = T(sum);
        }
    }
};

template <class Action>
void with_gather(const RbfCall& call, const Action& action) {
    if (call.dimensions == 2) {
        if (call.is_double) {
            Gather<double, 2> gather{call};
            action(gather);
        } else {
            Gather<float, 2> gather{call};
            action(gather);
        }
    } else if (call.is_double) {
        Gather<double, 3> gather{call};
        action(gather);
    } else {
        Gather<float, 3> gather{call};
        action(gather);
    }
}

}  // namespace

void rbf_gather_forward(const RbfCall& call) {
    with_gather(call, [](auto& gather) { gather.forward(); });
}

void rbf_gather_backward(const RbfCall& call) {
    with_gather(call, [](auto& gather) { gather.backward(); });
}

}  // namespace fs::FS_ISA

#if defined(FS_EXPORTS)
FS_API void fs_rbf_gather_forward(const fs::RbfCall* call) { FS_CALL(rbf_gather_forward, *call); }
FS_API void fs_rbf_gather_backward(const fs::RbfCall* call) { FS_CALL(rbf_gather_backward, *call); }
#endif
