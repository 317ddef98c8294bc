// Hash grids of some types, dimensions and features, compiled for each type in a file of its own: hash_grid_float.cpp
// and its neighbours. The same source serves every instruction set: plain loops over blocks of points that the compiler
// vectorises, and short vectors of one entry's features.
//
// Points are processed in tiles, and a tile level by level, so that the part of the table in use stays in the
// second-level cache. Gradients of the table need no atomics: a level, or one half of the points of a level, is
// scattered by one thread in the order of the points, so that a sum does not depend on the number of threads.
#pragma once

#include "hash_grid_types.h"

#include "grid_block.h"
#include "grid_rows.h"
#include "level_schedule.h"
#include "parallel.h"
#include "transpose.h"

namespace fs::FS_ISA {
namespace {

constexpr int TILE = GRID_TILE;  // a multiple of BLOCK
constexpr int copies_slot = 7;   // of scratch memory; slot 0 holds a tile
constexpr int64_t STREAMING_BYTES =
    1 << 24;  // larger results bypass the caches: they would be evicted before they are read

// Features of a tile are stored level by level. Levels are one cache line further apart than their size, because with a
// stride of a power of two they would all fall into the same cache sets.
template <class T, int F>
constexpr int64_t LEVEL_STRIDE = TILE * F + 64 / sizeof(T);

// Transposes coordinates to axis-by-axis order, padded with zeros to whole blocks.
template <class T, int D>
void split_axes(const T* coords, int points, T* axes, int64_t stride) {
    for (int axis = 0; axis < D; ++axis) {
        for (int p = 0; p < points; ++p) axes[axis * stride + p] = coords[p * D + axis];
        for (int p = points; p % BLOCK; ++p) axes[axis * stride + p] = T(0);
    }
}

// Converts a tile from level-by-level order to rows [points][levels * F], `stride` values from one row to the next.
template <class T, int F>
void rows_from_levels(const T* by_level, int64_t level_stride, int levels, int points, T* rows, int64_t stride,
                      bool streaming) {
    int full_points = 0, full_levels = 0;
    if constexpr (F * sizeof(T) == 8) {
        full_points = points / SQUARE * SQUARE, full_levels = levels / SQUARE * SQUARE;
        streaming &= reinterpret_cast<uintptr_t>(rows) % FS_SIMD_BYTES == 0 && stride * sizeof(T) % FS_SIMD_BYTES == 0;
        Square square;
        for (int p = 0; p < full_points; p += SQUARE) {
            for (int l = 0; l < full_levels; l += SQUARE) {
                for (int i = 0; i < SQUARE; ++i)
                    square.line[i] = load<Square::Line>(by_level + (l + i) * level_stride + p * F);
                square.transpose();
                T* to = rows + p * stride + l * F;
                if (streaming) {
                    for (int i = 0; i < SQUARE; ++i) store_streaming(to + i * stride, square.line[i]);
                } else {
                    for (int i = 0; i < SQUARE; ++i) store(to + i * stride, square.line[i]);
                }
            }
        }
    }
    for (int p = 0; p < points; ++p)
        for (int l = p < full_points ? full_levels : 0; l < levels; ++l)
            Row<T, F>::store(rows + p * stride + l * F, Row<T, F>::load(by_level + l * level_stride + p * F));
}

// The reverse, for some of the levels; padded with zeros to whole blocks.
template <class T, int F>
void levels_from_rows(const T* rows, int64_t stride, int levels, LevelSet wanted, int points, T* by_level,
                      int64_t level_stride) {
    int full_points = 0, full_levels = 0;
    if constexpr (F * sizeof(T) == 8) {
        full_points = points / SQUARE * SQUARE, full_levels = levels / SQUARE * SQUARE;
        constexpr LevelSet some = (LevelSet(1) << SQUARE) - 1;
        Square square;
        for (int p = 0; p < full_points; p += SQUARE) {
            for (int l = 0; l < full_levels; l += SQUARE) {
                const LevelSet here = wanted >> l & some;
                if (!here) continue;
                for (int i = 0; i < SQUARE; ++i) square.line[i] = load<Square::Line>(rows + (p + i) * stride + l * F);
                square.transpose();
                T* to = by_level + l * level_stride + p * F;
                for (int i = 0; i < SQUARE; ++i)
                    if (has(here, i)) store(to + i * level_stride, square.line[i]);
            }
        }
    }
    for (int p = 0; p < points; ++p)
        for (int l = p < full_points ? full_levels : 0; l < levels; ++l)
            if (has(wanted, l))
                Row<T, F>::store(by_level + l * level_stride + p * F, Row<T, F>::load(rows + p * stride + l * F));
    for (int l = 0; l < levels; ++l)
        for (int i = points * F; has(wanted, l) && i % (BLOCK * F); ++i) by_level[l * level_stride + i] = T(0);
}

// Whether two entries that are adjacent along x and in the table fit into one SIMD vector and are moved together.
template <class T, int F>
constexpr bool IN_PAIRS = 2 * F * sizeof(T) <= FS_SIMD_BYTES;

// Corner weights of a SIMD vector of points.
template <class T, int D>
struct Weights {
    Simd<T> of[1 << D];
    FS_HOST_DEVICE Weights(const Corners<T, D>& corners, int p) {
        for (int c = 0; c < (1 << D); ++c) of[c] = load<Simd<T>>(&corners.weight[c][p]);
    }
};

// The functions on a block process all of its points, the padding too; results of padding are zero or never read.
template <class T, class E, int D, int F>
FS_HOST_DEVICE void gather_one_by_one(const E* table, const Corners<T, D>& corners, T* out) {
    using Batch = Rows<T, E, F>;
    for (int p = 0; p < BLOCK; p += WIDTH<T>) {
        const Weights<T, D> weights(corners, p);
        unrolled<WIDTH<T>, Batch::count>([&](auto first) {
            typename Batch::Lanes sum;
            unrolled<1 << D, 1>([&](auto c) {
                const auto rows = Batch::gather(table, &corners.entry[c][p + first]);
                const auto broadcast = broadcast_each<first, F, Batch::count>(weights.of[c]);
                sum = c == 0 ? rows * broadcast : multiply_add(rows, broadcast, sum);
            });
            store(out + (p + first) * F, sum);
        });
    }
}

// Weighted sum over the corner pairs of some points of a vector: the sums of the lower and of the upper neighbours,
// interleaved.
template <int first, class T, class E, int D, int F>
FS_HOST_DEVICE auto gather_pairs(const E* table, const Corners<T, D>& corners, const Weights<T, D>& weights, int p) {
    using Batch = Rows<T, E, 2 * F, F>;
    typename Batch::Lanes sum;
    unrolled<1 << D, 2>([&](auto c) {
        const auto rows = Batch::gather(table, &corners.entry[c][p + first]);
        const auto broadcast = broadcast_two<first, F, Batch::count>(weights.of[c], weights.of[c + 1]);
        sum = c == 0 ? rows * broadcast : multiply_add(rows, broadcast, sum);
    });
    return sum;
}

template <class T, class E, int D, int F>
FS_HOST_DEVICE void gather(const E* table, const Corners<T, D>& corners, T* out) {
    if constexpr (IN_PAIRS<T, F>) {
        if (corners.paired) {
            constexpr int points = Rows<T, E, 2 * F, F>::count;
            for (int p = 0; p < BLOCK; p += WIDTH<T>) {
                const Weights<T, D> weights(corners, p);
                unrolled<WIDTH<T>, 2 * points>([&](auto first) {
                    const auto a = gather_pairs<first, T, E, D, F>(table, corners, weights, p);
                    const auto b = gather_pairs<first + points, T, E, D, F>(table, corners, weights, p);
                    const auto lower =
                        shuffled<2 * points * F>(a, b, [](int lane) { return lane / F * 2 * F + lane % F; });
                    const auto upper =
                        shuffled<2 * points * F>(a, b, [](int lane) { return lane / F * 2 * F + F + lane % F; });
                    store(out + (p + first) * F, lower + upper);
                });
            }
            return;
        }
    }
    gather_one_by_one<T, E, D, F>(table, corners, out);
}

template <class T, int D, int F>
FS_HOST_DEVICE void scatter_pairs(const T* grad, const Corners<T, D>& corners, T* table) {
    using One = Row<T, F>;
    using Two = Row<T, 2 * F>;
    alignas(64) T weight[1 << (D - 1)][2 * BLOCK];
    constexpr int width = WIDTH<T>;
    for (int c = 0; c < (1 << D); c += 2) {
        for (int p = 0; p < BLOCK; p += width) {
            const Simd<T> low = load<Simd<T>>(&corners.weight[c][p]), high = load<Simd<T>>(&corners.weight[c + 1][p]);
            T* to = &weight[c / 2][2 * p];
            store(to, shuffled<width>(low, high, [](int lane) { return lane / 2 + lane % 2 * width; }));
            store(to + width,
                  shuffled<width>(low, high, [](int lane) { return (lane + width) / 2 + lane % 2 * width; }));
        }
    }
    for (int p = 0; p < BLOCK; ++p) {
        const auto row = One::load(grad + p * F);
        const typename Two::Lanes g = shuffled<Two::lanes>(row, [](int lane) { return lane % F; });
        for (int c = 0; c < (1 << D); c += 2) {
            T* at = table + int64_t(corners.entry[c][p]) * F;
            const auto w = Row<T, 2>::load(&weight[c / 2][2 * p]);
            Two::store(at,
                       multiply_add(g, shuffled<Two::lanes>(w, [](int lane) { return lane / F % 2; }), Two::load(at)));
        }
    }
}

template <class T, int D, int F>
FS_HOST_DEVICE void scatter(const T* grad, const Corners<T, D>& corners, T* table) {
    if constexpr (IN_PAIRS<T, F>) {
        if (corners.paired) return scatter_pairs<T, D, F>(grad, corners, table);
    }
    using One = Row<T, F>;
    for (int p = 0; p < BLOCK; ++p) {
        const auto g = One::load(grad + p * F);
        for (int c = 0; c < (1 << D); ++c) {
            T* row = table + int64_t(corners.entry[c][p]) * F;
            One::store(row, multiply_add(g, corners.weight[c][p] - typename One::Lanes{}, One::load(row)));
        }
    }
}

// Prefetches the entries of a block. Corners that differ along x alone mostly share a cache line.
template <class E, class T, int D, int F>
FS_HOST_DEVICE void prefetch(const E* table, const Corners<T, D>& corners) {
    for (int c = 0; c < (1 << D); c += 2)
        for (int p = 0; p < BLOCK; ++p) __builtin_prefetch(table + int64_t(corners.entry[c][p]) * F);
}

// Writes dots[corner][point] = <entry of the corner, gradient of the point>.
template <class T, class E, int D, int F>
FS_HOST_DEVICE void dot(const E* table, const T* grad, const Corners<T, D>& corners, T (*dots)[BLOCK]) {
    using One = Row<T, F>;
    for (int p = 0; p < BLOCK; ++p) {
        const auto g = One::load(grad + p * F);
        for (int c = 0; c < (1 << D); ++c)
            dots[c][p] = One::dot(One::load_entry(table + int64_t(corners.entry[c][p]) * F), g);
    }
}

// The operation for types and sizes known at compile time: T of the arrays, E of the table, D dimensions, F features.
template <class T, class E, int D, int F>
struct Grid {
    const GridCall& call;
    const T* coords = static_cast<const T*>(call.coords);
    const E* table = static_cast<const E*>(call.table);
    const T* grad = static_cast<const T*>(call.grad);
    const T* direction = static_cast<const T*>(call.direction);
    const bool smooth = call.smooth;
    const int levels = call.levels;
    const int64_t width = int64_t(levels) * F;

