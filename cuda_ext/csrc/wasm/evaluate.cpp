// Steps of a field's program (fields/export/page/program.py) for browsers: one exported function an operation, on
// blocks of points. Compiled by build.sh to the module that the viewer in apps/web carries.
//
// A vector of `size` values is [size, n]: the n points of a block lie next to each other, n is a multiple of 8, and
// sizes are padded to a multiple of 4 with zeros.
#include "../common/factor_grid.h"
#include "../common/rbf_gather.h"
#include "../cpu/simd_math.h"

#define FS_EXPORT extern "C" __attribute__((visibility("default")))

namespace fs::FS_ISA {
namespace {

using V = Simd<float>;
constexpr int LANES = WIDTH<float>;
// Points of the block that a matrix product holds in registers, and rows of a block of its weights.
constexpr int POINTS = 8;
constexpr int ROWS = 4;

// In the order of MAPS in apps/web/src/program.ts.
enum Map {
    map_relu,
    map_sine,
    map_cosine,
    map_finer,
    map_softplus,
    map_gaussian,
    map_sigmoid,
    map_silu,
    map_square,
    map_unit,
    map_nonnegative,
    map_exp_half,
    map_multiquadric,
    map_inverse_multiquadric,
    map_cubic,
    map_thin_plate,
    map_wendland
};

V simd_max(V a, V b) { return a > b ? a : b; }
V simd_min(V a, V b) { return a < b ? a : b; }

// exp of any x: `simd_exp` is for x <= 0.
V exponential(V x) {
    const V size = x < 0.0f ? x : -x, e = simd_exp(simd_max(size, broadcast(-87.0f)));
    return x < 0.0f ? e : 1.0f / e;
}

V sine(V x) {
    V s, c;
    sine_and_cosine(x, s, c);
    return s;
}

V cosine(V x) {
    V s, c;
    sine_and_cosine(x, s, c);
    return c;
}

V logarithm(V x) {
    for (int i = 0; i < LANES; ++i) x[i] = logf(x[i]);
    return x;
}

V sigmoid(V x) { return 1.0f / (1.0f + exponential(-x)); }

template <class Function>
void each(const float* x, float* y, int count, const Function& function) {
    for (int i = 0; i < count; i += LANES) store(y + i, function(load<V>(x + i)));
}

// Features [features, n] of one level of a hash grid.
template <int D, int F, uint32_t addressing>
void hash_level(const float* x, float* y, const float* table, const GridLevel& level, bool smooth, int n) {
    const AxisStrides strides = axis_strides(level, D);
    for (int p = 0; p < n; ++p) {
        float lower[D], upper[D], weights[1 << D];
        uint32_t first[D], second[D];
        for (int axis = 0; axis < D; ++axis) {
            uint32_t cell;
            float fraction;
            locate(x[axis * n + p], level.scale, cell, fraction);
            upper[axis] = smooth ? ramp<true>(fraction) : fraction;
            lower[axis] = 1.0f - upper[axis];
            first[axis] = cell * strides.stride[axis];
            second[axis] = first[axis] + strides.stride[axis];
        }
        corner_weights<D>(lower, upper, weights);
        float sum[F] = {};
        for (int corner = 0; corner < (1 << D); ++corner) {
            uint32_t index = corner & 1 ? second[0] : first[0];
            for (int axis = 1; axis < D; ++axis)
                index = combine<addressing>(index, corner >> axis & 1 ? second[axis] : first[axis]);
            const float* row = table + size_t(entry<addressing>(index, level.size)) * F;
            for (int f = 0; f < F; ++f) sum[f] += weights[corner] * row[f];
        }
        for (int f = 0; f < F; ++f) y[f * n + p] = sum[f];
    }
}

template <int D, int F>
void hash_addressed(const float* x, float* y, const float* table, const GridLevel& level, bool smooth, int n) {
    if (level.addressing == hashed) return hash_level<D, F, hashed>(x, y, table, level, smooth, n);
    hash_level<D, F, wrapped>(x, y, table, level, smooth, n);
}

template <int D>
void hash_features(const float* x, float* y, const float* table, const GridLevel& level, int features, bool smooth,
                   int n) {
    switch (features) {
        case 1: return hash_addressed<D, 1>(x, y, table, level, smooth, n);
        case 2: return hash_addressed<D, 2>(x, y, table, level, smooth, n);
        case 4: return hash_addressed<D, 4>(x, y, table, level, smooth, n);
        default: return hash_addressed<D, 8>(x, y, table, level, smooth, n);
    }
}

// Entries and weights of the corners around a point in one grid: `axes` times (axis, nodes, stride).
int grid_corners(const float* x, int p, int n, const int32_t* axes, int count, bool ends, int32_t* entries,
                 float* weights) {
    entries[0] = 0;
    weights[0] = 1.0f;
    for (int i = 0; i < count; ++i) {
        const int32_t axis = axes[3 * i], nodes = axes[3 * i + 1], stride = axes[3 * i + 2];
        const GridAxis grid_axis = {axis, nodes, float(ends ? nodes - 1 : nodes), ends ? 0.0f : -0.5f};
        int32_t cell;
        float fraction, slope;
        locate_on_axis(grid_axis, x[axis * n + p], cell, fraction, slope);
        const int32_t next = nodes > 1 ? stride : 0;
        for (int corner = 0; corner < (1 << i); ++corner) {
            entries[corner] += cell * stride;
            entries[corner | (1 << i)] = entries[corner] + next;
            weights[corner | (1 << i)] = weights[corner] * fraction;
            weights[corner] *= 1.0f - fraction;
        }
    }
    return 1 << count;
}

struct Kernels {
    int32_t features, neighbours, kernel, normalise;
    const float *centres, *shapes, *weights, *frequencies, *phases;  // rows of 4; packed rows; padded rows
    // Candidates of each cell of a lattice over the domain: `list[start[c]]` up to `list[start[c + 1]]`.
    int32_t cells[3];
    float lower[3], inverse_size[3];
    const int32_t *start, *list;
};

template <int kernel, int D>
void kernel_features(const Kernels& k, const float* x, float* y, int n) {
    constexpr int PACKED = packed_size(D), STRIDE = (PACKED + 3) / 4 * 4;
    const int row = (k.features + 3) / 4 * 4;
    for (int p = 0; p < n; ++p) {
        float point[D], best[RBF_MAX_NEIGHBOURS];
        int32_t found[RBF_MAX_NEIGHBOURS], cell = 0, count = 0;
        for (int axis = D - 1; axis >= 0; --axis) {
            point[axis] = x[axis * n + p];
            int32_t at = int32_t((point[axis] - k.lower[axis]) * k.inverse_size[axis]);
            at = at < 0 ? 0 : at >= k.cells[axis] ? k.cells[axis] - 1 : at;
            cell = cell * k.cells[axis] + at;
        }
        for (int32_t i = k.start[cell]; i < k.start[cell + 1]; ++i) {
            const int32_t candidate = k.list[i];
            float distance = 0.0f;
            for (int axis = 0; axis < D; ++axis) {
                const float o = point[axis] - k.centres[4 * candidate + axis];
                distance += o * o;
            }
            if (count == k.neighbours && distance >= best[count - 1]) continue;
            int at = count < k.neighbours ? count++ : count - 1;
            for (; at > 0 && best[at - 1] > distance; --at) best[at] = best[at - 1], found[at] = found[at - 1];
            best[at] = distance;
            found[at] = candidate;
        }
        float values[RBF_MAX_NEIGHBOURS], sum = float(RBF_SUM_FLOOR);
        for (int i = 0; i < count; ++i) {
            float offset[D], shape[PACKED];
            for (int axis = 0; axis < D; ++axis) offset[axis] = point[axis] - k.centres[4 * found[i] + axis];
            for (int j = 0; j < PACKED; ++j) shape[j] = k.shapes[STRIDE * found[i] + j];
            values[i] = rbf_value<kernel, D>(offset, shape);
            sum += values[i];
        }
        for (int f = 0; f < row; f += LANES) {
            V total = {};
            for (int i = 0; i < count; ++i) {
                V value = broadcast(k.normalise ? values[i] / sum : values[i]);
                if (k.frequencies) {
                    value = value * load<V>(k.frequencies + f);
                    if (k.phases) value += load<V>(k.phases + f);
                    value = sine(value);
                }
                total += value * load<V>(k.weights + size_t(found[i]) * row + f);
            }
            for (int i = 0; i < LANES; ++i) y[(f + i) * n + p] = total[i];
        }
    }
}

template <int D>
void kernel_kinds(const Kernels& k, const float* x, float* y, int n) {
    switch (k.kernel) {
        case inverse_quadratic: return kernel_features<inverse_quadratic, D>(k, x, y, n);
        case inverse_multiquadric: return kernel_features<inverse_multiquadric, D>(k, x, y, n);
        case gaussian: return kernel_features<gaussian, D>(k, x, y, n);
        case hat: return kernel_features<hat, D>(k, x, y, n);
        default: return kernel_features<markov, D>(k, x, y, n);
    }
}

}  // namespace
}  // namespace fs::FS_ISA

