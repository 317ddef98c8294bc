#include "isa.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>

#if defined(FS_X86)
#include <cpuid.h>
#endif

namespace fs {
namespace {

Isa best() {
#if defined(FS_X86)
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    return avx512 ? isa_avx512 : avx2 ? isa_avx2 : isa_baseline;
#else
    return isa_baseline;
#endif
}

const char* const names[] = {"baseline", "avx2", "avx512"};

// The environment variable FIELD_STUDIO_ISA can select a narrower set than the best one.
Isa initial() {
    const char* requested = std::getenv("FIELD_STUDIO_ISA");
    for (int i = 0; requested && i <= best(); ++i)
        if (!std::strcmp(requested, names[i])) return Isa(i);
    return best();
}

Isa& current() {
    static Isa value = initial();
    return value;
}

}  // namespace

Isa isa() { return current(); }

bool has_bfloat16() {
#if defined(FS_X86)
    // AVX512-BF16 is leaf 7, subleaf 1, bit 5 of EAX. Some compilers' __builtin_cpu_supports lack its name.
    uint32_t a, b, c, d;
    return isa() == isa_avx512 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 5 & 1);
#else
    return false;
#endif
}

}  // namespace fs

FS_API int fs_abi() { return fs::abi; }

FS_API const char* fs_isa() { return fs::names[fs::isa()]; }

FS_API int fs_has_bfloat16() { return fs::has_bfloat16(); }

FS_API int fs_set_isa(const char* name) {
    for (int i = 0; i <= fs::best(); ++i) {
        if (!std::strcmp(name, fs::names[i])) {
            fs::current() = fs::Isa(i);
            return 1;
        }
    }
    return 0;
}
