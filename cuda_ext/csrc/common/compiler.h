// What differs between compilers and systems. The kernels are written with the vector extensions of gcc and clang,
// which clang-cl has on Windows too; Microsoft's own compiler has nothing like them.
#pragma once

#if defined(_MSC_VER) && !defined(__clang__)
#error "The kernels need vector extensions: compile with clang-cl (cmake -T ClangCL), or with gcc of MinGW-w64."
#endif

// A function of the C interface, found by its name through ctypes.
#if defined(_WIN32)
#define FS_API extern "C" __declspec(dllexport)
#else
#define FS_API extern "C" __attribute__((visibility("default")))
#endif

#if defined(__CUDACC__)
#define FS_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define FS_HOST_DEVICE inline __attribute__((always_inline))
#endif
