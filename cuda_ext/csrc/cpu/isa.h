// One kernel source, compiled once per instruction set; the widest that the processor has is chosen at run time.
//
// Each kernel file is compiled with FS_ISA set to the name of one set, and puts what it defines into fs::FS_ISA. Such a
// file must not instantiate anything of the standard library that could be merged with another file's copy: the
// linker might then keep one that the processor cannot run.
#pragma once

#include "../common/api.h"

namespace fs {

enum Isa { isa_baseline = 0, isa_avx2 = 1, isa_avx512 = 2 };

Isa isa();  // in use

}  // namespace fs

// Declares a kernel in every namespace that this build has.
#if defined(FS_X86)
#define FS_DECLARE(...)                     \
    namespace fs::baseline { __VA_ARGS__; } \
    namespace fs::avx2 { __VA_ARGS__; }     \
    namespace fs::avx512 { __VA_ARGS__; }
#define FS_CALL(name, ...)                                          \
    (fs::isa() == fs::isa_avx512 ? fs::avx512::name(__VA_ARGS__)    \
     : fs::isa() == fs::isa_avx2 ? fs::avx2::name(__VA_ARGS__)      \
                                 : fs::baseline::name(__VA_ARGS__))
#else
#define FS_DECLARE(...) namespace fs::baseline { __VA_ARGS__; }
#define FS_CALL(name, ...) fs::baseline::name(__VA_ARGS__)
#endif