    static int tile_size(int64_t points, int64_t first) { return int(points - first < TILE ? points - first : TILE); }

    int64_t tiles() const { return (call.points + TILE - 1) / TILE; }

    const E* rows(int l) const { return table + call.level[l].offset * F; }
    T* grad_rows(int l) const { return static_cast<T*>(call.grad_table) + call.level[l].offset * F; }

    // Points of a tile: coordinates and, where the call has them, directions.
    struct Points {
        Axes<T> axes, along;
    };

    // A thread's memory for a tile: its points, sums axis by axis, and features or gradients level by level.
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

    // Finds the corners of the block that begins at point b, and their weights for the features or, with directions,
    // for the derivative along these.
    FS_HOST_DEVICE void find_for_features(const GridLevel& level, const Points& points, int64_t b,
                                          Corners<T, D>& corners) const {
        const Axes<T> axes = points.axes.from_point(b);
        if (points.along.from) {
            find_corners<for_derivatives>(smooth, level, axes, corners);
            const auto weights = smooth ? direction_weights<true, T, D> : direction_weights<false, T, D>;
            weights(level, axes, points.along.from_point(b), corners);
        } else {
            find_corners<IN_PAIRS<T, F> ? for_values_in_pairs : for_values>(smooth, level, axes, corners);
        }
    }