using namespace fs;
using namespace fs::FS_ISA;

// y [out, n] = weight x + bias. weight: for each four outputs, the columns [in, 4]; bias may be null.
FS_EXPORT void linear(const float* x, float* y, const float* weight, const float* bias, int in, int out, int n) {
    for (int o = 0; o < out; o += ROWS) {
        for (int p = 0; p < n; p += POINTS) {
            V sums[ROWS][2];
            for (int r = 0; r < ROWS; ++r) sums[r][0] = sums[r][1] = broadcast(bias ? bias[o + r] : 0.0f);
            const float *row = weight, *column = x + p;
            for (int i = 0; i < in; ++i, row += ROWS, column += n) {
                const V first = load<V>(column), second = load<V>(column + LANES);
                for (int r = 0; r < ROWS; ++r) {
                    const V factor = broadcast(row[r]);
                    sums[r][0] += factor * first;
                    sums[r][1] += factor * second;
                }
            }
            for (int r = 0; r < ROWS; ++r) {
                store(y + (o + r) * n + p, sums[r][0]);
                store(y + (o + r) * n + p + LANES, sums[r][1]);
            }
        }
        weight += ROWS * ((in + 3) / 4 * 4);
    }
}

FS_EXPORT void map(const float* x, float* y, int function, float omega, float scale, int count) {
    switch (function) {
        case map_relu: return each(x, y, count, [](V v) { return simd_max(v, V{}); });
        case map_sine: return each(x, y, count, [=](V v) { return sine(omega * v); });
        case map_cosine: return each(x, y, count, [=](V v) { return cosine(omega * v); });
        case map_finer: return each(x, y, count, [=](V v) { return sine(omega * (simd_max(v, -v) + 1.0f) * v); });
        case map_softplus:
            return each(x, y, count, [=](V v) {
                const V z = scale * v, e = exponential(z < 0.0f ? z : -z);
                return (simd_max(z, V{}) + logarithm(1.0f + e)) / scale;
            });
        case map_gaussian: return each(x, y, count, [=](V v) { return exponential(-(scale * v) * (scale * v)); });
        case map_sigmoid: return each(x, y, count, [](V v) { return sigmoid(v); });
        case map_silu: return each(x, y, count, [](V v) { return v * sigmoid(v); });
        case map_square: return each(x, y, count, [](V v) { return v * v; });
        case map_unit: return each(x, y, count, [](V v) { return simd_min(simd_max(v, V{}), broadcast(1.0f)); });
        case map_nonnegative: return each(x, y, count, [](V v) { return simd_max(v, V{}); });
        case map_exp_half: return each(x, y, count, [](V v) { return exponential(-0.5f * v); });
        case map_multiquadric: return each(x, y, count, [](V q) { return simd_sqrt(q + 1.0f); });
        case map_inverse_multiquadric: return each(x, y, count, [](V q) { return 1.0f / simd_sqrt(q + 1.0f); });
        case map_cubic: return each(x, y, count, [](V q) { return (q + 1e-9f) * simd_sqrt(q + 1e-9f); });
        case map_thin_plate: return each(x, y, count, [](V q) { return 0.5f * q * logarithm(q + 1e-9f); });
        default:
            return each(x, y, count, [](V q) {
                const V r = simd_sqrt(q + 1e-9f), near = simd_max(1.0f - r, V{}), third = near * near * near;
                return third * third * third * (9.0f * r + 1.0f);
            });
    }
}

