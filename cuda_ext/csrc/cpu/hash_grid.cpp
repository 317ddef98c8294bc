// The multiresolution grid on the CPU. One source for every instruction set: plain loops over blocks of points that
// the compiler turns into vectors, and short vectors of one entry's features.
//
// Points are taken in tiles and a tile level by level, so that the part of the table in use stays in the second-level
// cache. Gradients of the table need no atomics: a level is scattered by one thread, in the order of the points, so a
// sum does not depend on how many threads there are.
#include "hash_grid.h"

#include "grid_block.h"
#include "parallel.h"

namespace fs::FS_ISA {
namespace {

constexpr int TILE = 4096;  // points; a multiple of BLOCK

template <class T, int F>
using Entry = Vector<T, F>;

template <class T>
void* tile_scratch(int slot, int64_t numbers) {
    return scratch(slot, size_t(numbers) * sizeof(T));
}

// Coordinates of a tile, axis by axis, padded to whole blocks.
template <class T, int D>
void split_axes(const T* coords, int points, T* axes) {
    for (int axis = 0; axis < D; ++axis) {
        for (int p = 0; p < points; ++p) axes[axis * TILE + p] = coords[p * D + axis];
        for (int p = points; p < (points + BLOCK - 1) / BLOCK * BLOCK; ++p) axes[axis * TILE + p] = T(0);
    }
}

// [levels][TILE][F] → [points][levels * F], and back. `from` and `to` bound the levels.
template <class T, int F>
void rows_from_levels(const T* levels, int count, int points, T* rows) {
    for (int p = 0; p < points; ++p)
        for (int l = 0; l < count; ++l)
            Entry<T, F>::load(levels + (int64_t(l) * TILE + p) * F).store(rows + (int64_t(p) * count + l) * F);
}

template <class T, int F>
void levels_from_rows(const T* rows, int count, int points, T* levels, int64_t level_stride) {
    for (int p = 0; p < points; ++p)
        for (int l = 0; l < count; ++l)
            Entry<T, F>::load(rows + (int64_t(p) * count + l) * F).store(levels + l * level_stride + int64_t(p) * F);
}

template <class T, int D, int F>
FS_HOST_DEVICE void gather(const T* table, const Corners<T, D>& corners, int points, T* out) {
    for (int p = 0; p < points; ++p) {
        Entry<T, F> sum = Entry<T, F>::zero();
        for (int c = 0; c < (1 << D); ++c)
            sum.add(Entry<T, F>::load(table + int64_t(corners.entry[c][p]) * F), corners.weight[c][p]);
        sum.store(out + p * F);
    }
}

template <class T, int D, int F>
FS_HOST_DEVICE void scatter(const T* grad, const Corners<T, D>& corners, int points, T* table) {
    for (int p = 0; p < points; ++p) {
        const Entry<T, F> g = Entry<T, F>::load(grad + p * F);
        for (int c = 0; c < (1 << D); ++c) {
            T* row = table + int64_t(corners.entry[c][p]) * F;
            Entry<T, F> value = Entry<T, F>::load(row);
            value.add(g, corners.weight[c][p]);
            value.store(row);
        }
    }
}

// dots[corner][point] = <entry of the corner, grad of the point>
template <class T, int D, int F>
FS_HOST_DEVICE void dot(const T* table, const T* grad, const Corners<T, D>& corners, int points, T (*dots)[BLOCK]) {
    for (int p = 0; p < points; ++p) {
        const Entry<T, F> g = Entry<T, F>::load(grad + p * F);
        for (int c = 0; c < (1 << D); ++c)
            dots[c][p] = Entry<T, F>::load(table + int64_t(corners.entry[c][p]) * F).dot(g);
    }
    for (int c = 0; c < (1 << D); ++c)
        for (int p = points; p < BLOCK; ++p) dots[c][p] = T(0);
}

// Everything that is known at compile time about a call: T, D, F and the interpolation.
template <class T, int D, int F, bool smooth>
struct Grid {
    const GridCall& call;
    const T* coords = static_cast<const T*>(call.coords);
    const T* table = static_cast<const T*>(call.table);
    const T* grad = static_cast<const T*>(call.grad);
    const T* direction = static_cast<const T*>(call.direction);
    const int levels = call.levels;
    const int64_t width = int64_t(levels) * F;

