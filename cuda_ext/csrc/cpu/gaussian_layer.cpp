// A layer of Gaussian units on the CPU. In the forward pass a block of squared distances is summed in registers, as in
// a blocked matrix product: two operations a pair, like the expanded square, but without its cancellation. The backward
// pass consists of small matrix products over tiles of points.
//
// The batch is cut into chunks by its size alone, and the chunks' sums are added in order: results do not depend on the
// number of threads.
#include "gaussian_layer.h"

#include <cstdlib>

#include "parallel.h"
#include "simd_math.h"

namespace fs::FS_ISA {
namespace {

constexpr int TILE = 64;  // points of a tile in the backward pass
constexpr int64_t CHUNK = 4096, MAX_CHUNKS = 64;

enum { tables_slot = 0, tile_slot = 1, sums_slot = 2 };

template <class T>
constexpr int padded(int numbers) {
    return (numbers + WIDTH<T> - 1) / WIDTH<T> * WIDTH<T>;
}

// Adds to sums[i][j], for R rows and P SIMD vectors: the sum over k < depth of a[i * row_step + k * step] * b[k *
// b_step + vector j].
template <class T, int R, int P>
FS_HOST_DEVICE void multiply_block(int depth, const T* a, int64_t row_step, int64_t step, const T* b, int64_t b_step,
                                   Simd<T> (&sums)[R][P]) {
    for (int k = 0; k < depth; ++k, a += step, b += b_step) {
        Simd<T> right[P];
        for (int j = 0; j < P; ++j) right[j] = load<Simd<T>>(b + j * WIDTH<T>);
        for (int i = 0; i < R; ++i) {
            const Simd<T> left = broadcast(a[i * row_step]);
            for (int j = 0; j < P; ++j) sums[i][j] = multiply_add(left, right[j], sums[i][j]);
        }
    }
}

template <class T>
struct Layer {
    using P = Simd<T>;
    static constexpr int LANES = WIDTH<T>;
    static constexpr int ROWS = 8;

    const GaussianCall& call;
    const int inputs = call.inputs, units = call.units;
    const int unit_stride = padded<T>(units), input_stride = padded<T>(inputs);
    const T* x = static_cast<const T*>(call.x);
    const T* centres = static_cast<const T*>(call.centres);
    const T* log_widths = static_cast<const T*>(call.log_widths);

    // Tables of the forward pass: the scaled distance along an input, whose square is half of that input's part of q,
    // is root * x - shift.
    struct Roots {
        T *root, *shift;  // [inputs, unit_stride]
    };

    Roots roots() const {
        const int64_t size = int64_t(inputs) * unit_stride;
        Roots found;
        found.root = static_cast<T*>(scratch(tables_slot, size_t(2 * size) * sizeof(T)));
        found.shift = found.root + size;
        for (int e = 0; e < inputs; ++e) {
            for (int n = 0; n < unit_stride; ++n) {
                const int at = n * inputs + e;
                const T root =
                    n < units ? T(__builtin_exp(0.5 * double(log_widths[at])) * 0.70710678118654752440) : T(0);
                found.root[e * unit_stride + n] = root;
                found.shift[e * unit_stride + n] = n < units ? root * centres[at] : T(0);
            }
        }
        return found;
    }

    // Adds the squared distances of rows first .. first + R - 1, from `column` on, to `sums`.
    template <int R, int Q>
    FS_HOST_DEVICE void distances(const Roots& roots, int64_t first, int column, P (&sums)[R][Q]) const {
        const T* from = x + first * inputs;
        for (int e = 0; e < inputs; ++e) {
            P root[Q], shift[Q];
            for (int j = 0; j < Q; ++j) {
                root[j] = load<P>(roots.root + e * unit_stride + column + j * LANES);
                shift[j] = -load<P>(roots.shift + e * unit_stride + column + j * LANES);
            }
            for (int i = 0; i < R; ++i) {
                const P value = broadcast(from[i * inputs + e]);
                for (int j = 0; j < Q; ++j) {
                    const P distance = multiply_add(value, root[j], shift[j]);
                    sums[i][j] = multiply_add(distance, distance, sums[i][j]);
                }
            }
        }
    }

    template <int R, int Q>
    FS_HOST_DEVICE void evaluate(const Roots& roots, int64_t first, int column) const {
        P sums[R][Q] = {};
        distances<R, Q>(roots, first, column, sums);
        T* out = static_cast<T*>(call.output) + first * units;
        for (int i = 0; i < R; ++i) {
            for (int j = 0; j < Q; ++j) {
                const P value = simd_exp(-sums[i][j]);
                const int at = column + j * LANES, room = units - at;
                if (room >= LANES) {
                    store(out + i * units + at, value);
                } else {
                    for (int lane = 0; lane < room; ++lane) out[i * units + at + lane] = value[lane];
                }
            }
        }
    }

