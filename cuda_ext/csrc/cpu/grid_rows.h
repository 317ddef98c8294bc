// Entries of a table: F contiguous values. Tables are accessed at random positions and memory ports are the bottleneck,
// so an entry is moved in as few instructions as possible: entries of 2 to 8 bytes as one value of that size, and the
// entries of several points are combined into one vector for the arithmetic. The processor's gather instruction
// measured slower.
#pragma once

#include <utility>

#include "reduced_precision.h"
#include "simd.h"

namespace fs::FS_ISA {
namespace {

// Types that may alias any 2, 4 or 8 bytes, with the alignment of a 16-bit value.
typedef uint16_t TwoBytes __attribute__((may_alias));
typedef float FourBytes __attribute__((may_alias, aligned(2)));
typedef double EightBytes __attribute__((may_alias, aligned(2)));

template <int bytes>
FS_HOST_DEVICE auto bytes_at(const void* from) {
    if constexpr (bytes == 2) {
        return uint16_t(*static_cast<const TwoBytes*>(from));
    } else if constexpr (bytes == 4) {
        return float(*static_cast<const FourBytes*>(from));
    } else {
        return double(*static_cast<const EightBytes*>(from));
    }
}

// One entry, in the lower part of a vector register.
template <class T, int F>
struct Row {
    static constexpr int bytes = F * int(sizeof(T));
    static constexpr int lanes = (bytes < 16 ? 16 : bytes) / int(sizeof(T));
    typedef T Lanes __attribute__((vector_size(lanes * sizeof(T))));

    FS_HOST_DEVICE static Lanes load(const T* from) {
        if constexpr (bytes == 4) {
            return Lanes{*from};
        } else if constexpr (bytes == 8) {
            typedef double Doubles __attribute__((vector_size(16)));
            return (Lanes)Doubles{*reinterpret_cast<const EightBytes*>(from), 0.0};
        } else {
            return FS_ISA::load<Lanes>(from);
        }
    }
    // Loads an entry of a table of type E, which may be of reduced precision.
    template <class E>
    FS_HOST_DEVICE static Lanes load_entry(const E* from) {
        if constexpr (sizeof(E) == sizeof(T)) {
            return load(from);
        } else {
            Lanes row = {};
            for (int f = 0; f < F; ++f) row[f] = full_precision(from[f]);
            return row;
        }
    }
    FS_HOST_DEVICE static void store(T* to, Lanes row) {
        if constexpr (bytes == 4) {
            *to = row[0];
        } else if constexpr (bytes == 8) {
            typedef double Doubles __attribute__((vector_size(16)));
            *reinterpret_cast<EightBytes*>(to) = ((Doubles)row)[0];
        } else {
            FS_ISA::store(to, row);
        }
    }
    FS_HOST_DEVICE static T dot(Lanes a, Lanes b) {
        T sum = a[0] * b[0];
        for (int i = 1; i < F; ++i) sum = multiply_add(T(a[i]), T(b[i]), sum);
        return sum;
    }
};

// Rows of `size` values of several points in one vector of T, from a table of type E. `step` values lie between one
// entry and the next: a row may span several adjacent entries.
template <class T, class E, int size, int step = size>
struct Rows {
    static constexpr int bytes = size * int(sizeof(E));
    static constexpr int count =
        FS_SIMD_BYTES / (size * int(sizeof(T))) > 1 ? FS_SIMD_BYTES / (size * int(sizeof(T))) : 1;
    using Lanes = Vector<T, count * size>;

    FS_HOST_DEVICE static Lanes gather(const E* table, const uint32_t* entry) {
        return widen<T, E, count * size>(raw<count>(table, entry));
    }

private:
    template <int points>
    FS_HOST_DEVICE static auto raw(const E* table, const uint32_t* entry) {
        if constexpr (bytes <= 8) {
            return units(table, entry, std::make_integer_sequence<int, points>());
        } else if constexpr (points > 1) {
            return concat(raw<points / 2>(table, entry), raw<points / 2>(table, entry + points / 2));
        } else {
            return load<Vector<uint64_t, bytes / 8>>(table + int64_t(entry[0]) * step);
        }
    }
    template <int... point>
    FS_HOST_DEVICE static auto units(const E* table, const uint32_t* entry, std::integer_sequence<int, point...>) {
        using Value = decltype(bytes_at<bytes>(table));
        return Vector<Value, int(sizeof...(point))>{bytes_at<bytes>(table + int64_t(entry[point]) * step)...};
    }
};

// `count` lanes of a vector of points, from lane `first` on, each repeated for the F features of its entry.
template <int first, int F, int count, class P>
FS_HOST_DEVICE auto broadcast_each(P values) {
    if constexpr (count == 1) {
        return values[first] - Vector<std::decay_t<decltype(values[0])>, F>{};
    } else {
        return shuffled<count * F>(values, [](int lane) { return first + lane / F; });
    }
}

// The same for two vectors whose lanes are interleaved.
template <int first, int F, int count, class P>
FS_HOST_DEVICE auto broadcast_two(P lower, P upper) {
    return shuffled<2 * count * F>(lower, upper, [](int lane) {
        return first + lane / (2 * F) + (lane / F % 2) * int(sizeof(P) / sizeof(lower[0]));
    });
}

}  // namespace
}  // namespace fs::FS_ISA
