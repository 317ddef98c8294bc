// Assigns the levels of a table's gradient to threads.
#pragma once

#include "../common/grid.h"

namespace fs::FS_ISA {
namespace {

// A set of levels; a grid has at most 64.
using LevelSet = uint64_t;
constexpr LevelSet ALL_LEVELS = ~LevelSet(0);
FS_HOST_DEVICE bool has(LevelSet set, int level) { return set >> level & 1; }

constexpr int64_t L2_BYTES = 1 << 19;  // levels up to this size stay in the second-level cache

// A level is scattered by one thread, from the first point to the last. Levels that are small relative to the number of
// points are split between two threads: the second half of the points is scattered into a copy, which is added at the
// end. Whether a level is split depends on the sizes alone, so that sums do not depend on the number of threads. The
// threads get about equal work, and if possible each gets points of one half only, so that it need not read the other.
struct LevelSchedule {
    static constexpr int MAX_THREADS = 128;  // further threads get no levels
    LevelSet split_levels = 0;
    int64_t copy[64];  // first entry of a split level's copy
    int64_t copied_entries = 0;
    int num_threads;
    uint8_t owner[2][64];
    int levels;

    LevelSchedule(const GridCall& call, int64_t entry_bytes)
        : num_threads(clamped(call.num_threads)), levels(call.levels) {
        int assigned_cost[MAX_THREADS] = {};
        for (int l = 0; l < call.levels; ++l) {
            const int64_t size = call.level[l].size;
            copy[l] = copied_entries;
            if (size * entry_bytes > L2_BYTES || 2 * size > call.points) continue;
            split_levels |= LevelSet(1) << l;
            copied_entries += size;
        }
        // The large levels first, because they cannot be split.
        for (int l = call.levels - 1; l >= 0; --l)
            if (!has(split_levels, l))
                owner[0][l] = owner[1][l] = assign(assigned_cost, 2 * cost(call.level[l], entry_bytes), 0);
        for (int l = call.levels - 1; l >= 0; --l)
            for (int half = 0; has(split_levels, l) && half < 2; ++half)
                owner[half][l] = assign(assigned_cost, cost(call.level[l], entry_bytes), half * (num_threads / 2));
    }

    LevelSet levels_of(int thread, int half) const {
        LevelSet set = 0;
        for (int l = 0; l < levels; ++l) set |= LevelSet(owner[half][l] == thread) << l;
        return set;
    }

private:
    static int clamped(int num_threads) {
        if (num_threads < 1) return 1;
        return num_threads < MAX_THREADS ? num_threads : MAX_THREADS;
    }
    // Measured cost of half a level: dense cells are moved in two steps, entries outside of the cache are slow.
    static int cost(const GridLevel& level, int64_t entry_bytes) {
        return level.size * entry_bytes > L2_BYTES ? 6 : level.addressing == dense ? 2 : 3;
    }
    // Gives the work to the thread with the least work; of several, to the first one from `first` on.
    uint8_t assign(int* assigned_cost, int work, int first) const {
        int least = first;
        for (int i = 0; i < num_threads; ++i)
            if (assigned_cost[(first + i) % num_threads] < assigned_cost[least]) least = (first + i) % num_threads;
        assigned_cost[least] += work;
        return uint8_t(least);
    }
};

}  // namespace
}  // namespace fs::FS_ISA
