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

// Functions whose newest version came after glibc 2.28, which wheels are made for: their older versions, which do the
// same. (The thread's moved into another library, `exp` lost a wrapper.)
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__CUDACC__)
__asm__(".symver exp,exp@GLIBC_2.2.5");
__asm__(".symver dlsym,dlsym@GLIBC_2.2.5");
__asm__(".symver pthread_create,pthread_create@GLIBC_2.2.5");
__asm__(".symver pthread_join,pthread_join@GLIBC_2.2.5");
#elif defined(__aarch64__) && defined(__gnu_linux__) && !defined(__CUDACC__)
__asm__(".symver exp,exp@GLIBC_2.17");
__asm__(".symver dlsym,dlsym@GLIBC_2.17");
__asm__(".symver pthread_create,pthread_create@GLIBC_2.17");
__asm__(".symver pthread_join,pthread_join@GLIBC_2.17");
#endif
