// A balanced k-d tree without pointers: the halves of a range of centres, sorted by the widest axis, are its children,
// and the range of a leaf fills one or two packs, whose distances are computed together. It holds its pace where the
// centres lie on curves and surfaces, which leave most cells of a uniform grid empty and a few full.
#include "neighbours.h"

#include "parallel.h"
#include "vector.h"

namespace fs::FS_ISA {
namespace {

using Floats = Pack<float>;
constexpr int LANES = WIDTH<float>;
constexpr int LEAF = 16;    // most centres of a leaf
constexpr int LEVELS = 32;  // of the tree, at most
constexpr int RUN = 256;    // points that a worker takes at a time
// Rounding must not hide a half that holds an equally near centre.
constexpr float CAUTION = 1.0f - 1e-6f;

enum { tree_slot = 0 };

template <int D>
struct Tree {
    int levels;  // below the root; 2^levels leaves
    int64_t centres;
    int32_t* order;  // [centres]: the centre at each place
    float* split;    // [2^levels]: where node i is cut; node 1 is the root, its children are 2i and 2i + 1
    uint8_t* axis;   // [2^levels]
    float* leaves;   // [2^levels][D][LEAF], padded with infinity

    int64_t nodes() const { return int64_t(1) << levels; }
    static int levels_for(int64_t centres) {
        int levels = 0;
        while ((centres + (int64_t(1) << levels) - 1) >> levels > LEAF) ++levels;
        return levels;
    }
    // Where leaf number i begins. Its parents' ranges begin and end at such places too.
    int64_t begin(int64_t leaf) const { return leaf * centres >> levels; }
};

// order[first..last) such that the centre at `middle` is where sorting by (coordinate, number) would put it, none
// before it is greater and none behind it less (Hoare 1961).
template <int D>
void select(const float* places, int axis, int32_t* order, int64_t first, int64_t last, int64_t middle) {
    const auto key = [&](int32_t n) { return places[int64_t(n) * D + axis]; };
    while (last - first > 1) {
        const int32_t pivot = order[(first + last) / 2];
        const float at = key(pivot);
        int64_t low = first, high = last - 1;
        while (low <= high) {
            while (key(order[low]) < at || (key(order[low]) == at && order[low] < pivot)) ++low;
            while (key(order[high]) > at || (key(order[high]) == at && order[high] > pivot)) --high;
            if (low > high) break;
            const int32_t kept = order[low];
            order[low++] = order[high];
            order[high--] = kept;
        }
        if (middle <= high) {
            last = high + 1;
        } else if (middle >= low) {
            first = low;
        } else {
            return;
        }
    }
}

template <int D>
void build(const Tree<D>& tree, const float* places, int64_t node, int level) {
    const int below = tree.levels - level;
    const int64_t leaf = (node << below) - tree.nodes();
    const int64_t first = tree.begin(leaf), last = tree.begin(leaf + (int64_t(1) << below));
    if (below == 0) {
        float* to = tree.leaves + leaf * D * LEAF;
        for (int a = 0; a < D; ++a)
            for (int i = 0; i < LEAF; ++i)
                to[a * LEAF + i] =
                    first + i < last ? places[int64_t(tree.order[first + i]) * D + a] : __builtin_huge_valf();
        return;
    }
    int widest = 0;
    float most = -1.0f;
    for (int a = 0; a < D; ++a) {
        float low = __builtin_huge_valf(), high = -__builtin_huge_valf();
        for (int64_t i = first; i < last; ++i) {
            const float x = places[int64_t(tree.order[i]) * D + a];
            low = x < low ? x : low;
            high = x > high ? x : high;
        }
        if (high - low > most) {
            most = high - low;
            widest = a;
        }
    }
    const int64_t middle = tree.begin(leaf + (int64_t(1) << (below - 1)));
    select<D>(places, widest, tree.order, first, last, middle);
    tree.axis[node] = uint8_t(widest);
    tree.split[node] = places[int64_t(tree.order[middle]) * D + widest];
    build(tree, places, 2 * node, level + 1);
    build(tree, places, 2 * node + 1, level + 1);
}

// The nearest so far where they fit into a pack: each keeps its lane, or makes way for the new one or for its left
// neighbour. No branches, which could not be predicted here.
struct NearestPack {
    using Whole = PackOf<float>::whole;
    Floats square;
    Whole number;

