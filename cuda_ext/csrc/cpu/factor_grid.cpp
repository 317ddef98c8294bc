// Sums of products of interpolated grids on the CPU: which of the compiled kernels a call wants.
#include "factor_grid.h"

#include "factor_grid_types.h"

namespace fs::FS_ISA {

void factor_grid_forward(const FactorCall& call) {
    call.is_double ? FactorGrids<double>::forward(call) : FactorGrids<float>::forward(call);
}

void factor_grid_backward(const FactorCall& call) {
    call.is_double ? FactorGrids<double>::backward(call) : FactorGrids<float>::backward(call);
}

}  // namespace fs::FS_ISA

#if defined(FS_EXPORTS)
FS_API void fs_factor_grid_forward(const fs::FactorCall* call) { FS_CALL(factor_grid_forward, *call); }
FS_API void fs_factor_grid_backward(const fs::FactorCall* call) { FS_CALL(factor_grid_backward, *call); }
#endif
