// The multiresolution hash grid on the CPU: which of the compiled kernels a call wants.
#include "hash_grid.h"

#include "hash_grid_types.h"

namespace fs::FS_ISA {
namespace {

bool is_double(const GridCall& call) { return call.table_type == table_double; }

}  // namespace

void hash_grid_forward(const GridCall& call) {
    switch (call.table_type) {
        case table_double: return GridReader<double, double>::forward(call);
        case table_half: return GridReader<float, Half>::forward(call);
        case table_bfloat16: return GridReader<float, Bfloat16>::forward(call);
        default: return GridReader<float, float>::forward(call);
    }
}

void hash_grid_backward(const GridCall& call) {
    if (call.grad_coords) {
        switch (call.table_type) {
            case table_double: GridReader<double, double>::backward_coords(call); break;
            case table_half: GridReader<float, Half>::backward_coords(call); break;
            case table_bfloat16: GridReader<float, Bfloat16>::backward_coords(call); break;
            default: GridReader<float, float>::backward_coords(call);
        }
    }
    if (call.grad_table)
        is_double(call) ? GridTrainer<double>::backward_table(call) : GridTrainer<float>::backward_table(call);
}

void encode_tile(const GridCall& call, int64_t first, int points, void* rows, int64_t stride) {
    is_double(call) ? GridTrainer<double>::encode_tile(call, first, points, static_cast<double*>(rows), stride)
                    : GridTrainer<float>::encode_tile(call, first, points, static_cast<float*>(rows), stride);
}

void tile_coords_gradient(const GridCall& call, int64_t first, int points, const void* rows, int64_t stride) {
    is_double(call)
        ? GridTrainer<double>::tile_coords_gradient(call, first, points, static_cast<const double*>(rows), stride)
        : GridTrainer<float>::tile_coords_gradient(call, first, points, static_cast<const float*>(rows), stride);
}

void save_tile_gradient(const GridCall& call, int64_t first, int points, const void* rows, int64_t stride,
                        const SavedGradient& saved) {
    is_double(call)
        ? GridTrainer<double>::save_tile_gradient(call, first, points, static_cast<const double*>(rows), stride, saved)
        : GridTrainer<float>::save_tile_gradient(call, first, points, static_cast<const float*>(rows), stride, saved);
}

void scatter_saved_level(const GridCall& call, int level, const SavedGradient& saved) {
    is_double(call) ? GridTrainer<double>::scatter_saved_level(call, level, saved)
                    : GridTrainer<float>::scatter_saved_level(call, level, saved);
}

}  // namespace fs::FS_ISA

#if defined(FS_EXPORTS)
FS_API void fs_hash_grid_forward(const fs::GridCall* call) { FS_CALL(hash_grid_forward, *call); }
FS_API void fs_hash_grid_backward(const fs::GridCall* call) { FS_CALL(hash_grid_backward, *call); }
#endif
