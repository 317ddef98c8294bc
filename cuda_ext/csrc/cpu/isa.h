// Run-time dispatch over instruction sets: every kernel is compiled once per set, and the widest set that the processor
// supports is used. A build has the baseline and those of FS_AVX2, FS_AVX512 and FS_AVX512_BFLOAT16 that are defined.
//
// An operation has a header, which declares its kernels with FS_DECLARE and its exported functions with FS_API, and a
// source file of the same name. The source is compiled with FS_ISA defined as the name of one set, and defines its
// kernels in fs::FS_ISA. The exported functions stand at its end, where FS_EXPORTS is defined (in the baseline build
// alone), and call the kernel of the set in use with FS_CALL.
//
// A kernel's source must not instantiate anything of the standard library that the linker could merge with the copy of
// another file: it might keep a copy that the processor cannot run.
#pragma once

#include "../common/api.h"

namespace fs {

enum Isa { isa_baseline = 0, isa_avx2 = 1, isa_avx512 = 2 };

// The set in use.
Isa isa();
// Whether the kernels that multiply in bfloat16 can be used with it.
bool has_bfloat16();

}  // namespace fs

// The interface number (`fs::abi`).
FS_API int fs_abi();
// Name of the instruction set in use: "baseline", "avx2" or "avx512".
FS_API const char* fs_isa();
// 1 if matrices can be multiplied in bfloat16 (AVX512-BF16), else 0.
FS_API int fs_has_bfloat16();
// Selects a set by name, for tests. Returns 1, or 0 if the processor or the build lacks it.
FS_API int fs_set_isa(const char* name);

// Declares a kernel in the namespace of every set.
#define FS_DECLARE(...)      \
    namespace fs::baseline { \
    __VA_ARGS__;             \
    }                        \
    namespace fs::avx2 {     \
    __VA_ARGS__;             \
    }                        \
    namespace fs::avx512 {   \
    __VA_ARGS__;             \
    }
// Declares the version of a kernel that multiplies in bfloat16.
#define FS_DECLARE_BFLOAT16(...)    \
    namespace fs::avx512_bfloat16 { \
    __VA_ARGS__;                    \
    }

#if defined(FS_AVX512)
#define FS_CALL_AVX512(name, ...) fs::isa() == fs::isa_avx512 ? fs::avx512::name(__VA_ARGS__):
#else
#define FS_CALL_AVX512(name, ...)
#endif
#if defined(FS_AVX2)
#define FS_CALL_AVX2(name, ...) fs::isa() == fs::isa_avx2 ? fs::avx2::name(__VA_ARGS__):
#else
#define FS_CALL_AVX2(name, ...)
#endif
// Calls the kernel of the set in use.
#define FS_CALL(name, ...) \
    (FS_CALL_AVX512(name, __VA_ARGS__) FS_CALL_AVX2(name, __VA_ARGS__) fs::baseline::name(__VA_ARGS__))
// The same for a kernel that exists in bfloat16 too. The caller has checked fs_has_bfloat16.
#if defined(FS_AVX512_BFLOAT16)
#define FS_CALL_MATMUL(matmul_dtype, name, ...) \
    ((matmul_dtype) == fs::matmul_bfloat16 ? fs::avx512_bfloat16::name(__VA_ARGS__) : FS_CALL(name, __VA_ARGS__))
#else
#define FS_CALL_MATMUL(matmul_dtype, name, ...) FS_CALL(name, __VA_ARGS__)
#endif
