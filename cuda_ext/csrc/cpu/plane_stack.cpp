// Each object is one thread's: planes, network and gradients of one object stay in the near caches, and no result
// depends on the number of threads.
#include "plane_stack.h"

#include "network.h"
#include "point_loss.h"

namespace fs::FS_ISA {
namespace {

constexpr int PLANES = 3;
// Axes of the planes, the one that varies fastest first.
constexpr int PLANE_AXES[PLANES][2] = {{0, 1}, {0, 2}, {1, 2}};
// Phases of a point: 24 octaves of three coordinates, padded.
constexpr int MAX_PHASES = 80;

// The cell of a point in a plane: the first of its four entries, and their weights.
struct Cell {
    int64_t entry;
    float weight[4];
};

struct Planes {
    const PlaneStackCall& call;
    int64_t start[PLANES], entries = 0;
    int phases;
    int axis[MAX_PHASES];
    float band[MAX_PHASES];

    explicit Planes(const PlaneStackCall& call) : call(call), phases(3 * call.octaves) {
        for (int i = 0; i < PLANES; ++i) {
            start[i] = entries;
            entries += int64_t(call.nodes[PLANE_AXES[i][0]]) * call.nodes[PLANE_AXES[i][1]];
        }
        for (int i = 0; i < MAX_PHASES; ++i) {
            axis[i] = i % 3;
            band[i] = i < phases ? float(int64_t(1) << (i / 3)) : 0.0f;
        }
    }

    void locate(const float* coords, Cell* cells) const {
        int64_t node[3];
        float fraction[3];
        for (int d = 0; d < 3; ++d) {
            const int last = call.nodes[d] - 1;
            const float at = coords[d] * float(last);
            // NaN becomes 0.
            const float position = at > 0.0f ? at < float(last) ? at : float(last) : 0.0f;
            const int64_t before = int64_t(position);
            node[d] = before < last ? before : last - 1;
            fraction[d] = position - float(node[d]);
        }
        for (int i = 0; i < PLANES; ++i) {
            const int a = PLANE_AXES[i][0], b = PLANE_AXES[i][1];
            cells[i].entry = start[i] + node[b] * call.nodes[a] + node[a];
            const float u = fraction[a], v = fraction[b];
            cells[i].weight[0] = (1.0f - u) * (1.0f - v);
            cells[i].weight[1] = u * (1.0f - v);
            cells[i].weight[2] = (1.0f - u) * v;
            cells[i].weight[3] = u * v;
        }
    }

    int64_t step(int plane) const { return call.nodes[PLANE_AXES[plane][0]]; }

    // Writes what the network sees of a point.
    void encode(const float* table, const float* coords, const Cell* cells, float* row, int64_t stride) const {
        const int features = call.features;
        for (int c = 0; c < features; ++c) row[c] = 0.0f;
        for (int i = 0; i < PLANES; ++i) {
            const float* w = cells[i].weight;
            const float* near = table + cells[i].entry * features;
            const float* far = near + step(i) * features;
            for (int c = 0; c < features; ++c)
                row[c] += w[0] * near[c] + w[1] * near[features + c] + w[2] * far[c] + w[3] * far[features + c];
        }
        float x[3];
        for (int d = 0; d < 3; ++d) row[features + d] = x[d] = coords[d] * 2.0f - 1.0f;
        float sines[MAX_PHASES], cosines[MAX_PHASES], phase[MAX_PHASES];
        for (int f = 0; f < phases; ++f) phase[f] = x[axis[f]] * band[f];
        for (int f = phases; f < (phases + 15) / 16 * 16; ++f) phase[f] = 0.0f;
        for (int f = 0; f < phases; f += WIDTH<float>) {
            Floats sine, cosine;
            sine_and_cosine(load<Floats>(phase + f), sine, cosine);
            store(sines + f, sine);
            store(cosines + f, cosine);
        }
        float* waves = row + features + 3;
        for (int f = 0; f < phases; ++f) waves[f] = sines[f];
        for (int f = 0; f < phases; ++f) waves[phases + f] = cosines[f];
        for (int64_t k = features + 3 + 2 * phases; k < stride; ++k) row[k] = 0.0f;
    }

