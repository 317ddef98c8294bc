// Device memory that a call hands to its kernels.
#pragma once

#include <cstdint>

namespace fs {

struct Workspace {
    void* at;  // null: gradients are summed atomically
    int64_t bytes;
};

// Parts of a workspace begin at multiples of 256 bytes.
inline int64_t align_bytes(int64_t bytes) { return (bytes + 255) / 256 * 256; }

}  // namespace fs