    template <int R>
    FS_HOST_DEVICE void evaluate_rows(const Roots& roots, int64_t& row, int64_t last) const {
        for (; row + R <= last; row += R) {
            int column = 0;
            for (; column + 2 * LANES <= unit_stride; column += 2 * LANES) evaluate<R, 2>(roots, row, column);
            if (column < unit_stride) evaluate<R, 1>(roots, row, column);
        }
    }

    void forward() const {
        const Roots tables = roots();
        advise_huge_pages(call.output, size_t(call.points) * size_t(units) * sizeof(T));
        parallel(call.num_threads, [&](int thread) {
            const Range part = range_of(call.points, call.num_threads, thread);
            int64_t row = part.first;
            evaluate_rows<ROWS>(tables, row, part.last);
            evaluate_rows<1>(tables, row, part.last);
        });
    }

    // Tables of the backward pass: half of exp(log width), and that times the centre.
    struct Widths {
        T *width, *scaled;  // [units, input_stride]
    };

    Widths widths() const {
        const int64_t size = int64_t(units) * input_stride;
        Widths found;
        found.width = static_cast<T*>(scratch(tables_slot, size_t(2 * size) * sizeof(T)));
        found.scaled = found.width + size;
        for (int n = 0; n < units; ++n) {
            for (int e = 0; e < input_stride; ++e) {
                const int at = n * inputs + e;
                const T width = e < inputs ? T(0.5 * __builtin_exp(double(log_widths[at]))) : T(0);
                found.width[n * input_stride + e] = width;
                found.scaled[n * input_stride + e] = e < inputs ? width * centres[at] : T(0);
            }
        }
        return found;
    }

    // A tile's gradients of q / 2, its inputs and their squares; zeros beyond the last point.
    struct Tile {
        T* slope;   // [TILE, unit_stride]
        T* powers;  // [TILE, 2 * input_stride]
    };

    // The sums of a chunk over its points, with r the gradient of q / 2.
    struct Sums {
        T* powers;  // [units, 2 * input_stride]: sums of r x and of r x^2
        T* slopes;  // [unit_stride]: sums of r
    };

    int64_t sums_size() const { return int64_t(units) * 2 * input_stride + unit_stride; }
    Sums sums_of(T* all, int64_t chunk) const {
        T* own = all + chunk * sums_size();
        return {own, own + int64_t(units) * 2 * input_stride};
    }

    Tile tile_memory() const {
        Tile tile;
        tile.slope = static_cast<T*>(scratch(tile_slot, size_t(TILE * (unit_stride + 2 * input_stride)) * sizeof(T)));
        tile.powers = tile.slope + TILE * unit_stride;
        return tile;
    }

    void read_tile(int64_t first, int points, const Tile& tile, const Sums& sums) const {
        const T* value = static_cast<const T*>(call.output) + first * units;
        const T* grad = static_cast<const T*>(call.grad) + first * units;
        for (int p = 0; p < TILE; ++p) {
            T* slope = tile.slope + p * unit_stride;
            T* powers = tile.powers + p * 2 * input_stride;
            const bool exists = p < points;
            for (int n = 0; n < unit_stride; ++n) slope[n] = T(0);
            for (int e = 0; e < 2 * input_stride; ++e) powers[e] = T(0);
            if (!exists) continue;
            for (int n = 0; n < units; ++n) slope[n] = -value[p * units + n] * grad[p * units + n];
            for (int n = 0; n < unit_stride; ++n) sums.slopes[n] += slope[n];
            const T* from = x + (first + p) * inputs;
            for (int e = 0; e < inputs; ++e) {
                powers[e] = from[e];
                powers[input_stride + e] = from[e] * from[e];
            }
        }
    }

    // Writes grad_x of a tile: 2 (x * (r width) - r scaled).
    void inputs_of_tile(const Widths& widths, int64_t first, int points, const Tile& tile) const {
        T* out = static_cast<T*>(call.grad_x) + first * inputs;
        for (int p = 0; p < points; p += ROWS) {  // the tile's memory is padded to TILE rows
            for (int column = 0; column < input_stride; column += LANES) {
                P by_width[ROWS][1] = {}, by_scaled[ROWS][1] = {};
                const T* slope = tile.slope + p * unit_stride;
                multiply_block<T, ROWS, 1>(units, slope, unit_stride, 1, widths.width + column, input_stride, by_width);
                multiply_block<T, ROWS, 1>(units, slope, unit_stride, 1, widths.scaled + column, input_stride,
                                           by_scaled);
                for (int i = 0; i < ROWS && p + i < points; ++i) {
                    const P value = load<P>(tile.powers + (p + i) * 2 * input_stride + column);
                    const P gradient = (value * by_width[i][0] - by_scaled[i][0]) * T(2);
                    T* to = out + (p + i) * inputs + column;
                    const int room = inputs - column;
                    if (room >= LANES) {
                        store(to, gradient);
                    } else {
                        for (int lane = 0; lane < room; ++lane) to[lane] = gradient[lane];
                    }
                }
            }
        }
    }

