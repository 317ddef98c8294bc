// What both libraries export.
#pragma once

#include <cstdint>

// A function of the C interface, found by its name through ctypes.
#define FS_API extern "C" __attribute__((visibility("default")))

namespace fs {

// Number of the C interface: raised whenever a signature or the layout of a struct changes. The loader refuses a
// library whose number differs from its own (`ABI` in cuda_ext/__init__.py).
constexpr int abi = 6;

}  // namespace fs