    // Calls find(first point, corners), then action(first point, corners), for every block of points. If a level is too
    // large for the cache, the entries of the next block are prefetched while a block is processed.
    template <class Entries, class Find, class Action>
    FS_HOST_DEVICE void for_each_block(const GridLevel& level, const Entries* rows, int64_t count, const Find& find,
                                       const Action& action) const {
        Corners<T, D> corners[2];
        const bool prefetching = int64_t(level.size) * F * int64_t(sizeof(Entries)) > L2_BYTES;
        const auto find_at = [&](int64_t b, Corners<T, D>& found) {
            find(b, found);
            if (prefetching) prefetch<Entries, T, D, F>(rows, found);
        };
        if (count > 0) find_at(0, corners[0]);
        for (int64_t b = 0; b < count; b += BLOCK) {
            const int current = b / BLOCK % 2;
            if (b + BLOCK < count) find_at(b + BLOCK, corners[1 - current]);
            action(b, corners[current]);
        }
    }

    // Writes the features of a tile's points to rows, `stride` values from one row to the next.
    void forward_tile(int64_t first, int points, const Buffers& tile, T* out, int64_t stride, bool streaming) const {
        read_points(first, points, tile);
        for (int l = 0; l < levels; ++l) {
            T* of_level = tile.of_level(l);
            const GridLevel& level = call.level[l];
            for_each_block(
                level, rows(l), points,
                [&](int64_t b, Corners<T, D>& corners) { find_for_features(level, tile.points(), b, corners); },
                [&](int64_t b, const Corners<T, D>& corners) {
                    gather<T, E, D, F>(rows(l), corners, of_level + b * F);
                });
        }
        rows_from_levels<T, F>(tile.by_level, LEVEL_STRIDE<T, F>, levels, points, out, stride, streaming);
    }

