// Every product of a layer is one of matrices with the points or the units as rows, so one routine serves them all:
//
//   forward            Z[p][o]  = sum_i A[p][i] Wt[i][o]
//   input's gradient   dA[p][i] = sum_o dZ[p][o] W[o][i]
//   weights' gradient  dW[o][i] += sum_p dZ[p][o] A[p][i]
//
// Its left operand is read a number at a time and spread over a vector, its right operand and result a vector at a time;
// nothing is ever transposed but the weights, once a call. Rows are padded with zeros to whole vectors.
#include "mlp.h"

#include <algorithm>
#include <cstring>

#include "parallel.h"
#include "vector.h"

namespace fs::FS_ISA {
namespace {

constexpr int LANES = WIDTH<float>;
constexpr int TILE = 48;  // points; whole blocks of every height below
constexpr int MOST_LAYERS = 9;
using Floats = Pack<float>;

constexpr int padded(int n) { return (n + LANES - 1) / LANES * LANES; }

// left(r, k) = left[r * row + k * column]
struct Left {
    const float* at;
    int row, column;
};

// A block of R rows and V vectors of the result stays in registers while k runs.
template <int R, int V, bool add>
void block(Left left, const float* right, int right_row, int depth, float* result, int result_row) {
    Floats sum[R][V];
#pragma GCC unroll 32
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v)
            sum[r][v] = add ? load<Floats>(result + r * result_row + v * LANES) : Floats{};
    for (int k = 0; k < depth; ++k) {
        Floats b[V];
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) b[v] = load<Floats>(right + k * right_row + v * LANES);
        const float* a = left.at + k * left.column;
#pragma GCC unroll 32
        for (int r = 0; r < R; ++r) {
            const Floats spread_a = spread(a[r * left.row]);
#pragma GCC unroll 4
            for (int v = 0; v < V; ++v) sum[r][v] = multiply_add(spread_a, b[v], sum[r][v]);
        }
    }
#pragma GCC unroll 32
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) store(result + r * result_row + v * LANES, sum[r][v]);
}

// V columns of vectors of the result, R rows at a time, then what is left of them.
template <int R, int V, bool add>
void columns(Left left, const float* right, int right_row, int depth, int rows, float* result, int result_row) {
    int r = 0;
    const auto at = [&](int row) { return Left{left.at + row * left.row, left.row, left.column}; };
    for (; r + R <= rows; r += R) block<R, V, add>(at(r), right, right_row, depth, result + r * result_row, result_row);
    for (; r + 4 <= rows; r += 4) block<4, V, add>(at(r), right, right_row, depth, result + r * result_row, result_row);
    for (; r < rows; ++r) block<1, V, add>(at(r), right, right_row, depth, result + r * result_row, result_row);
}

// As many sums as the registers hold beside the operands: 24 of 32, or 12 of 16.
constexpr int SUMS = FS_PACK_BYTES == 64 ? 24 : 12;

// result [rows][width] = (or +=) left * right, width a multiple of LANES.
template <bool add>
void multiply(Left left, const float* right, int right_row, int depth, int rows, int width, float* result, int result_row) {
    int c = 0;
    const int vectors = width / LANES;
    if constexpr (FS_PACK_BYTES == 64) {
        if (vectors % 4 == 0)
            for (; c < width; c += 4 * LANES) columns<SUMS / 4, 4, add>(left, right + c, right_row, depth, rows, result + c, result_row);
        else if (vectors % 3 == 0)
            for (; c < width; c += 3 * LANES) columns<SUMS / 3, 3, add>(left, right + c, right_row, depth, rows, result + c, result_row);
    }
    for (; c + 2 * LANES <= width; c += 2 * LANES)
        columns<SUMS / 2, 2, add>(left, right + c, right_row, depth, rows, result + c, result_row);
    for (; c < width; c += LANES) columns<SUMS, 1, add>(left, right + c, right_row, depth, rows, result + c, result_row);
}

struct Layer {
    int in, out, in_row, out_row;  // units, and the length of padded rows
    int64_t given;                 // where its matrix begins in the caller's weights
    int64_t plain, turned;         // and in the padded copies: [out][in_row], [in][out_row]
};

