// What the processor that runs this can do.
#pragma once

#if defined(__x86_64__) || defined(_M_X64)
#include <cpuid.h>

#include <cstdint>

namespace fs {
namespace {

bool processor_has_avx2() {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

bool processor_has_avx512() {
    return processor_has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

bool processor_has_avx512_bfloat16() {
    // Leaf 7, subleaf 1, bit 5 of EAX. Some compilers' __builtin_cpu_supports lack its name.
    uint32_t a, b, c, d;
    return processor_has_avx512() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 5 & 1);
}

}  // namespace
}  // namespace fs
#endif
