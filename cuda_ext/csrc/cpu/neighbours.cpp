// Nearest neighbours by a balanced k-d tree without pointers (Bentley 1975; Friedman, Bentley & Finkel 1977). The
// children of a range of centres are its halves when sorted along the widest axis. A leaf's range fills one or two SIMD
// vectors, whose distances are computed together. The tree stays fast where centres lie on curves and surfaces, where
// most cells of a uniform grid would be empty and a few full.
#include "neighbours.h"

#include "parallel.h"
#include "simd.h"

namespace fs::FS_ISA {
namespace {

using Floats = Simd<float>;
constexpr int LANES = WIDTH<float>;
constexpr int LEAF_SIZE = 16;         // maximum number of centres of a leaf
constexpr int MAX_DEPTH = 32;         // maximum depth of the tree
constexpr int POINTS_PER_TASK = 256;  // points that a thread takes at a time
// Factor on the distance to a half, so that rounding never hides a half with an equally near centre.
constexpr float ROUNDING_MARGIN = 1.0f - 1e-6f;

enum { tree_slot = 0 };

template <int D>
struct Tree {
    int levels;  // below the root; there are 2^levels leaves
    int64_t centres;
    int32_t* order;  // [centres]: indices of centres in the order of the leaves
    float*
        split;  // [2^levels]: split coordinate of node i; node 1 is the root, the children of node i are 2i and 2i + 1
    uint8_t* axis;  // [2^levels]: split axis
    float* leaves;  // [2^levels][D][LEAF_SIZE]: coordinates of the leaves' centres, padded with infinity