struct Network {
    Layer layer[MOST_LAYERS];
    int layers = 0;
    int64_t given = 0, plain = 0, turned = 0;
    int widest = 0;

    explicit Network(const MlpCall& call) {
        for (int l = 0; l <= call.hidden_layers; ++l) {
            const int in = l ? call.width : call.inputs, out = l < call.hidden_layers ? call.width : call.outputs;
            layer[layers++] = {in, out, padded(in), padded(out), given, plain, turned};
            given += int64_t(in) * out;
            plain += int64_t(out) * padded(in);
            turned += int64_t(in) * padded(out);
            widest = std::max(widest, std::max(padded(in), padded(out)));
        }
    }
};

// The weights in the two orders in which the products read them, rows padded with zeros.
struct Copies {
    float *plain, *turned;

    Copies(const Network& net, const float* weights) {
        plain = static_cast<float*>(scratch(1, size_t(net.plain + net.turned) * sizeof(float)));
        turned = plain + net.plain;
        std::memset(plain, 0, size_t(net.plain + net.turned) * sizeof(float));
        for (int l = 0; l < net.layers; ++l) {
            const Layer& layer = net.layer[l];
            for (int o = 0; o < layer.out; ++o) {
                for (int i = 0; i < layer.in; ++i) {
                    const float w = weights[layer.given + int64_t(o) * layer.in + i];
                    plain[layer.plain + o * layer.in_row + i] = w;
                    turned[layer.turned + i * layer.out_row + o] = w;
                }
            }
        }
    }
};

// What a thread keeps of a tile: the input of every layer and the output, and two gradients to swap.
struct Tile {
    float *input[MOST_LAYERS + 1], *gradient, *other, *grad_weights;

    Tile(const Network& net, bool train) {
        const int64_t size = int64_t(TILE) * net.widest;
        float* memory = static_cast<float*>(scratch(2, size_t((net.layers + 3) * size + (train ? net.plain : 0)) * sizeof(float)));
        for (int l = 0; l <= net.layers; ++l) input[l] = memory + l * size;
        gradient = memory + (net.layers + 1) * size;
        other = gradient + size;
        grad_weights = train ? other + size : nullptr;
        if (train) std::memset(grad_weights, 0, size_t(net.plain) * sizeof(float));
    }
};

// Rows of `units` numbers → rows of a tile, padded with zeros in both directions.
void read_rows(const float* rows, int units, int points, int row, float* tile) {
    for (int p = 0; p < points; ++p) {
        std::memcpy(tile + p * row, rows + int64_t(p) * units, units * sizeof(float));
        for (int i = units; i < row; ++i) tile[p * row + i] = 0;
    }
    std::memset(tile + points * row, 0, size_t(TILE - points) * row * sizeof(float));
}

void forward(const Network& net, const Copies& copies, const Tile& tile) {
    for (int l = 0; l < net.layers; ++l) {
        const Layer& layer = net.layer[l];
        float* out = tile.input[l + 1];
        multiply<false>({tile.input[l], layer.in_row, 1}, copies.turned + layer.turned, layer.out_row, layer.in, TILE,
                        layer.out_row, out, layer.out_row);
        if (l + 1 == net.layers) return;
        for (int i = 0; i < TILE * layer.out_row; i += LANES) {
            const Floats z = load<Floats>(out + i), zero = {};
            store(out + i, z > zero ? z : zero);
        }
    }
}

// Sum of the losses of a tile; `gradient` gets that of the output, zero in the padding.
double losses(const MlpCall& call, const float* output, const float* target, int points, int row, float* gradient) {
    const float scale = 1.0f / (float(call.points) * float(call.outputs));
    double sum = 0;
    std::memset(gradient, 0, size_t(TILE) * row * sizeof(float));
    for (int p = 0; p < points; ++p) {
        for (int c = 0; c < call.outputs; ++c) {
            const float y = output[p * row + c], d = y - target[int64_t(p) * call.outputs + c];
            float& g = gradient[p * row + c];
            if (call.loss == loss_l1) {
                sum += d < 0 ? -d : d;
                g = d > 0 ? scale : d < 0 ? -scale : d;
            } else {
                const float share = call.loss == loss_relative_l2 ? 1.0f / (y * y + 0.01f) : 1.0f;
                sum += double(d * d * share);
                g = 2.0f * d * share * scale;
            }
        }
    }
    return sum;
}

