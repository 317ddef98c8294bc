#include "parallel.h"

#include "isa.h"

#if defined(_WIN32)
#include <malloc.h>
#else
#include <dlfcn.h>
#include <sys/mman.h>
#endif

#include <cstdint>
#include <cstdlib>
#include <new>
#include <thread>

namespace fs {
namespace {

// torch brings its own OpenMP runtime, under a file name that differs between builds; linking a second runtime would
// create a second pool of threads that competes for the same cores. So the functions that make up a parallel region are
// looked up in what the process has loaded already; without them (as on Windows, where the runtimes have other
// functions), plain threads are used.
struct OpenMP {
    void (*parallel)(void (*)(void*), void*, unsigned, unsigned);
    int (*thread)();
    int (*threads)();
};

const OpenMP& openmp() {
    static const OpenMP found = [] {
        OpenMP omp = {};
#if !defined(_WIN32)
        omp.parallel = reinterpret_cast<decltype(omp.parallel)>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
        omp.thread = reinterpret_cast<decltype(omp.thread)>(dlsym(RTLD_DEFAULT, "omp_get_thread_num"));
        omp.threads = reinterpret_cast<decltype(omp.threads)>(dlsym(RTLD_DEFAULT, "omp_get_num_threads"));
        const char* own = std::getenv("FIELD_STUDIO_THREADS");
        if (!omp.thread || !omp.threads || (own && own[0] == 'o')) omp.parallel = nullptr;
#endif
        return omp;
    }();
    return found;
}

struct Region {
    Task task;
    void* context;
    int num_threads;
};

// Memory for whole cache lines, or null. `bytes` is a multiple of 64.
void* allocate(size_t bytes) {
#if defined(_WIN32)
    return _aligned_malloc(bytes, 64);
#else
    return std::aligned_alloc(64, bytes);
#endif
}
void release(void* memory) {
#if defined(_WIN32)
    _aligned_free(memory);
#else
    std::free(memory);
#endif
}

struct ScratchBlock {
    void* memory = nullptr;
    size_t bytes = 0;
    ~ScratchBlock() { release(memory); }
};

}  // namespace

void run_threads(int num_threads, Task task, void* context) {
    if (num_threads <= 1) {
        if (num_threads == 1) task(context, 0);
        return;
    }
    Region region{task, context, num_threads};
    if (openmp().parallel) {
        // The team may be smaller than requested (one thread inside another region), hence the stride.
        auto body = [](void* data) {
            const Region& r = *static_cast<Region*>(data);
            const int threads = openmp().threads();
            for (int thread = openmp().thread(); thread < r.num_threads; thread += threads) r.task(r.context, thread);
        };
        openmp().parallel(body, &region, unsigned(num_threads), 0);
        return;
    }
    std::thread* threads = new std::thread[num_threads - 1];
    for (int thread = 1; thread < num_threads; ++thread) threads[thread - 1] = std::thread(task, context, thread);
    task(context, 0);
    for (int thread = 1; thread < num_threads; ++thread) threads[thread - 1].join();
    delete[] threads;
}

void advise_huge_pages(void* memory, size_t bytes) {
#if defined(MADV_HUGEPAGE)
    constexpr uintptr_t page = 4096;
    constexpr size_t worthwhile = size_t(2) << 20;
    if (bytes < worthwhile) return;
    const uintptr_t first = (reinterpret_cast<uintptr_t>(memory) + page - 1) / page * page;
    const uintptr_t last = (reinterpret_cast<uintptr_t>(memory) + bytes) / page * page;
    madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#else
    (void)memory, (void)bytes;
#endif
}

void* scratch(int slot, size_t bytes) {
    static thread_local ScratchBlock blocks[8];
    ScratchBlock& block = blocks[slot];
    if (block.bytes < bytes) {
        release(block.memory);
        block.bytes = (bytes + 63) / 64 * 64;
        block.memory = allocate(block.bytes);
        if (!block.memory) {
            block.bytes = 0;
            throw std::bad_alloc();
        }
    }
    return block.memory;
}

}  // namespace fs

FS_API int fs_shares_openmp() { return fs::openmp().parallel != nullptr; }
