// The multiresolution grid on the CPU.
#pragma once

#include "../common/grid.h"
#include "isa.h"

namespace fs {

// Gradients of the features of a whole batch, kept until each level is scattered by one thread: level by level, and the
// coordinates axis by axis. `stride` is the number of points that there is room for, a multiple of 64 and a bit.
struct TableGradient {
    float* axes;
    float* by_level;
    int64_t stride;
};

constexpr int GRID_TILE = 4096;  // most points of a tile

}  // namespace fs

// output = features at the points; with a direction, their derivative along it.
FS_DECLARE(void hash_grid_forward(const GridCall& call))
// grad_coords and grad_table of <grad, output>; with a direction, of <grad, derivative of the output along it>.
FS_DECLARE(void hash_grid_backward(const GridCall& call))

// The parts of which a fused step is made, for float and one thread each.
// Features of points first..first+points (at most GRID_TILE) → rows, `stride` numbers from a row to the next.
FS_DECLARE(void encode_tile(const GridCall& call, int64_t first, int points, float* rows, int64_t stride))
// Keeps such a tile's coordinates and gradients. Every tile but the last has a multiple of 64 points.
FS_DECLARE(void keep_tile_gradient(const GridCall& call, int64_t first, int points, const float* rows, int64_t stride,
                                   const TableGradient& kept))
// grad_table of one level from what was kept.
FS_DECLARE(void scatter_kept_level(const GridCall& call, int level, const TableGradient& kept))