// x * mul + add, with constants.
FS_EXPORT void affine(const float* x, float* y, float mul, float add, int count) {
    each(x, y, count, [=](V v) { return v * mul + add; });
}

// x * mul + add, with vectors of `size` values, which may be null.
FS_EXPORT void vector(const float* x, float* y, const float* mul, const float* add, int size, int n) {
    for (int i = 0; i < size; ++i) affine(x + i * n, y + i * n, mul ? mul[i] : 1.0f, add ? add[i] : 0.0f, n);
}

// a + b, or a * b, of two vectors.
FS_EXPORT void combine_values(const float* a, const float* b, float* y, int multiply, int count) {
    for (int i = 0; i < count; i += LANES) {
        const V first = load<V>(a + i), second = load<V>(b + i);
        store(y + i, multiply ? first * second : first + second);
    }
}

// Each value of a times, or plus, the value b [n] of its point.
FS_EXPORT void combine_by(const float* a, const float* b, float* y, int multiply, int size, int n) {
    for (int i = 0; i < size; ++i) combine_values(a + i * n, b, y + i * n, multiply, n);
}

FS_EXPORT void standardize(const float* x, float* y, int size, float epsilon, int n) {
    for (int p = 0; p < n; p += LANES) {
        V sum = {}, squares = {};
        for (int i = 0; i < size; ++i) sum += load<V>(x + i * n + p);
        const V mean = sum / float(size);
        for (int i = 0; i < size; ++i) {
            const V centred = load<V>(x + i * n + p) - mean;
            squares += centred * centred;
        }
        const V inverse = 1.0f / simd_sqrt(squares / float(size) + epsilon);
        for (int i = 0; i < size; ++i) store(y + i * n + p, (load<V>(x + i * n + p) - mean) * inverse);
    }
}

