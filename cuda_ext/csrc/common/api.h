// What every library shows of itself.
#pragma once

// A function that Python finds by its name.
#define FS_API extern "C" __attribute__((visibility("default")))

namespace fs {

// The number of the interface: raised whenever a signature changes, compared by the loader.
constexpr int abi = 4;

}  // namespace fs
