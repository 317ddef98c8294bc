// Transposes between rows [points][levels] of 8-byte values, such as entries of two floats, and level-by-level order,
// in squares as wide as the registers.
#pragma once

#include "simd.h"

namespace fs::FS_ISA {
namespace {

constexpr int SQUARE = FS_SIMD_BYTES / 8;

struct Square {
    typedef uint64_t Line __attribute__((vector_size(FS_SIMD_BYTES)));
    Line line[SQUARE];

    // Swaps the off-diagonal quarters of every square of 2 * half lines.
    template <int half>
    FS_HOST_DEVICE void exchange() {
        for (int i = 0; i < SQUARE; ++i) {
            if (i & half) continue;
            const Line a = line[i], b = line[i + half];
            line[i] = shuffled<SQUARE>(a, b, [](int lane) { return lane & half ? SQUARE + lane - half : lane; });
            line[i + half] = shuffled<SQUARE>(a, b, [](int lane) { return lane & half ? SQUARE + lane : lane + half; });
        }
    }
    FS_HOST_DEVICE void transpose() {
        exchange<1>();
        if constexpr (SQUARE > 2) exchange<2>();
        if constexpr (SQUARE > 4) exchange<4>();
    }
};

// Stores a line without reading it into the caches first (non-temporal store), for results that are larger than the
// caches.
FS_HOST_DEVICE void store_streaming(void* to, Square::Line line) {
#if defined(__AVX512F__)
    _mm512_stream_si512(static_cast<__m512i*>(to), (__m512i)line);
#elif defined(__AVX2__)
    _mm256_stream_si256(static_cast<__m256i*>(to), (__m256i)line);
#elif defined(__SSE2__)
    _mm_stream_si128(static_cast<__m128i*>(to), (__m128i)line);
#else
    __builtin_memcpy(to, &line, sizeof(line));
#endif
}
// Makes the streaming stores visible to other threads.
FS_HOST_DEVICE void streaming_fence() {
#if defined(__SSE2__)
    _mm_sfence();
#endif
}

}  // namespace
}  // namespace fs::FS_ISA