    void forward() const {
        const int64_t bytes = call.points * width * int64_t(sizeof(T));
        advise_huge_pages(call.output, size_t(bytes));
        parallel(call.num_threads, [this, bytes](int thread) {
            const Buffers tile = buffers();
            const Range part = range_of(tiles(), call.num_threads, thread);
            for (int64_t t = part.first; t < part.last; ++t)
                forward_tile(t * TILE, tile_size(call.points, t * TILE), tile,
                             static_cast<T*>(call.output) + t * TILE * width, width, bytes > STREAMING_BYTES);
            streaming_fence();
        });
    }

    // Writes grad_coords of a tile; `rows_of_grad` are the gradients of its features, `stride` values from one row to
    // the next.
    void coords_tile(int64_t first, int points, const Buffers& tile, const T* rows_of_grad, int64_t stride) const {
        read_points(first, points, tile);
        levels_from_rows<T, F>(rows_of_grad, stride, levels, ALL_LEVELS, points, tile.by_level, LEVEL_STRIDE<T, F>);
        for (int i = 0; i < D * TILE; ++i) tile.sums[i] = T(0);
        alignas(64) T dots[1 << D][BLOCK];
        for (int l = 0; l < levels; ++l) {
            const GridLevel& level = call.level[l];
            const T* level_grad = tile.of_level(l);
            const auto find = [&](int64_t b, Corners<T, D>& corners) {
                find_corners<for_derivatives>(smooth, level, tile.points().axes.from_point(b), corners);
            };
            for_each_block(level, rows(l), points, find, [&](int64_t b, const Corners<T, D>& corners) {
                const Axes<T> axes = tile.points().axes.from_point(b);
                dot<T, E, D, F>(rows(l), level_grad + b * F, corners, dots);
                if (direction) {
                    const Axes<T> along = tile.points().along.from_point(b);
                    const auto add = smooth ? add_second_gradient<true, T, D> : add_second_gradient<false, T, D>;
                    add(level, axes, along, corners, dots, tile.sums + b);
                } else {
                    const auto add = smooth ? add_gradient<true, T, D> : add_gradient<false, T, D>;
                    add(level, axes, corners, dots, tile.sums + b);
                }
            });
        }
        T* out = static_cast<T*>(call.grad_coords) + first * D;
        for (int p = 0; p < points; ++p)
            for (int axis = 0; axis < D; ++axis) out[p * D + axis] = tile.sums[axis * TILE + p];
    }

