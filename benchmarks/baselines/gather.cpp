// The limit that memory sets: reads 8-byte rows of a table at given indices, in the given order, and sums them; or adds
// the same value to them. No index is computed, nothing is weighted and no result is written. A grid's passes over the
// same rows, one by one, cannot be faster than this.
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

void add_to_rows(float* table, const uint32_t* at, int64_t count, float value) {
    for (int64_t i = 0; i < count; ++i) {
        float* row = table + 2 * int64_t(at[i]);
        row[0] += value;
        row[1] += value;
    }
}

}  // namespace

// `at`: indices of rows in the whole table. `result` keeps the compiler from removing the reads.
extern "C" void gather_rows(const uint64_t* table, const uint32_t* at, int64_t count, int threads, uint64_t* result) {
    std::vector<std::thread> team;
    for (int t = 0; t < threads; ++t)
        team.emplace_back([=] {
            const int64_t first = count * t / threads, last = count * (t + 1) / threads;
            result[t] = read_rows(table, at + first, last - first);
        });
    for (std::thread& thread : team) thread.join();
}

// `at`: `count` indices per level, level after level. One thread takes a level, because two must not add to one row.
extern "C" void scatter_rows(float* table, const uint32_t* at, int64_t count, int levels, int threads, float value) {
    std::vector<std::thread> team;
    for (int t = 0; t < threads; ++t)
        team.emplace_back([=] {
            for (int l = t; l < levels; l += threads) add_to_rows(table, at + l * count, count, value);
        });
    for (std::thread& thread : team) thread.join();
}
