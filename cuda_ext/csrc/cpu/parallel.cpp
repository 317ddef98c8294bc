#include "parallel.h"

#include "isa.h"

#include <dlfcn.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <new>
#include <thread>

namespace fs {
namespace {

// torch brings an OpenMP runtime of its own, under a name that differs between its builds; linking against another
// would make a second pool that fights for the same cores. So the two functions that a parallel region is made of are
// looked up among what the process has loaded already, and plain threads serve where there is none.
struct OpenMP {
    void (*parallel)(void (*)(void*), void*, unsigned, unsigned);
    int (*thread)();
    int (*threads)();
};

const OpenMP& openmp() {
    static const OpenMP found = [] {
        OpenMP omp;
        omp.parallel = reinterpret_cast<decltype(omp.parallel)>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
        omp.thread = reinterpret_cast<decltype(omp.thread)>(dlsym(RTLD_DEFAULT, "omp_get_thread_num"));
        omp.threads = reinterpret_cast<decltype(omp.threads)>(dlsym(RTLD_DEFAULT, "omp_get_num_threads"));
        const char* own = std::getenv("FIELD_STUDIO_THREADS");
        if (!omp.thread || !omp.threads || (own && own[0] == 'o')) omp.parallel = nullptr;
        return omp;
    }();
    return found;
}

struct Region {
    Task task;
    void* context;
    int workers;
};

struct Block {
    void* memory = nullptr;
    size_t bytes = 0;
    ~Block() { std::free(memory); }
};

}  // namespace

void run_workers(int workers, Task task, void* context) {
    if (workers <= 1) {
        if (workers == 1) task(context, 0);
        return;
    }
    Region region{task, context, workers};
    if (openmp().parallel) {
        // The team may be smaller than asked for (inside another region it is one thread), hence the stride.
        auto body = [](void* data) {
            const Region& r = *static_cast<Region*>(data);
            const int threads = openmp().threads();
            for (int worker = openmp().thread(); worker < r.workers; worker += threads) r.task(r.context, worker);
        };
        openmp().parallel(body, &region, unsigned(workers), 0);
        return;
    }
    std::thread* threads = new std::thread[workers - 1];
    for (int worker = 1; worker < workers; ++worker) threads[worker - 1] = std::thread(task, context, worker);
    task(context, 0);
    for (int worker = 1; worker < workers; ++worker) threads[worker - 1].join();
    delete[] threads;
}

void expect_writes(void* memory, size_t bytes) {
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
    static thread_local Block blocks[8];
    Block& block = blocks[slot];
    if (block.bytes < bytes) {
        std::free(block.memory);
        block.bytes = (bytes + 63) / 64 * 64;
        block.memory = std::aligned_alloc(64, block.bytes);
        if (!block.memory) {
            block.bytes = 0;
            throw std::bad_alloc();
        }
    }
    return block.memory;
}

}  // namespace fs

// Whether the work runs on the process's OpenMP threads (1) or on threads of the library's own (0).
FS_API int fs_shares_openmp() { return fs::openmp().parallel != nullptr; }