void backward(const Network& net, const Copies& copies, Tile& tile) {
    for (int l = net.layers - 1; l >= 0; --l) {
        const Layer& layer = net.layer[l];
        multiply<true>({tile.gradient, 1, layer.out_row}, tile.input[l], layer.in_row, TILE, layer.out, layer.in_row,
                       tile.grad_weights + layer.plain, layer.in_row);
        multiply<false>({tile.gradient, layer.out_row, 1}, copies.plain + layer.plain, layer.in_row, layer.out, TILE,
                        layer.in_row, tile.other, layer.in_row);
        if (l > 0) {
            for (int i = 0; i < TILE * layer.in_row; i += LANES) {
                const Floats h = load<Floats>(tile.input[l] + i), g = load<Floats>(tile.other + i), zero = {};
                store(tile.other + i, h > zero ? g : zero);
            }
        }
        std::swap(tile.gradient, tile.other);
    }
}

int64_t tiles(const MlpCall& call) { return (call.points + TILE - 1) / TILE; }

int points_of(const MlpCall& call, int64_t first) { return int(std::min<int64_t>(TILE, call.points - first)); }

void write_rows(const float* tile, int row, int units, int points, float* rows) {
    for (int p = 0; p < points; ++p) std::memcpy(rows + int64_t(p) * units, tile + p * row, units * sizeof(float));
}

}  // namespace

void mlp_forward(const MlpCall& call) {
    const Network net(call);
    const Copies copies(net, call.weights);
    parallel(call.workers, [&](int worker) {
        const Tile tile(net, false);
        const Part part = part_of(tiles(call), call.workers, worker);
        for (int64_t t = part.first; t < part.last; ++t) {
            const int64_t first = t * TILE;
            const int points = points_of(call, first);
            read_rows(call.features + first * call.inputs, call.inputs, points, net.layer[0].in_row, tile.input[0]);
            forward(net, copies, tile);
            write_rows(tile.input[net.layers], net.layer[net.layers - 1].out_row, call.outputs, points,
                       call.output + first * call.outputs);
        }
    });
}

void mlp_gradients(const MlpCall& call) {
    const Network net(call);
    const Copies copies(net, call.weights);
    // Each worker's sums, added up in the order of the workers: the same bits for the same number of threads.
    float* sums = static_cast<float*>(scratch(3, size_t(call.workers) * net.plain * sizeof(float)));
    double* losses_of = static_cast<double*>(scratch(4, size_t(call.workers) * sizeof(double)));
    parallel(call.workers, [&](int worker) {
        Tile tile(net, true);
        const Part part = part_of(tiles(call), call.workers, worker);
        double sum = 0;
        for (int64_t t = part.first; t < part.last; ++t) {
            const int64_t first = t * TILE;
            const int points = points_of(call, first);
            read_rows(call.features + first * call.inputs, call.inputs, points, net.layer[0].in_row, tile.input[0]);
            forward(net, copies, tile);
            sum += losses(call, tile.input[net.layers], call.target + first * call.outputs, points,
                          net.layer[net.layers - 1].out_row, tile.gradient);
            backward(net, copies, tile);
            write_rows(tile.gradient, net.layer[0].in_row, call.inputs, points, call.grad_features + first * call.inputs);
        }
        std::memcpy(sums + worker * net.plain, tile.grad_weights, size_t(net.plain) * sizeof(float));
        losses_of[worker] = sum;
    });
    *call.loss_sum = 0;
    for (int worker = 0; worker < call.workers; ++worker) *call.loss_sum += losses_of[worker];
    for (int l = 0; l < net.layers; ++l) {
        const Layer& layer = net.layer[l];
        for (int o = 0; o < layer.out; ++o) {
            for (int i = 0; i < layer.in; ++i) {
                float sum = 0;
                for (int worker = 0; worker < call.workers; ++worker)
                    sum += sums[worker * net.plain + layer.plain + o * layer.in_row + i];
                call.grad_weights[layer.given + int64_t(o) * layer.in + i] = sum;
            }
        }
    }
}

}  // namespace fs::FS_ISA