    static int tile_size(int64_t points, int64_t first) {
        return int(points - first < TILE ? points - first : TILE);
    }

    int64_t tiles() const { return (call.points + TILE - 1) / TILE; }

    // The corners of a block with the weights that the call means: with a direction, their change along it.
    void find(const GridLevel& level, const T* axes, const T* along, Corners<T, D>& corners) const {
        find_entries<T, D>(level, {axes, TILE}, corners);
        if (along) {
            direction_weights<smooth, T, D>(level, {axes, TILE}, {along, TILE}, corners);
        } else {
            value_weights<smooth>(corners);
        }
    }

    void forward_tile(int64_t first, int points, T* axes, T* along, T* by_level) const {
        split_axes<T, D>(coords + first * D, points, axes);
        if (along) split_axes<T, D>(direction + first * D, points, along);
        Corners<T, D> corners;
        for (int l = 0; l < levels; ++l) {
            const GridLevel& level = call.level[l];
            for (int b = 0; b < points; b += BLOCK) {
                find(level, axes + b, along ? along + b : nullptr, corners);
                gather<T, D, F>(table + level.offset * F, corners, points - b < BLOCK ? points - b : BLOCK,
                                by_level + (int64_t(l) * TILE + b) * F);
            }
        }
        rows_from_levels<T, F>(by_level, levels, points, static_cast<T*>(call.output) + first * width);
    }

    void forward() const {
        parallel(call.workers, [this](int worker) {
            const Part part = part_of(tiles(), call.workers, worker);
            T* axes = static_cast<T*>(tile_scratch<T>(0, D * TILE));
            T* along = direction ? static_cast<T*>(tile_scratch<T>(1, D * TILE)) : nullptr;
            T* by_level = static_cast<T*>(tile_scratch<T>(2, TILE * width));
            for (int64_t tile = part.first; tile < part.last; ++tile)
                forward_tile(tile * TILE, tile_size(call.points, tile * TILE), axes, along, by_level);
        });
    }

    void coords_tile(int64_t first, int points, T* axes, T* along, T* by_level, T* sums) const {
        split_axes<T, D>(coords + first * D, points, axes);
        if (along) split_axes<T, D>(direction + first * D, points, along);
        levels_from_rows<T, F>(grad + first * width, levels, points, by_level, int64_t(TILE) * F);
        for (int i = 0; i < D * TILE; ++i) sums[i] = T(0);
        Corners<T, D> corners;
        alignas(64) T dots[1 << D][BLOCK];
        for (int l = 0; l < levels; ++l) {
            const GridLevel& level = call.level[l];
            for (int b = 0; b < points; b += BLOCK) {
                find_entries<T, D>(level, {axes + b, TILE}, corners);
                dot<T, D, F>(table + level.offset * F, by_level + (int64_t(l) * TILE + b) * F, corners,
                             points - b < BLOCK ? points - b : BLOCK, dots);
                if (along) {
                    add_second_gradient<smooth, T, D>(level, {axes + b, TILE}, {along + b, TILE}, corners, dots, sums + b);
                } else {
                    add_gradient<smooth, T, D>(level, {axes + b, TILE}, corners, dots, sums + b);
                }
            }
        }
        T* out = static_cast<T*>(call.grad_coords) + first * D;
        for (int p = 0; p < points; ++p)
            for (int axis = 0; axis < D; ++axis) out[p * D + axis] = sums[axis * TILE + p];
    }

