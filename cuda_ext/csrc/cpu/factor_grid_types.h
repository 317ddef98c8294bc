// The kernels of factor grids by the type of all arrays.
#pragma once

#include "factor_grid.h"

namespace fs::FS_ISA {

template <class T>
struct FactorGrids {
    static void forward(const FactorCall& call);
    static void backward(const FactorCall& call);
};

}  // namespace fs::FS_ISA
