// The MLP's kernels with features from a hash grid. The lanes of a warp compute the levels of its 16 points, two levels
// at a time.
#pragma once

#include "grid_mlp.h"
#include "grid_point.h"
#include "hash_grid.h"
#include "mlp.cuh"

namespace fs {

template <class N, int D, int F>
struct FeaturesFromGrid {
    GridLevel level[MAX_LEVELS];
    int32_t levels;
    bool smooth;
    const float *coords, *table;

    explicit FeaturesFromGrid(const GridCall& call)
        : levels(call.levels), smooth(call.smooth != 0), coords(static_cast<const float*>(call.coords)),
          table(static_cast<const float*>(call.table)) {
        for (int l = 0; l < MAX_LEVELS; ++l) level[l] = call.level[l < call.levels ? l : 0];
    }

    __device__ void read(const MlpTile<N>& tile, int64_t first, N* to) const {
        const int width = levels * F, whole = padded(width), stride = TileMemory<N>::stride(width);
        const int64_t mine = first + tile.warp() * SIDE;
        const Direction<float, D> no_direction = direction_of<float, D>(nullptr, 0);
        for (int i = tile.lane(); i < SIDE * levels; i += 32) {
            const int p = i % SIDE, l = i / SIDE;
            const int64_t point = mine + p;
            Row<float, F> row = Row<float, F>::zero();
            if (point < tile.a.points)
                row = features_at<float, float, D, F>(level[l], table + level[l].offset * F, coords + point * D, smooth,
                                                      no_direction);
            FS_UNROLL_FOR (int f = 0; f < F; ++f) to[p * stride + l * F + f] = to_factor<N>(row.of[f]);
        }
        for (int i = tile.lane(); i < SIDE * (whole - width); i += 32)
            to[i / (whole - width) * stride + width + i % (whole - width)] = to_factor<N>(0.0f);
    }
};

template <class N>
cudaError_t run_grid_mlp(const GridMlpCall& call, cudaStream_t stream, void* workspace, int64_t bytes, bool backward) {
    switch (call.grid.dimensions) {
        case 2:
            return run_mlp_on<N>(FeaturesFromGrid<N, 2, 2>(call.grid), call.mlp, stream, workspace, bytes, backward);
        case 3:
            return run_mlp_on<N>(FeaturesFromGrid<N, 3, 2>(call.grid), call.mlp, stream, workspace, bytes, backward);
        case 4:
            return run_mlp_on<N>(FeaturesFromGrid<N, 4, 2>(call.grid), call.mlp, stream, workspace, bytes, backward);
    }
    return cudaErrorInvalidValue;
}

}  // namespace fs