    int64_t nodes() const { return int64_t(1) << levels; }
    static int levels_for(int64_t centres) {
        int levels = 0;
        while ((centres + (int64_t(1) << levels) - 1) >> levels > LEAF_SIZE) ++levels;
        return levels;
    }
    // Position in `order` where a leaf begins. The ranges of inner nodes begin and end at such positions too.
    int64_t begin(int64_t leaf) const { return leaf * centres >> levels; }
};

// Quickselect (Hoare 1961): reorders order[first .. last - 1] such that the centre at `middle` is the one that sorting
// by (coordinate, index) would put there, with no greater one before it and no smaller one behind it.
template <int D>
void select(const float* centres, int axis, int32_t* order, int64_t first, int64_t last, int64_t middle) {
    const auto key = [&](int32_t n) { return centres[int64_t(n) * D + axis]; };
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
void build(const Tree<D>& tree, const float* centres, int64_t node, int level) {
    const int below = tree.levels - level;
    const int64_t leaf = (node << below) - tree.nodes();
    const int64_t first = tree.begin(leaf), last = tree.begin(leaf + (int64_t(1) << below));
    if (below == 0) {
        float* to = tree.leaves + leaf * D * LEAF_SIZE;
        for (int a = 0; a < D; ++a)
            for (int i = 0; i < LEAF_SIZE; ++i)
                to[a * LEAF_SIZE + i] =
                    first + i < last ? centres[int64_t(tree.order[first + i]) * D + a] : __builtin_huge_valf();
        return;
    }
    int widest = 0;
    float largest = -1.0f;
    for (int a = 0; a < D; ++a) {
        float low = __builtin_huge_valf(), high = -__builtin_huge_valf();
        for (int64_t i = first; i < last; ++i) {
            const float x = centres[int64_t(tree.order[i]) * D + a];
            low = x < low ? x : low;
            high = x > high ? x : high;
        }
        if (high - low > largest) {
            largest = high - low;
            widest = a;
        }
    }
    const int64_t middle = tree.begin(leaf + (int64_t(1) << (below - 1)));
    select<D>(centres, widest, tree.order, first, last, middle);
    tree.axis[node] = uint8_t(widest);
    tree.split[node] = centres[int64_t(tree.order[middle]) * D + widest];
    build(tree, centres, 2 * node, level + 1);
    build(tree, centres, 2 * node + 1, level + 1);
}

// The nearest found so far, where they fit into one SIMD vector: each keeps its lane, or is replaced by the new one or
// its left neighbour. Without branches, because they would be unpredictable.
struct NearestInRegister {
    using SimdInt32 = SimdTypes<float>::int32;
    Floats square;
    SimdInt32 index;

    FS_HOST_DEVICE void clear(int) {
        square = broadcast(__builtin_huge_valf());
        index = SimdInt32{} + 0x7fffffff;
    }
    FS_HOST_DEVICE float worst(int count) const { return square[count - 1]; }
    FS_HOST_DEVICE void insert(int, float s, int32_t n) {
        const auto left = [](int lane) { return lane ? lane - 1 : 0; };
        const Floats left_square = shuffled<LANES>(square, left);
        const SimdInt32 left_index = shuffled<LANES>(index, left);
        const Floats new_square = broadcast(s);
        const SimdInt32 new_index = SimdInt32{} + n;
        const SimdInt32 after = (square > new_square) | ((square == new_square) & (index > new_index));
        SimdInt32 left_after = (left_square > new_square) | ((left_square == new_square) & (left_index > new_index));
        left_after[0] = 0;
        square = after ? (left_after ? left_square : new_square) : square;
        index = after ? (left_after ? left_index : new_index) : index;
    }
};

// A half to be searched later, with the point's distance to it along each axis.
template <int D>
struct PendingNode {
    int64_t node;
    float square;
    float gap[D];
};

template <int D, class Found>
FS_HOST_DEVICE void visit(const Tree<D>& tree, int64_t leaf, const float* x, int k, Found& found) {
    const float* at = tree.leaves + leaf * D * LEAF_SIZE;
    const int64_t first = tree.begin(leaf);
    const int count = int(tree.begin(leaf + 1) - first);
    alignas(64) float square[LEAF_SIZE];
    for (int i = 0; i < LEAF_SIZE; i += LANES) {
        Floats sum = {};
        for (int a = 0; a < D; ++a) {
            const Floats offset = broadcast(x[a]) - load<Floats>(at + a * LEAF_SIZE + i);
            sum = sum + offset * offset;
        }
        store(square + i, sum);
    }
    const float worst = found.worst(k);
    uint32_t near = 0;
    for (int i = 0; i < LEAF_SIZE; ++i) near |= uint32_t(square[i] <= worst) << i;
    near &= (1u << count) - 1;
    for (; near; near &= near - 1) {
        const int i = __builtin_ctz(near);
        found.insert(k, square[i], tree.order[first + i]);
    }
}

template <int D, class Found>
FS_HOST_DEVICE void search(const Tree<D>& tree, const float* x, int k, Found& found) {
    PendingNode<D> pending[MAX_DEPTH];
    int num_pending = 0;
    found.clear(k);
    PendingNode<D> now = {1, 0.0f, {}};
    for (;;) {
        while (now.node < tree.nodes()) {
            const int axis = tree.axis[now.node];
            const float past = x[axis] - tree.split[now.node];
            const int64_t far_side =
                past < 0.0f;  // index of the half that does not contain the point, relative to the other
            PendingNode<D>& rest = pending[num_pending++];
            rest = now;
            rest.node = 2 * now.node + far_side;
            rest.gap[axis] = past;
            rest.square = 0.0f;
            for (int a = 0; a < D; ++a) rest.square += rest.gap[a] * rest.gap[a];
            now.node = 2 * now.node + 1 - far_side;
        }
        visit(tree, now.node - tree.nodes(), x, k, found);
        do {
            if (num_pending == 0) return;
            now = pending[--num_pending];
        } while (now.square * ROUNDING_MARGIN > found.worst(k));
    }
}

template <int D, class Found>
void search_all(const NearestCall& call) {
    Tree<D> tree;
    tree.centres = call.num_centres;
    tree.levels = Tree<D>::levels_for(call.num_centres);
    const int64_t nodes = tree.nodes(), leaf_values = nodes * D * LEAF_SIZE;
    const int64_t bytes =
        (leaf_values + nodes) * int64_t(sizeof(float)) + call.num_centres * int64_t(sizeof(int32_t)) + nodes;
    tree.leaves = static_cast<float*>(scratch(tree_slot, size_t(bytes)));
    tree.split = tree.leaves + leaf_values;
    tree.order = reinterpret_cast<int32_t*>(tree.split + nodes);
    tree.axis = reinterpret_cast<uint8_t*>(tree.order + call.num_centres);
    for (int64_t i = 0; i < call.num_centres; ++i) tree.order[i] = int32_t(i);
    build(tree, call.centres, 1, 0);
    advise_huge_pages(call.nearest, size_t(call.points) * size_t(call.neighbours) * sizeof(int32_t));
    parallel_for(int((call.points + POINTS_PER_TASK - 1) / POINTS_PER_TASK), call.num_threads, [&](int run) {
        Found found;
        const int64_t first = int64_t(run) * POINTS_PER_TASK,
                      last = first + POINTS_PER_TASK < call.points ? first + POINTS_PER_TASK : call.points;
        for (int64_t p = first; p < last; ++p) {
            search(tree, call.coords + p * D, call.neighbours, found);
            for (int i = 0; i < call.neighbours; ++i) call.nearest[p * call.neighbours + i] = found.index[i];
        }
    });
}

template <int D>
void nearest_of(const NearestCall& call) {
    call.neighbours <= LANES ? search_all<D, NearestInRegister>(call) : search_all<D, Nearest<MAX_NEAREST>>(call);
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

#if defined(FS_EXPORTS)
FS_API void fs_nearest(const fs::NearestCall* call) { FS_CALL(nearest, *call); }
#endif
