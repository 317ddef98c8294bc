// The multiresolution hash grid on the CPU.
#pragma once

#include "../common/grid.h"
#include "isa.h"

namespace fs {

// Whether the grid is compiled for this shape. With FS_FEW_SHAPES, for builds that are only checked, every number of
// dimensions and of features occurs once instead of in every combination: a quarter of the compile time.
constexpr bool has_shape(int dimensions, int features) {
#if defined(FS_FEW_SHAPES)
    constexpr int features_of[] = {8, 1, 4, 2};
    return features == features_of[dimensions - 1];
#else
    return dimensions >= 1 && dimensions <= 4 && (features == 1 || features == 2 || features == 4 || features == 8);
#endif
}

// Gradients of the features of a whole batch, stored until each level is scattered by one thread: coordinates axis by
// axis, gradients level by level. `stride`: points from one axis or level to the next; a multiple of 64, plus 16.
struct SavedGradient {
    void* axes;
    void* by_level;
    int64_t stride;
};

constexpr int GRID_TILE = 4096;  // maximum number of points of a tile

}  // namespace fs

FS_DECLARE(void hash_grid_forward(const GridCall& call))
FS_DECLARE(void hash_grid_backward(const GridCall& call))

// The steps of which the fused passes over grid and MLP are made; each runs on the calling thread. `rows` are of the
// call's type, `stride` values from one row to the next.

// Writes the features of points first .. first + points - 1 (at most GRID_TILE) to `rows`.
FS_DECLARE(void encode_tile(const GridCall& call, int64_t first, int points, void* rows, int64_t stride))
// Writes `grad_coords` of such a tile; `rows` are the gradients of its features.
FS_DECLARE(void tile_coords_gradient(const GridCall& call, int64_t first, int points, const void* rows, int64_t stride))
// Stores the coordinates of such a tile and the gradients of its features. Every tile but the last has a multiple of 64
// points.
FS_DECLARE(void save_tile_gradient(const GridCall& call, int64_t first, int points, const void* rows, int64_t stride,
                                   const SavedGradient& saved))
// Writes the part of `grad_table` that belongs to one level, from the gradients stored for the whole batch.
FS_DECLARE(void scatter_saved_level(const GridCall& call, int level, const SavedGradient& saved))

namespace fs::avx512_bfloat16 {
// The grid's arithmetic is that of avx512, whatever type the MLP multiplies in.
using avx512::encode_tile;
using avx512::save_tile_gradient;
using avx512::scatter_saved_level;
using avx512::tile_coords_gradient;
}  // namespace fs::avx512_bfloat16

// Shapes, dtypes and layouts of all arrays: `GridCall`.

// Writes `output`, the features at the points; with a direction, the derivative of the features along it.
FS_API void fs_hash_grid_forward(const fs::GridCall* call);
// Writes `grad_coords` and `grad_table`, the gradients of <grad, output>, each where its pointer is not null; with a
// direction, those of <grad, derivative of output along the direction>.
FS_API void fs_hash_grid_backward(const fs::GridCall* call);
