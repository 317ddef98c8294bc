// The functions of the CUDA library that belong to no operation. Each operation's functions are declared in the header
// named after it, and defined in the source file of the same name.
//
// All of them have in common: `call` points to the struct of ../common that describes the operation's arrays, whose
// pointers are device pointers; `num_threads` is ignored. `device` is the device's index, `stream` a cudaStream_t.
// Kernels are enqueued on the stream and nothing waits for them. A `workspace` is device memory of at least
// `workspace_bytes`, aligned to 256 bytes, and must live until the stream has run the kernels. Results of type int32_t
// are a cudaError_t, 0 for success; results of type int64_t are numbers of bytes, or minus a cudaError_t.
#pragma once

#include "../common/api.h"

// The interface number (`fs::abi`).
FS_API int fs_abi();

// The text for a cudaError_t, a static string.
FS_API const char* fs_error(int32_t error);