// Complex Gabor wavelets of `half` units, real parts first.
FS_EXPORT void gabor(const float* x, float* y, float omega, float scale, int half, int n) {
    for (int i = 0; i < half * n; i += LANES) {
        const V real = load<V>(x + i), imaginary = load<V>(x + half * n + i);
        const V amplitude = exponential(-omega * imaginary - scale * scale * (real * real + imaginary * imaginary));
        V s, c;
        sine_and_cosine(omega * real, s, c);
        store(y + i, amplitude * c);
        store(y + half * n + i, amplitude * s);
    }
}

// The eight basis functions of each value: cubic B-splines or Gaussians on [-2, 2].
FS_EXPORT void kan_basis(const float* x, float* y, int spline, int size, int n) {
    const float width = spline ? 0.8f : 4.0f / 7.0f;
    for (int i = 0; i < size; ++i)
        for (int k = 0; k < 8; ++k)
            each(x + i * n, y + (8 * i + k) * n, n, [=](V v) {
                const V d = (v - (float(k) - 3.5f) * width) / width;
                if (!spline) return exponential(-d * d);
                const V a = simd_max(d, -d), rest = simd_max(2.0f - a, V{});
                return a < 1.0f ? 2.0f / 3.0f - a * a + a * a * a / 2.0f : rest * rest * rest / 6.0f;
            });
}

// One level of a hash grid; `hash`: whether its entries are hashed. y [features, n].
FS_EXPORT void hash_grid(const float* x, float* y, const float* table, int dimensions, int features, float scale,
                         uint32_t resolution, uint32_t size, int hash, int smooth, int n) {
    const GridLevel level = {0, scale, resolution, size, uint32_t(hash ? hashed : wrapped)};
    switch (dimensions) {
        case 1: return hash_features<1>(x, y, table, level, features, smooth, n);
        case 2: return hash_features<2>(x, y, table, level, features, smooth, n);
        case 3: return hash_features<3>(x, y, table, level, features, smooth, n);
        default: return hash_features<4>(x, y, table, level, features, smooth, n);
    }
}

// The product of `factors` grids, added to y [features, n]. Each factor is (first row, number of axes, then axis,
// nodes and stride in rows of each); rows are padded to four values.
FS_EXPORT void factor_product(const float* x, float* y, const float* table, const int32_t* record, int factors,
                              int features, int ends, int n) {
    const int row = (features + 3) / 4 * 4;
    for (int p = 0; p < n; ++p) {
        int32_t entries[MAX_FACTORS_PER_PRODUCT][1 << MAX_AXES];
        float weights[MAX_FACTORS_PER_PRODUCT][1 << MAX_AXES];
        int corners[MAX_FACTORS_PER_PRODUCT];
        const int32_t* at = record;
        for (int i = 0; i < factors; ++i) {
            corners[i] = grid_corners(x, p, n, at + 2, at[1], ends, entries[i], weights[i]);
            for (int c = 0; c < corners[i]; ++c) entries[i][c] = (entries[i][c] + at[0]) * row;
            at += 2 + 3 * at[1];
        }
        for (int f = 0; f < features; f += LANES) {
            V product = broadcast(1.0f);
            for (int i = 0; i < factors; ++i) {
                V sum = {};
                for (int c = 0; c < corners[i]; ++c) sum += weights[i][c] * load<V>(table + entries[i][c] + f);
                product = product * sum;
            }
            for (int i = 0; i < LANES && f + i < features; ++i) y[(f + i) * n + p] += product[i];
        }
    }
}

FS_EXPORT void kernels(const Kernels* k, const float* x, float* y, int dimensions, int n) {
    if (dimensions == 2) return kernel_kinds<2>(*k, x, y, n);
    kernel_kinds<3>(*k, x, y, n);
}
