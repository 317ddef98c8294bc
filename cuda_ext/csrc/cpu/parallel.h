// Threads and scratch memory. The same pool as torch's where there is one.
#pragma once

#include <cstddef>

namespace fs {

using Task = void (*)(void* context, int worker);

// Calls task(context, worker) for worker = 0..workers-1, on up to that many threads at once; returns when all are done.
// Which thread runs which worker is open: what a worker does must depend on its number alone.
void run_workers(int workers, Task task, void* context);

template <class Body>
void parallel(int workers, const Body& body) {
    run_workers(
        workers, [](void* context, int worker) { (*static_cast<const Body*>(context))(worker); },
        const_cast<Body*>(&body));
}

// Calls body(index) for index = 0..count-1, each on whichever thread is free.
template <class Body>
void for_each(int count, int workers, const Body& body) {
    int next = 0;
    parallel(workers < count ? workers : count, [&](int) {
        for (int index; (index = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED)) < count;) body(index);
    });
}

// Memory of the calling thread that lives on for the next call, 64-byte aligned and not cleared. One block a slot.
void* scratch(int slot, size_t bytes);

// Says that all of a large result is about to be written. Where it is fresh memory, the system then hands it out in
// large pages: finding thousands of small ones took longer than computing what goes into them.
void expect_writes(void* memory, size_t bytes);

// Shares `total` items out: worker's part is [first, last).
struct Part {
    long first, last;
};
static inline __attribute__((always_inline)) Part part_of(long total, int workers, int worker) {
    return {total * worker / workers, total * (worker + 1) / workers};
}

}  // namespace fs