    void backward_coords() const {
        parallel(call.num_threads, [this](int thread) {
            const Buffers tile = buffers();
            const Range part = range_of(tiles(), call.num_threads, thread);
            for (int64_t t = part.first; t < part.last; ++t)
                coords_tile(t * TILE, tile_size(call.points, t * TILE), tile, grad + t * TILE * width, width);
        });
    }

    void clear_rows(int l, T* to) const {
        for (int64_t i = 0; i < int64_t(call.level[l].size) * F; ++i) to[i] = T(0);
    }

    void scatter_level(int l, const Points& points, int64_t count, const T* level_grad, T* to) const {
        const GridLevel& level = call.level[l];
        for_each_block(
            level, to, count, [&](int64_t b, Corners<T, D>& corners) { find_for_features(level, points, b, corners); },
            [&](int64_t b, const Corners<T, D>& corners) { scatter<T, D, F>(level_grad + b * F, corners, to); });
    }

    void backward_table() const {
        const GridLevel& last = call.level[levels - 1];
        advise_huge_pages(call.grad_table, size_t(last.offset + last.size) * F * sizeof(T));
        const LevelSchedule schedule(call, F * sizeof(T));
        T* copies = static_cast<T*>(scratch(copies_slot, size_t(schedule.copied_entries) * F * sizeof(T)));
        const auto target = [&](int l, int half) { return half ? copies + schedule.copy[l] * F : grad_rows(l); };
        const int64_t middle = (tiles() + 1) / 2;
        parallel(call.num_threads, [&, this](int thread) {
            const Buffers tile = buffers();
            for (int half = 0; half < 2; ++half) {
                const LevelSet mine = schedule.levels_of(thread, half),
                               cleared = half ? schedule.levels_of(thread, 0) & ~schedule.split_levels : 0;
                for (int l = 0; l < levels; ++l)
                    if (has(mine & ~cleared, l)) clear_rows(l, target(l, has(schedule.split_levels, l) ? half : 0));
                if (!mine) continue;
                for (int64_t t = half ? middle : 0; t < (half ? tiles() : middle); ++t) {
                    const int64_t first = t * TILE;
                    const int points = tile_size(call.points, first);
                    read_points(first, points, tile);
                    levels_from_rows<T, F>(grad + first * width, width, levels, mine, points, tile.by_level,
                                           LEVEL_STRIDE<T, F>);
                    for (int l = 0; l < levels; ++l)
                        if (has(mine, l))
                            scatter_level(l, tile.points(), points, tile.of_level(l),
                                          target(l, has(schedule.split_levels, l) ? half : 0));
                }
            }
        });
        if (!schedule.split_levels) return;
        parallel_for(levels, call.num_threads, [&, this](int l) {
            const T* from = copies + schedule.copy[l] * F;
            T* to = grad_rows(l);
            for (int64_t i = 0; has(schedule.split_levels, l) && i < int64_t(call.level[l].size) * F; ++i)
                to[i] += from[i];
        });
    }

