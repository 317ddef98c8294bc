// What both libraries export.
#pragma once

#include <cstdint>

#include "compiler.h"

namespace fs {

// Number of the C interface: raised whenever a signature or the layout of a struct changes. The loader refuses a
// library whose number differs from its own (`ABI` in cuda_ext/__init__.py).
constexpr int abi = 7;

}  // namespace fs