    // Adds the gradients of a point's features to those of the planes.
    void scatter(float* grad, const Cell* cells, const float* row) const {
        const int features = call.features;
        for (int i = 0; i < PLANES; ++i) {
            const float* w = cells[i].weight;
            float* near = grad + cells[i].entry * features;
            float* far = near + step(i) * features;
            for (int c = 0; c < features; ++c) {
                near[c] += w[0] * row[c];
                far[c] += w[2] * row[c];
            }
            for (int c = 0; c < features; ++c) {
                near[features + c] += w[1] * row[c];
                far[features + c] += w[3] * row[c];
            }
        }
    }
};

// The network of one object.
MlpRecord network_of(const PlaneStackCall& call, int object) {
    MlpRecord mlp = call.mlp;
    for (int i = 0; i < mlp.matrices; ++i) {
        const int64_t outputs = mlp.sizes[i + 1], numbers = outputs * mlp.sizes[i];
        const auto moved = [](auto* from, int64_t by) {
            using T = std::conditional_t<std::is_const_v<std::remove_pointer_t<decltype(from)>>, const float, float>;
            return static_cast<T*>(from) + by;
        };
        if (!call.shared) {
            mlp.weight[i] = moved(mlp.weight[i], object * numbers);
            if (mlp.bias[i]) mlp.bias[i] = moved(mlp.bias[i], object * outputs);
        }
        mlp.grad_weight[i] = moved(mlp.grad_weight[i], object * numbers);
        if (mlp.bias[i]) mlp.grad_bias[i] = moved(mlp.grad_bias[i], object * outputs);
    }
    return mlp;
}

template <class Net>
void object_gradients(const PlaneStackCall& call, const Planes& planes, int object) {
    const MlpRecord mlp = network_of(call, object);
    Net net(mlp);
    float* sums = prepare(mlp, net, 1);
    for (int64_t i = 0; i < net.gradients; ++i) sums[i] = 0.0f;
    const int64_t numbers = planes.entries * call.features, stride = net.input_stride[0],
                  first_point = object * call.points;
    const float* table = call.table + object * numbers;
    float* grad = call.grad_table + object * numbers;
    for (int64_t i = 0; i < numbers; ++i) grad[i] = 0.0f;
    const int outputs = net.outputs[net.last()];
    const PointLoss<float> loss(call.loss, call.targets + first_point * outputs,
                                call.sample_weights ? call.sample_weights + first_point : nullptr, call.points,
                                outputs);
    auto tile = net.tile();
    float* rows = static_cast<float*>(scratch(features_slot, size_t(TILE * stride) * sizeof(float)));
    Cell cells[TILE * PLANES];
    double total = 0.0;
    for (int64_t first = 0; first < call.points; first += TILE) {
        const int count = int(call.points - first < TILE ? call.points - first : TILE);
        for (int p = 0; p < count; ++p) {
            const float* coords = call.coords + (first_point + first + p) * 3;
            planes.locate(coords, cells + p * PLANES);
            planes.encode(table, coords, cells + p * PLANES, rows + p * stride, stride);
        }
        for (int64_t i = count * stride; i < TILE * stride; ++i) rows[i] = 0.0f;
        float* values = forward_tile(net, rows, tile);
        total += loss.gradient(first, count, values, net.values_stride());
        backward_tile(net, rows, tile, sums, true);
        for (int p = 0; p < count; ++p) planes.scatter(grad, cells + p * PLANES, rows + p * stride);
    }
    add_gradients(mlp, net, sums, 1);
    call.losses[object] = loss.mean(&total, 1);
}

}  // namespace

void plane_stack_gradients(const PlaneStackCall& call) {
    const Planes planes(call);
    with_float_network(call.mlp, [&](auto type) {
        parallel_for(call.objects, call.num_threads,
                     [&](int object) { object_gradients<typename decltype(type)::Net>(call, planes, object); });
    });
}

}  // namespace fs::FS_ISA

#if defined(FS_EXPORTS)
FS_API void fs_plane_stack_gradients(const fs::PlaneStackCall* call) { FS_CALL(plane_stack_gradients, *call); }
#endif
