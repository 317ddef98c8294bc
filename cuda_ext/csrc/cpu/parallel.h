// Threads and scratch memory. Work runs on torch's thread pool where there is one.
#pragma once

#include <cstddef>

#include "../common/api.h"

// 1 if work runs on the OpenMP threads of the process, 0 if on threads of the library's own.
FS_API int fs_shares_openmp();

namespace fs {

using Task = void (*)(void* context, int thread);

// Calls task(context, thread) for thread = 0 .. num_threads - 1, on at most that many threads at once, and returns when
// all calls have ended. Several of these may run on one thread, so a task's work must depend on its index alone.
void run_threads(int num_threads, Task task, void* context);

// The same for a function object body(thread).
template <class Body>
void parallel(int num_threads, const Body& body) {
    run_threads(
        num_threads, [](void* context, int thread) { (*static_cast<const Body*>(context))(thread); },
        const_cast<Body*>(&body));
}

// Calls body(index) for index = 0 .. count - 1, each on the next free thread.
template <class Body>
void parallel_for(int count, int num_threads, const Body& body) {
    int next = 0;
    parallel(num_threads < count ? num_threads : count, [&](int) {
        for (int index; (index = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED)) < count;) body(index);
    });
}

// Memory that begins with a cache line, or null for no bytes; the program ends where there is none left.
void* allocate(size_t bytes);
void release(void* memory);

// At least `bytes` bytes of memory of the calling thread, 64-byte aligned, with undefined contents. There is one block
// a slot, which is kept for the next call.
void* scratch(int slot, size_t bytes);

// Asks for huge pages for a large result that is about to be written in full. If the memory is fresh, the kernel then
// maps it in large pages: faulting in thousands of small ones took longer than computing the result.
void advise_huge_pages(void* memory, size_t bytes);

// Part `thread` of `num_threads` equal parts of 0 .. total - 1: first .. last - 1.
struct Range {
    int64_t first, last;
};
FS_HOST_DEVICE Range range_of(int64_t total, int num_threads, int thread) {
    return {total * thread / num_threads, total * (thread + 1) / num_threads};
}

}  // namespace fs