    template <int R>
    FS_HOST_DEVICE void add_powers(int& unit, const Tile& tile, const Sums& sums) const {
        const int64_t stride = 2 * input_stride;
        for (; unit + R <= units; unit += R) {
            for (int column = 0; column < stride; column += 2 * LANES) {
                P block[R][2] = {};
                multiply_block<T, R, 2>(TILE, tile.slope + unit, 1, unit_stride, tile.powers + column, stride, block);
                for (int i = 0; i < R; ++i) {
                    for (int j = 0; j < 2; ++j) {
                        T* to = sums.powers + (unit + i) * stride + column + j * LANES;
                        store(to, load<P>(to) + block[i][j]);
                    }
                }
            }
        }
    }

    void backward() const {
        const Widths tables = widths();
        int64_t chunk_size = (call.points + MAX_CHUNKS - 1) / MAX_CHUNKS;
        chunk_size = (chunk_size < CHUNK ? CHUNK : chunk_size + TILE - 1) / TILE * TILE;
        const int chunks = int((call.points + chunk_size - 1) / chunk_size);
        T* all = static_cast<T*>(scratch(sums_slot, size_t(chunks) * size_t(sums_size()) * sizeof(T)));
        const bool wants_sums = call.grad_centres || call.grad_log_widths;
        if (call.grad_x) advise_huge_pages(call.grad_x, size_t(call.points) * size_t(inputs) * sizeof(T));
        parallel_for(chunks, call.num_threads, [&](int chunk) {
            const Tile tile = tile_memory();
            const Sums sums = sums_of(all, chunk);
            for (int64_t i = 0; i < sums_size(); ++i) sums.powers[i] = T(0);
            const int64_t begin = chunk * chunk_size;
            const int64_t end = begin + chunk_size < call.points ? begin + chunk_size : call.points;
            for (int64_t first = begin; first < end; first += TILE) {
                const int points = int(end - first < TILE ? end - first : TILE);
                read_tile(first, points, tile, sums);
                if (call.grad_x) inputs_of_tile(tables, first, points, tile);
                if (!wants_sums) continue;
                int unit = 0;
                add_powers<ROWS>(unit, tile, sums);
                add_powers<1>(unit, tile, sums);
            }
        });
        if (wants_sums) reduce(all, chunks);
    }

    void reduce(T* all, int chunks) const {
        T* grad_centres = static_cast<T*>(call.grad_centres);
        T* grad_log_widths = static_cast<T*>(call.grad_log_widths);
        for (int n = 0; n < units; ++n) {
            for (int e = 0; e < inputs; ++e) {
                double r = 0.0, rx = 0.0, rxx = 0.0;
                for (int chunk = 0; chunk < chunks; ++chunk) {
                    const Sums sums = sums_of(all, chunk);
                    const T* powers = sums.powers + int64_t(n) * 2 * input_stride + e;
                    r += double(sums.slopes[n]);
                    rx += double(powers[0]);
                    rxx += double(powers[input_stride]);
                }
                const int at = n * inputs + e;
                const double width = 0.5 * __builtin_exp(double(log_widths[at])), centre = double(centres[at]);
                if (grad_centres) grad_centres[at] = T(2.0 * width * (r * centre - rx));
                if (grad_log_widths) grad_log_widths[at] = T(width * (rxx - 2.0 * centre * rx + centre * centre * r));
            }
        }
    }
};

}  // namespace

void gaussian_forward(const GaussianCall& call) {
    call.is_double ? Layer<double>{call}.forward() : Layer<float>{call}.forward();
}

void gaussian_backward(const GaussianCall& call) {
    call.is_double ? Layer<double>{call}.backward() : Layer<float>{call}.backward();
}

}  // namespace fs::FS_ISA

#if defined(FS_EXPORTS)
FS_API void fs_gaussian_layer_forward(const fs::GaussianCall* call) { FS_CALL(gaussian_forward, *call); }
FS_API void fs_gaussian_layer_backward(const fs::GaussianCall* call) { FS_CALL(gaussian_backward, *call); }
#endif