    void backward_coords() const {
        parallel(call.workers, [this](int worker) {
            const Part part = part_of(tiles(), call.workers, worker);
            T* axes = static_cast<T*>(tile_scratch<T>(0, D * TILE));
            T* along = direction ? static_cast<T*>(tile_scratch<T>(1, D * TILE)) : nullptr;
            T* by_level = static_cast<T*>(tile_scratch<T>(2, TILE * width));
            T* sums = static_cast<T*>(tile_scratch<T>(3, D * TILE));
            for (int64_t tile = part.first; tile < part.last; ++tile)
                coords_tile(tile * TILE, tile_size(call.points, tile * TILE), axes, along, by_level, sums);
        });
    }

    void scatter_level(const GridLevel& level, const T* axes, const T* along, const T* level_grad, int points,
                       T* level_table) const {
        Corners<T, D> corners;
        for (int b = 0; b < points; b += BLOCK) {
            find(level, axes + b, along ? along + b : nullptr, corners);
            scatter<T, D, F>(level_grad + int64_t(b) * F, corners, points - b < BLOCK ? points - b : BLOCK,
                             level_table);
        }
    }

    void backward_table() const {
        parallel(call.workers, [this](int worker) {
            T* axes = static_cast<T*>(tile_scratch<T>(0, D * TILE));
            T* along = direction ? static_cast<T*>(tile_scratch<T>(1, D * TILE)) : nullptr;
            T* by_level = static_cast<T*>(tile_scratch<T>(2, TILE * width));
            T* result = static_cast<T*>(call.grad_table);
            for (int l = worker; l < levels; l += call.workers) {
                T* rows = result + call.level[l].offset * F;
                for (int64_t i = 0; i < int64_t(call.level[l].size) * F; ++i) rows[i] = T(0);
            }
            for (int64_t first = 0; first < call.points; first += TILE) {
                const int points = tile_size(call.points, first);
                split_axes<T, D>(coords + first * D, points, axes);
                if (along) split_axes<T, D>(direction + first * D, points, along);
                for (int p = 0; p < points; ++p)
                    for (int l = worker; l < levels; l += call.workers)
                        Entry<T, F>::load(grad + (first + p) * width + l * F)
                            .store(by_level + (int64_t(l) * TILE + p) * F);
                for (int l = worker; l < levels; l += call.workers)
                    scatter_level(call.level[l], axes, along, by_level + int64_t(l) * TILE * F, points,
                                  result + call.level[l].offset * F);
            }
        });
    }

    void backward() const {
        if (call.grad_coords) backward_coords();
        if (call.grad_table) backward_table();
    }
};

template <class T, int D, int F, class Action>
void with_interpolation(const GridCall& call, const Action& action) {
    if (call.smooth) {
        action(Grid<T, D, F, true>{call});
    } else {
        action(Grid<T, D, F, false>{call});
    }
}

template <class T, int D, class Action>
void with_features(const GridCall& call, const Action& action) {
    switch (call.features) {
        case 1: return with_interpolation<T, D, 1>(call, action);
        case 2: return with_interpolation<T, D, 2>(call, action);
        case 4: return with_interpolation<T, D, 4>(call, action);
        case 8: return with_interpolation<T, D, 8>(call, action);
    }
}

template <class T, class Action>
void with_dimensions(const GridCall& call, const Action& action) {
    switch (call.dimensions) {
        case 1: return with_features<T, 1>(call, action);
        case 2: return with_features<T, 2>(call, action);
        case 3: return with_features<T, 3>(call, action);
        case 4: return with_features<T, 4>(call, action);
    }
}

// Runs the action on the instance that the call asks for.
template <class Action>
void with_grid(const GridCall& call, const Action& action) {
    if (call.is_double) {
        with_dimensions<double>(call, action);
    } else {
        with_dimensions<float>(call, action);
    }
}

}  // namespace

void hash_grid_forward(const GridCall& call) {
    with_grid(call, [](const auto& grid) { grid.forward(); });
}

void hash_grid_backward(const GridCall& call) {
    with_grid(call, [](const auto& grid) { grid.backward(); });
}

}  // namespace fs::FS_ISA
