// What memory allows: reads the 8-byte rows of a table at given places, in the given order, and adds them up; or adds the same
// number to them. No index is computed, nothing is weighted, no result is written: a grid's passes over the same rows, one by one,
// cannot be faster than this.
#include <cstdint>
#include <thread>
#include <vector>

namespace {

uint64_t read_rows(const uint64_t* table, const uint32_t* at, int64_t count) {
    uint64_t sums[8] = {};
    int64_t i = 0;
    for (; i + 8 <= count; i += 8)
        for (int k = 0; k < 8; ++k) sums[k] += table[at[i + k]];
    for (; i < count; ++i) sums[0] += table[at[i]];
    return sums[0] + sums[1] + sums[2] + sums[3] + sums[4] + sums[5] + sums[6] + sums[7];
}

void add_to_rows(float* table, const uint32_t* at, int64_t count, float number) {
    for (int64_t i = 0; i < count; ++i) {
        float* row = table + 2 * int64_t(at[i]);
        row[0] += number;
        row[1] += number;
    }
}

}  // namespace

// `at` counts rows of the whole table. `result` keeps the compiler from leaving the reads out.
extern "C" void gather_rows(const uint64_t* table, const uint32_t* at, int64_t count, int threads, uint64_t* result) {
    std::vector<std::thread> team;
    for (int t = 0; t < threads; ++t)
        team.emplace_back([=] {
            const int64_t first = count * t / threads, last = count * (t + 1) / threads;
            result[t] = read_rows(table, at + first, last - first);
        });
    for (std::thread& thread : team) thread.join();
}

// The places of each level, `count` of them, follow each other; a level is one thread's, as two may not add to the same row.
extern "C" void scatter_rows(float* table, const uint32_t* at, int64_t count, int levels, int threads, float number) {
    std::vector<std::thread> team;
    for (int t = 0; t < threads; ++t)
        team.emplace_back([=] {
            for (int l = t; l < levels; l += threads) add_to_rows(table, at + l * count, count, number);
        });
    for (std::thread& thread : team) thread.join();
}
