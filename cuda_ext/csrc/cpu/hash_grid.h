// The multiresolution grid on the CPU.
#pragma once

#include "../common/grid.h"
#include "isa.h"

namespace fs {

// Whether the grids are compiled for this shape. FS_FEW_SHAPES, for builds that are only checked, takes each number of
// dimensions and of features once rather than every pair: a quarter of the time.
constexpr bool has_shape(int dimensions, int features) {
#if defined(FS_FEW_SHAPES)
    constexpr int features_of[] = {8, 1, 4, 2};
    return features == features_of[dimensions - 1];
#else
    return dimensions >= 1 && dimensions <= 4 && (features == 1 || features == 2 || features == 4 || features == 8);
#endif
}

// Gradients of the features of a whole batch, kept until each level is scattered by one thread: level by level, and the
// coordinates axis by axis. `stride` is the number of points that there is room for, a multiple of 64 and a bit.
struct TableGradient {
    void* axes;
    void* by_level;
    int64_t stride;
};

constexpr int GRID_TILE = 4096;  // most points of a tile

}  // namespace fs

// output = features at the points; with a direction, their derivative along it.
FS_DECLARE(void hash_grid_forward(const GridCall& call))
// grad_coords and grad_table of <grad, output>; with a direction, of <grad, derivative of the output along it>.
FS_DECLARE(void hash_grid_backward(const GridCall& call))

// The parts of which passes over grid and MLP are made; one thread each. Numbers are of the call's type.
// Features of points first..first+points (at most GRID_TILE) → rows, `stride` numbers from a row to the next.
FS_DECLARE(void encode_tile(const GridCall& call, int64_t first, int points, void* rows, int64_t stride))
// The gradient of such a tile's coordinates from that of its features → grad_coords.
FS_DECLARE(void tile_coords_gradient(const GridCall& call, int64_t first, int points, const void* rows, int64_t stride))
// Keeps such a tile's coordinates and gradients. Every tile but the last has a multiple of 64 points.
FS_DECLARE(void keep_tile_gradient(const GridCall& call, int64_t first, int points, const void* rows, int64_t stride,
                                   const TableGradient& kept))
// grad_table of one level from what was kept.
FS_DECLARE(void scatter_kept_level(const GridCall& call, int level, const TableGradient& kept))

#if defined(FS_X86)
namespace fs::avx512_bfloat16 {
// The grid's arithmetic is that of avx512 whatever the MLP multiplies.
using avx512::encode_tile;
using avx512::keep_tile_gradient;
using avx512::scatter_kept_level;
using avx512::tile_coords_gradient;
}  // namespace fs::avx512_bfloat16
#endif