    // For the fused passes over grid and MLP: stores a tile's points and gradients; then scatters the stored gradients
    // of a level.
    void save_tile(int64_t first, int points, const T* rows, int64_t stride, const SavedGradient& saved) const {
        split_axes<T, D>(coords + first * D, points, static_cast<T*>(saved.axes) + first, saved.stride);
        levels_from_rows<T, F>(rows, stride, levels, ALL_LEVELS, points, static_cast<T*>(saved.by_level) + first * F,
                               saved.stride * F);
    }

    void scatter_saved(int l, const SavedGradient& saved) const {
        clear_rows(l, grad_rows(l));
        const T *axes = static_cast<const T*>(saved.axes), *by_level = static_cast<const T*>(saved.by_level);
        scatter_level(l, {{axes, saved.stride}, {}}, call.points, by_level + l * saved.stride * F, grad_rows(l));
    }
};

template <class T, class E, int D, int F, class Action>
void with_shape(const GridCall& call, const Action& action) {
    if constexpr (has_shape(D, F)) action(Grid<T, E, D, F>{call});
}

template <class T, class E, int D, class Action>
void with_features(const GridCall& call, const Action& action) {
    switch (call.features) {
        case 1: return with_shape<T, E, D, 1>(call, action);
        case 2: return with_shape<T, E, D, 2>(call, action);
        case 4: return with_shape<T, E, D, 4>(call, action);
        case 8: return with_shape<T, E, D, 8>(call, action);
    }
}

template <class T, class E, class Action>
void with_dimensions(const GridCall& call, const Action& action) {
    switch (call.dimensions) {
        case 1: return with_features<T, E, 1>(call, action);
        case 2: return with_features<T, E, 2>(call, action);
        case 3: return with_features<T, E, 3>(call, action);
        case 4: return with_features<T, E, 4>(call, action);
    }
}

}  // namespace

template <class T, class E>
void GridReader<T, E>::forward(const GridCall& call) {
    with_dimensions<T, E>(call, [](const auto& grid) { grid.forward(); });
}

template <class T, class E>
void GridReader<T, E>::backward_coords(const GridCall& call) {
    with_dimensions<T, E>(call, [](const auto& grid) { grid.backward_coords(); });
}

template <class T>
void GridTrainer<T>::backward_table(const GridCall& call) {
    with_dimensions<T, T>(call, [](const auto& grid) { grid.backward_table(); });
}

template <class T>
void GridTrainer<T>::encode_tile(const GridCall& call, int64_t first, int points, T* rows, int64_t stride) {
    with_dimensions<T, T>(
        call, [=](const auto& grid) { grid.forward_tile(first, points, grid.buffers(), rows, stride, false); });
}

template <class T>
void GridTrainer<T>::tile_coords_gradient(const GridCall& call, int64_t first, int points, const T* rows,
                                          int64_t stride) {
    with_dimensions<T, T>(call,
                          [=](const auto& grid) { grid.coords_tile(first, points, grid.buffers(), rows, stride); });
}

template <class T>
void GridTrainer<T>::save_tile_gradient(const GridCall& call, int64_t first, int points, const T* rows, int64_t stride,
                                        const SavedGradient& saved) {
    with_dimensions<T, T>(call, [&](const auto& grid) { grid.save_tile(first, points, rows, stride, saved); });
}

template <class T>
void GridTrainer<T>::scatter_saved_level(const GridCall& call, int level, const SavedGradient& saved) {
    with_dimensions<T, T>(call, [&](const auto& grid) { grid.scatter_saved(level, saved); });
}

}  // namespace fs::FS_ISA
