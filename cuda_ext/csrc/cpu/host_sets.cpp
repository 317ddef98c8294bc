// Prints the instruction sets that a build for this machine alone needs beside the baseline.
#include "processor.h"

#include <cstdio>

int main() {
    if (fs::processor_has_avx512()) {
        std::puts(fs::processor_has_avx512_bfloat16() ? "avx512 avx512_bfloat16" : "avx512");
    } else if (fs::processor_has_avx2()) {
        std::puts("avx2");
    }
    return 0;
}
