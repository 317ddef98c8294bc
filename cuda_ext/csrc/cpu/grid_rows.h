// Entries of a table: F numbers side by side. Tables are read and written at random places, where the memory's ports are
// the limit, so an entry is moved in as few instructions as there can be: 4 or 8 bytes as one number of that size, and
// the entries of several points are put into one vector for the arithmetic. (The processor's gather instruction
// measured slower.)
#pragma once

#include <utility>

#include "vector.h"

namespace fs::FS_ISA {
namespace {

// A number that may stand for any 4 or 8 bytes, at the alignment of a float.
typedef float FourBytes __attribute__((may_alias, aligned(4)));
typedef double EightBytes __attribute__((may_alias, aligned(4)));

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
            typedef double Numbers __attribute__((vector_size(16)));
            return (Lanes)Numbers{*reinterpret_cast<const EightBytes*>(from), 0.0};
        } else {
            return FS_ISA::load<Lanes>(from);
        }
    }
    FS_HOST_DEVICE static void store(T* to, Lanes row) {
        if constexpr (bytes == 4) {
            *to = row[0];
        } else if constexpr (bytes == 8) {
            typedef double Numbers __attribute__((vector_size(16)));
            *reinterpret_cast<EightBytes*>(to) = ((Numbers)row)[0];
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

// The entries of several points in one vector, where an entry is smaller than that.
template <class T, int F>
struct Rows {
    static constexpr int bytes = F * int(sizeof(T));
    static constexpr int most = FS_PACK_BYTES < 32 ? FS_PACK_BYTES : 32;
    static constexpr int count = bytes < 16 ? most / bytes : 1;
    typedef T Lanes __attribute__((vector_size(count * bytes)));

    FS_HOST_DEVICE static Lanes gather(const T* table, const uint32_t* entry) {
        return gather_as(table, entry, std::make_integer_sequence<int, count>());
    }

    // One number a point, repeated for the features of its entry.
    FS_HOST_DEVICE static Lanes spread(const T* number) {
        if constexpr (count == 1) {
            return Lanes{} + number[0];
        } else {
            typedef T Numbers __attribute__((vector_size(count * sizeof(T))));
            return spread_as(load<Numbers>(number), std::make_integer_sequence<int, count * F>());
        }
    }

private:
    template <int... point>
    FS_HOST_DEVICE static Lanes gather_as(const T* table, const uint32_t* entry, std::integer_sequence<int, point...>) {
        if constexpr (bytes == 4) {
            typedef float Numbers __attribute__((vector_size(count * bytes)));
            const auto rows = reinterpret_cast<const FourBytes*>(table);
            return (Lanes)Numbers{rows[entry[point]]...};
        } else if constexpr (bytes == 8) {
            typedef double Numbers __attribute__((vector_size(count * bytes)));
            const auto rows = reinterpret_cast<const EightBytes*>(table);
            return (Lanes)Numbers{rows[entry[point]]...};
        } else {
            return load<Lanes>(table + int64_t(entry[0]) * F);
        }
    }

    template <class Numbers, int... lane>
    FS_HOST_DEVICE static Lanes spread_as(Numbers numbers, std::integer_sequence<int, lane...>) {
        return __builtin_shufflevector(numbers, numbers, (lane / F)...);
    }
};

}  // namespace
}  // namespace fs::FS_ISA
