#include "isa.h"

#include <cstdlib>
#include <cstring>
#include <initializer_list>

#if defined(FS_AVX2) || defined(FS_AVX512)
#include "processor.h"
#endif

namespace fs {
namespace {

// Whether the build and the processor have the set.
bool has(Isa isa) {
#if defined(FS_AVX512)
    if (isa == isa_avx512) return processor_has_avx512();
#endif
#if defined(FS_AVX2)
    if (isa == isa_avx2) return processor_has_avx2();
#endif
    return isa == isa_baseline;
}

Isa best() { return has(isa_avx512) ? isa_avx512 : has(isa_avx2) ? isa_avx2 : isa_baseline; }

const char* const names[] = {"baseline", "avx2", "avx512"};

// The environment variable FIELD_STUDIO_ISA can select a narrower set than the best one.
Isa initial() {
    const char* requested = std::getenv("FIELD_STUDIO_ISA");
    for (const Isa isa : {isa_baseline, isa_avx2, isa_avx512})
        if (requested && !std::strcmp(requested, names[isa]) && has(isa)) return isa;
    return best();
}

Isa& current() {
    static Isa value = initial();
    return value;
}

}  // namespace

Isa isa() { return current(); }

bool has_bfloat16() {
#if defined(FS_AVX512_BFLOAT16)
    return isa() == isa_avx512 && processor_has_avx512_bfloat16();
#else
    return false;
#endif
}

}  // namespace fs

FS_API int fs_abi() { return fs::abi; }

FS_API const char* fs_isa() { return fs::names[fs::isa()]; }

FS_API int fs_has_bfloat16() { return fs::has_bfloat16(); }

FS_API int fs_set_isa(const char* name) {
    for (const fs::Isa isa : {fs::isa_baseline, fs::isa_avx2, fs::isa_avx512}) {
        if (!std::strcmp(name, fs::names[isa]) && fs::has(isa)) {
            fs::current() = isa;
            return 1;
        }
    }
    return 0;
}
