// The multiresolution grid on the CPU. One source for every instruction set: plain loops over blocks of points that
// the compiler turns into vectors, and short vectors of one entry's features.
//
// Points are taken in tiles and a tile level by level, so that the part of the table in use stays in the second-level
// cache. Gradients of the table need no atomics: a level is scattered by one thread, in the order of the points, so a
// sum does not depend on how many threads there are.
#include "hash_grid.h"

#include "grid_block.h"
#include "grid_rows.h"
#include "parallel.h"

namespace fs::FS_ISA {
namespace {

constexpr int TILE = GRID_TILE;  // a multiple of BLOCK
constexpr int64_t NEAR_BYTES = 1 << 19;  // of a level that stays in the second-level cache

// Features of a tile are kept level by level. The levels are a cache line further apart than their size, as a power of
// two would put them all into the same few places of the cache.
template <class T, int F>
constexpr int64_t LEVEL_STRIDE = TILE * F + 64 / sizeof(T);

// Coordinates axis by axis, padded to whole blocks.
template <class T, int D>
void split_axes(const T* coords, int points, T* axes, int64_t stride) {
    for (int axis = 0; axis < D; ++axis) {
        for (int p = 0; p < points; ++p) axes[axis * stride + p] = coords[p * D + axis];
        for (int p = points; p % BLOCK; ++p) axes[axis * stride + p] = T(0);
    }
}

// A tile level by level → rows [points][levels * F], `stride` numbers from a row to the next.
template <class T, int F>
void rows_from_levels(const T* by_level, int64_t level_stride, int levels, int points, T* rows, int64_t stride) {
    for (int p = 0; p < points; ++p)
        for (int l = 0; l < levels; ++l)
            Row<T, F>::store(rows + p * stride + l * F, Row<T, F>::load(by_level + l * level_stride + p * F));
}

// And back, for the levels first, first + step, ...; padded with zeros to whole blocks.
template <class T, int F>
void levels_from_rows(const T* rows, int64_t stride, int levels, int first, int step, int points, T* by_level,
                      int64_t level_stride) {
    for (int p = 0; p < points; ++p)
        for (int l = first; l < levels; l += step)
            Row<T, F>::store(by_level + l * level_stride + p * F, Row<T, F>::load(rows + p * stride + l * F));
    for (int l = first; l < levels; l += step)
        for (int i = points * F; i % (BLOCK * F); ++i) by_level[l * level_stride + i] = T(0);
}

// The functions of a block take all of its points, the padding too: what they make of that is not read, or is zero.
template <class T, int D, int F>
FS_HOST_DEVICE void gather(const T* table, const Corners<T, D>& corners, T* out) {
    using Some = Rows<T, F>;
    for (int p = 0; p < BLOCK; p += Some::count) {
        typename Some::Lanes sum = Some::gather(table, &corners.entry[0][p]) * Some::spread(&corners.weight[0][p]);
        for (int c = 1; c < (1 << D); ++c)
            sum = multiply_add(Some::gather(table, &corners.entry[c][p]), Some::spread(&corners.weight[c][p]), sum);
        store(out + p * F, sum);
    }
}

template <class T, int D, int F>
FS_HOST_DEVICE void scatter(const T* grad, const Corners<T, D>& corners, T* table) {
    using One = Row<T, F>;
    for (int p = 0; p < BLOCK; ++p) {
        const auto g = One::load(grad + p * F);
        for (int c = 0; c < (1 << D); ++c) {
            T* row = table + int64_t(corners.entry[c][p]) * F;
            One::store(row, multiply_add(g, typename One::Lanes{} + corners.weight[c][p], One::load(row)));
        }
    }
}

// Asks for the entries of a block ahead of their use. Corners that differ along x alone mostly share a cache line.
template <class T, int D, int F>
FS_HOST_DEVICE void prefetch(const T* table, const Corners<T, D>& corners) {
    for (int c = 0; c < (1 << D); c += 2)
        for (int p = 0; p < BLOCK; ++p) __builtin_prefetch(table + int64_t(corners.entry[c][p]) * F);
}

// dots[corner][point] = <entry of the corner, grad of the point>
template <class T, int D, int F>
FS_HOST_DEVICE void dot(const T* table, const T* grad, const Corners<T, D>& corners, T (*dots)[BLOCK]) {
    using One = Row<T, F>;
    for (int p = 0; p < BLOCK; ++p) {
        const auto g = One::load(grad + p * F);
        for (int c = 0; c < (1 << D); ++c)
            dots[c][p] = One::dot(One::load(table + int64_t(corners.entry[c][p]) * F), g);
    }
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

    const T* rows(int l) const { return table + call.level[l].offset * F; }
    T* grad_rows(int l) const { return static_cast<T*>(call.grad_table) + call.level[l].offset * F; }

    // Points of a tile: coordinates and, where the call has them, directions.
    struct Points {
        Axes<T> axes, along;
    };

    // What a thread keeps of a tile: its points, sums axis by axis, and numbers level by level.
    struct Buffers {
        T *axes, *along, *sums, *by_level;
        Points points() const { return {{axes, TILE}, {along, TILE}}; }
        T* of_level(int l) const { return by_level + l * LEVEL_STRIDE<T, F>; }
    };

    Buffers buffers() const {
        const int64_t axes = D * TILE;
        T* memory = static_cast<T*>(scratch(0, size_t(3 * axes + levels * LEVEL_STRIDE<T, F>) * sizeof(T)));
        return {memory, direction ? memory + axes : nullptr, memory + 2 * axes, memory + 3 * axes};
    }

    void read_points(int64_t first, int points, const Buffers& tile) const {
        split_axes<T, D>(coords + first * D, points, tile.axes, TILE);
        if (direction) split_axes<T, D>(direction + first * D, points, tile.along, TILE);
    }

    // The corners of the block from point b on with the weights that the call means: with directions, their change along
    // these.
    FS_HOST_DEVICE void find(const GridLevel& level, const Points& points, int64_t b, Corners<T, D>& corners) const {
        const Axes<T> axes = points.axes.from_point(b);
        find_entries(level, axes, corners);
        if (points.along.from) {
            direction_weights<smooth, T, D>(level, axes, points.along.from_point(b), corners);
        } else {
            value_weights<smooth>(corners);
        }
    }

    // Calls action(first point, corners) for every block of points. Where a level is too large for the cache, a block's
    // entries are asked for while the block before is worked on.
    template <class Action>
    FS_HOST_DEVICE void each_block(const GridLevel& level, const T* rows, int64_t count, const Points& points,
                                   const Action& action) const {
        Corners<T, D> corners[2];
        const bool ahead = int64_t(level.size) * F * int64_t(sizeof(T)) > NEAR_BYTES;
        const auto find_at = [&](int64_t b, Corners<T, D>& found) {
            find(level, points, b, found);
            if (ahead) prefetch<T, D, F>(rows, found);
        };
        if (count > 0) find_at(0, corners[0]);
        for (int64_t b = 0; b < count; b += BLOCK) {
            const int turn = b / BLOCK % 2;
            if (b + BLOCK < count) find_at(b + BLOCK, corners[1 - turn]);
            action(b, corners[turn]);
        }
    }

    // Features of a tile's points → rows, `stride` numbers from a row to the next.
    void forward_tile(int64_t first, int points, const Buffers& tile, T* out, int64_t stride) const {
        read_points(first, points, tile);
        for (int l = 0; l < levels; ++l) {
            T* of_level = tile.of_level(l);
            each_block(call.level[l], rows(l), points, tile.points(), [&](int64_t b, const Corners<T, D>& corners) {
                gather<T, D, F>(rows(l), corners, of_level + b * F);
            });
        }
        rows_from_levels<T, F>(tile.by_level, LEVEL_STRIDE<T, F>, levels, points, out, stride);
    }

    void forward() const {
        expect_writes(call.output, size_t(call.points) * width * sizeof(T));
        parallel(call.workers, [this](int worker) {
            const Buffers tile = buffers();
            const Part part = part_of(tiles(), call.workers, worker);
            for (int64_t t = part.first; t < part.last; ++t)
                forward_tile(t * TILE, tile_size(call.points, t * TILE), tile,
                             static_cast<T*>(call.output) + t * TILE * width, width);
        });
    }

    // Gradients of the features are rows, `stride` numbers from a row to the next.
    void coords_tile(int64_t first, int points, const Buffers& tile, const T* rows_of_grad, int64_t stride) const {
        read_points(first, points, tile);
        levels_from_rows<T, F>(rows_of_grad, stride, levels, 0, 1, points, tile.by_level, LEVEL_STRIDE<T, F>);
        for (int i = 0; i < D * TILE; ++i) tile.sums[i] = T(0);
        alignas(64) T dots[1 << D][BLOCK];
        for (int l = 0; l < levels; ++l) {
            const GridLevel& level = call.level[l];
            const T* level_grad = tile.of_level(l);
            each_block(level, rows(l), points, tile.points(), [&](int64_t b, const Corners<T, D>& corners) {
                const Axes<T> axes = tile.points().axes.from_point(b);
                dot<T, D, F>(rows(l), level_grad + b * F, corners, dots);
                if (direction) {
                    const Axes<T> along = tile.points().along.from_point(b);
                    add_second_gradient<smooth, T, D>(level, axes, along, corners, dots, tile.sums + b);
                } else {
                    add_gradient<smooth, T, D>(level, axes, corners, dots, tile.sums + b);
                }
            });
        }
        T* out = static_cast<T*>(call.grad_coords) + first * D;
        for (int p = 0; p < points; ++p)
            for (int axis = 0; axis < D; ++axis) out[p * D + axis] = tile.sums[axis * TILE + p];
    }

    void backward_coords() const {
        parallel(call.workers, [this](int worker) {
            const Buffers tile = buffers();
            const Part part = part_of(tiles(), call.workers, worker);
            for (int64_t t = part.first; t < part.last; ++t)
                coords_tile(t * TILE, tile_size(call.points, t * TILE), tile, grad + t * TILE * width, width);
        });
    }

    void clear_level(int l) const {
        T* to = grad_rows(l);
        for (int64_t i = 0; i < int64_t(call.level[l].size) * F; ++i) to[i] = T(0);
    }

    void scatter_level(int l, const Points& points, int64_t count, const T* level_grad) const {
        T* to = grad_rows(l);
        each_block(call.level[l], to, count, points, [&](int64_t b, const Corners<T, D>& corners) {
            scatter<T, D, F>(level_grad + b * F, corners, to);
        });
    }

    void backward_table() const {
        const GridLevel& last = call.level[levels - 1];
        expect_writes(call.grad_table, size_t(last.offset + last.size) * F * sizeof(T));
        parallel(call.workers, [this](int worker) {
            for (int l = worker; l < levels; l += call.workers) clear_level(l);
            const Buffers tile = buffers();
            for (int64_t first = 0; first < call.points; first += TILE) {
                const int points = tile_size(call.points, first);
                read_points(first, points, tile);
                levels_from_rows<T, F>(grad + first * width, width, levels, worker, call.workers, points, tile.by_level,
                                       LEVEL_STRIDE<T, F>);
                for (int l = worker; l < levels; l += call.workers)
                    scatter_level(l, tile.points(), points, tile.of_level(l));
            }
        });
    }

    // For passes over grid and MLP: what a tile's points and gradients are kept as, and the scatter of it all.
    void keep_tile(int64_t first, int points, const T* rows, int64_t stride, const TableGradient& kept) const {
        split_axes<T, D>(coords + first * D, points, static_cast<T*>(kept.axes) + first, kept.stride);
        levels_from_rows<T, F>(rows, stride, levels, 0, 1, points, static_cast<T*>(kept.by_level) + first * F,
                               kept.stride * F);
    }

    void scatter_kept(int l, const TableGradient& kept) const {
        clear_level(l);
        const T *axes = static_cast<const T*>(kept.axes), *by_level = static_cast<const T*>(kept.by_level);
        scatter_level(l, {{axes, kept.stride}, {}}, call.points, by_level + l * kept.stride * F);
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

void encode_tile(const GridCall& call, int64_t first, int points, void* rows, int64_t stride) {
    with_grid(call, [=](const auto& grid) {
        grid.forward_tile(first, points, grid.buffers(), static_cast<decltype(+*grid.table)*>(rows), stride);
    });
}

void tile_coords_gradient(const GridCall& call, int64_t first, int points, const void* rows, int64_t stride) {
    with_grid(call, [=](const auto& grid) {
        grid.coords_tile(first, points, grid.buffers(), static_cast<decltype(grid.table)>(rows), stride);
    });
}

void keep_tile_gradient(const GridCall& call, int64_t first, int points, const void* rows, int64_t stride,
                        const TableGradient& kept) {
    with_grid(call, [&](const auto& grid) {
        grid.keep_tile(first, points, static_cast<decltype(grid.table)>(rows), stride, kept);
    });
}

void scatter_kept_level(const GridCall& call, int level, const TableGradient& kept) {
    with_grid(call, [&](const auto& grid) { grid.scatter_kept(level, kept); });
}

}  // namespace fs::FS_ISA
