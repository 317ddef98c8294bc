// What the processor that runs this can do.
#pragma once

#if defined(__x86_64__) || defined(_M_X64)
#include <cpuid.h>

#include <cstdint>

namespace fs {
namespace {

bool processor_has_avx2() {
    __builtin_cpu_init();
    // Leaf 1, bit 29 of ECX: F16C, whose name some compilers' __builtin_cpu_supports lack.
    uint32_t a, b, c, d;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __get_cpuid(1, &a, &b, &c, &d) &&
           (c >> 29 & 1);
}

bool processor_has_avx512() {
    return processor_has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

bool processor_has_avx512_bfloat16() {
    // Leaf 7, subleaf 1, bit 5 of EAX: AVX512-BF16, likewise.
    uint32_t a, b, c, d;
    return processor_has_avx512() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 5 & 1);
}

}  // namespace
}  // namespace fs
#endif
