// Who scatters which level of the table's gradient.
#pragma once

#include "../common/grid.h"

namespace fs::FS_ISA {
namespace {

// Which levels are meant; a grid has at most 64.
using Levels = uint64_t;
constexpr Levels ALL_LEVELS = ~Levels(0);
FS_HOST_DEVICE bool has(Levels set, int level) { return set >> level & 1; }

constexpr int64_t NEAR_BYTES = 1 << 19;  // of a level that stays in the second-level cache

// A level is one worker's, from the first point to the last. Where it is small beside the number of points, it is two
// workers': the second half of the points goes into a copy, which is added in the end. Whether it is depends on the
// sizes alone, so that sums do not depend on the number of workers. Each worker gets about the same amount of work, and
// if it can be points of one half only, as it need not read the others then.
struct GridShares {
    static constexpr int MOST_WORKERS = 128;  // who work
    Levels halved = 0;
    int64_t copy[64];  // first entry of a halved level's copy
    int64_t copied_entries = 0;
    int workers;
    uint8_t owner[2][64];
    int levels;

    GridShares(const GridCall& call, int64_t entry_bytes)
        : workers(call.workers < 1              ? 1
                  : call.workers < MOST_WORKERS ? call.workers
                                                : MOST_WORKERS),
          levels(call.levels) {
        int load[MOST_WORKERS] = {};
        for (int l = 0; l < call.levels; ++l) {
            const int64_t size = call.level[l].size;
            copy[l] = copied_entries;
            if (size * entry_bytes > NEAR_BYTES || 2 * size > call.points) continue;
            halved |= Levels(1) << l;
            copied_entries += size;
        }
        // The large ones first, which nobody can share.
        for (int l = call.levels - 1; l >= 0; --l)
            if (!has(halved, l)) owner[0][l] = owner[1][l] = give(load, 2 * cost(call.level[l], entry_bytes), 0);
        for (int l = call.levels - 1; l >= 0; --l)
            for (int half = 0; has(halved, l) && half < 2; ++half)
                owner[half][l] = give(load, cost(call.level[l], entry_bytes), half * (workers / 2));
    }

    Levels levels_of(int worker, int half) const {
        Levels set = 0;
        for (int l = 0; l < levels; ++l) set |= Levels(owner[half][l] == worker) << l;
        return set;
    }

private:
    // Half a level's cost as measured: whole cells in two moves, far entries slow.
    static int cost(const GridLevel& level, int64_t entry_bytes) {
        return level.size * entry_bytes > NEAR_BYTES ? 6 : level.addressing == dense ? 2 : 3;
    }
    // To the worker who has least, and among these to the first from `first` on.
    uint8_t give(int* load, int work, int first) const {
        int least = first;
        for (int i = 0; i < workers; ++i)
            if (load[(first + i) % workers] < load[least]) least = (first + i) % workers;
        load[least] += work;
        return uint8_t(least);
    }
};

}  // namespace
}  // namespace fs::FS_ISA
