// One kernel source, compiled once per instruction set; the widest that the processor has is chosen at run time.
//
// Each kernel file is compiled with FS_ISA set to the name of one set, and puts what it defines into fs::FS_ISA. Such a
// file must not instantiate anything of the standard library that could be merged with another file's copy: the
// linker might then keep one that the processor cannot run.
#pragma once

#include "../common/api.h"

namespace fs {

enum Isa { isa_baseline = 0, isa_avx2 = 1, isa_avx512 = 2 };

Isa isa();            // in use
bool has_bfloat16();  // products of bfloat16 numbers, beside the set in use

}  // namespace fs

// Declares a kernel in every namespace that this build has.
#if defined(FS_X86)
// What the MLPs have besides, with products of bfloat16 numbers.
#define FS_DECLARE_BFLOAT16(...)    \
    namespace fs::avx512_bfloat16 { \
    __VA_ARGS__;                    \
    }
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
#define FS_CALL(name, ...)                                       \
    (fs::isa() == fs::isa_avx512 ? fs::avx512::name(__VA_ARGS__) \
     : fs::isa() == fs::isa_avx2 ? fs::avx2::name(__VA_ARGS__)   \
                                 : fs::baseline::name(__VA_ARGS__))
// `products`: those that the MLP asks for. The caller has seen to it that this processor has them.
#define FS_CALL_PRODUCTS(products, name, ...) \
    ((products) == fs::products_bfloat16 ? fs::avx512_bfloat16::name(__VA_ARGS__) : FS_CALL(name, __VA_ARGS__))
#else
#define FS_DECLARE_BFLOAT16(...)
#define FS_CALL_PRODUCTS(products, name, ...) FS_CALL(name, __VA_ARGS__)
#define FS_DECLARE(...)      \
    namespace fs::baseline { \
    __VA_ARGS__;             \
    }
#define FS_CALL(name, ...) fs::baseline::name(__VA_ARGS__)
#endif