    FS_HOST_DEVICE void clear(int) {
        square = spread(__builtin_huge_valf());
        number = Whole{} + 0x7fffffff;
    }
    FS_HOST_DEVICE float worst(int count) const { return square[count - 1]; }
    FS_HOST_DEVICE void offer(int, float s, int32_t n) {
        Whole left;
        for (int i = 0; i < LANES; ++i) left[i] = i ? i - 1 : 0;
        const Floats left_square = __builtin_shuffle(square, left);
        const Whole left_number = __builtin_shuffle(number, left);
        const Floats new_square = spread(s);
        const Whole new_number = Whole{} + n;
        const Whole after = (square > new_square) | ((square == new_square) & (number > new_number));
        Whole left_after = (left_square > new_square) | ((left_square == new_square) & (left_number > new_number));
        left_after[0] = 0;
        square = after ? (left_after ? left_square : new_square) : square;
        number = after ? (left_after ? left_number : new_number) : number;
    }
};

// A half that was left for later: how far the point is from it along each axis.
template <int D>
struct Later {
    int64_t node;
    float square;
    float gap[D];
};

template <int D, class Found>
FS_HOST_DEVICE void visit(const Tree<D>& tree, int64_t leaf, const float* x, int k, Found& found) {
    const float* at = tree.leaves + leaf * D * LEAF;
    const int64_t first = tree.begin(leaf);
    const int count = int(tree.begin(leaf + 1) - first);
    alignas(64) float square[LEAF];
    for (int i = 0; i < LEAF; i += LANES) {
        Floats sum = {};
        for (int a = 0; a < D; ++a) {
            const Floats offset = spread(x[a]) - load<Floats>(at + a * LEAF + i);
            sum = sum + offset * offset;
        }
        store(square + i, sum);
    }
    const float worst = found.worst(k);
    uint32_t near = 0;
    for (int i = 0; i < LEAF; ++i) near |= uint32_t(square[i] <= worst) << i;
    near &= (1u << count) - 1;
    for (; near; near &= near - 1) {
        const int i = __builtin_ctz(near);
        found.offer(k, square[i], tree.order[first + i]);
    }
}

template <int D, class Found>
FS_HOST_DEVICE void search(const Tree<D>& tree, const float* x, int k, Found& found) {
    Later<D> later[LEVELS];
    int waiting = 0;
    found.clear(k);
    Later<D> now = {1, 0.0f, {}};
    for (;;) {
        while (now.node < tree.nodes()) {
            const int axis = tree.axis[now.node];
            const float past = x[axis] - tree.split[now.node];
            const int64_t far_side = past < 0.0f;  // the near half is the other
            Later<D>& rest = later[waiting++];
            rest = now;
            rest.node = 2 * now.node + far_side;
            rest.gap[axis] = past;
            rest.square = 0.0f;
            for (int a = 0; a < D; ++a) rest.square += rest.gap[a] * rest.gap[a];
            now.node = 2 * now.node + 1 - far_side;
        }
        visit(tree, now.node - tree.nodes(), x, k, found);
        do {
            if (waiting == 0) return;
            now = later[--waiting];
        } while (now.square * CAUTION > found.worst(k));
    }
}

template <int D, class Found>
void search_all(const NearestCall& call) {
    Tree<D> tree;
    tree.centres = call.centres;
    tree.levels = Tree<D>::levels_for(call.centres);
    const int64_t nodes = tree.nodes(), leaf_numbers = nodes * D * LEAF;
    const int64_t bytes =
        (leaf_numbers + nodes) * int64_t(sizeof(float)) + call.centres * int64_t(sizeof(int32_t)) + nodes;
    tree.leaves = static_cast<float*>(scratch(tree_slot, size_t(bytes)));
    tree.split = tree.leaves + leaf_numbers;
    tree.order = reinterpret_cast<int32_t*>(tree.split + nodes);
    tree.axis = reinterpret_cast<uint8_t*>(tree.order + call.centres);
    for (int64_t i = 0; i < call.centres; ++i) tree.order[i] = int32_t(i);
    build(tree, call.places, 1, 0);
    expect_writes(call.nearest, size_t(call.points) * size_t(call.neighbours) * sizeof(int32_t));
    for_each(int((call.points + RUN - 1) / RUN), call.workers, [&](int run) {
        Found found;
        const int64_t first = int64_t(run) * RUN, last = first + RUN < call.points ? first + RUN : call.points;
        for (int64_t p = first; p < last; ++p) {
            search(tree, call.coords + p * D, call.neighbours, found);
            for (int i = 0; i < call.neighbours; ++i) call.nearest[p * call.neighbours + i] = found.number[i];
        }
    });
}

template <int D>
void nearest_of(const NearestCall& call) {
    call.neighbours <= LANES ? search_all<D, NearestPack>(call) : search_all<D, Nearest<MOST_NEAREST>>(call);
}

}  // namespace

void nearest(const NearestCall& call) {
    switch (call.dimensions) {
        case 1: return nearest_of<1>(call);
        case 2: return nearest_of<2>(call);
        case 3: return nearest_of<3>(call);
    }
}

}  // namespace fs::FS_ISA
