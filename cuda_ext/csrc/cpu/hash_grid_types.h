// The hash grid's kernels by type; T: of coordinates, features and gradients, E: of the table.
#pragma once

#include "hash_grid.h"

namespace fs::FS_ISA {

// What only reads the table.
template <class T, class E>
struct GridReader {
    static void forward(const GridCall& call);
    static void backward_coords(const GridCall& call);
};

// The table's gradient, and the steps of the fused passes. The table is never of reduced precision.
template <class T>
struct GridTrainer {
    static void backward_table(const GridCall& call);
    static void encode_tile(const GridCall& call, int64_t first, int points, T* rows, int64_t stride);
    static void tile_coords_gradient(const GridCall& call, int64_t first, int points, const T* rows, int64_t stride);
    static void save_tile_gradient(const GridCall& call, int64_t first, int points, const T* rows, int64_t stride,
                                   const SavedGradient& saved);
    static void scatter_saved_level(const GridCall& call, int level, const SavedGradient& saved);
};

}  // namespace fs::FS_ISA
