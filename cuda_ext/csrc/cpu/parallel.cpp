// The C++ runtime is left alone here as in the kernels (no exceptions, std::thread, new): what it wants of the C
// library is newer than the systems that a wheel is made for.
#include "parallel.h"

#include "isa.h"

#if defined(_WIN32)
#include <malloc.h>
#include <process.h>
#include <windows.h>
#else
#include <dlfcn.h>
#include <pthread.h>
#include <sys/mman.h>
#endif

#include <cstdio>
#include <cstdlib>

#if defined(__gnu_linux__)
extern "C" int __cxa_thread_atexit_impl(void (*function)(void*), void* argument, void* library);
extern "C" void* __dso_handle;
#endif

namespace fs {
namespace {

[[noreturn]] void give_up(const char* message) {
    std::fprintf(stderr, "field_studio: %s\n", message);
    std::abort();
}

// torch brings its own OpenMP runtime, under a file name that differs between builds; linking a second runtime would
// create a second pool of threads that competes for the same cores. So the functions that make up a parallel region are
// looked up in what the process has loaded already; without them (as on Windows, where the runtimes have other
// functions), threads of the system are used.
struct OpenMP {
    void (*parallel)(void (*)(void*), void*, unsigned, unsigned);
    int (*thread)();
    int (*threads)();
};

OpenMP find_openmp() {
    OpenMP omp = {};
#if !defined(_WIN32)
    const char* own = std::getenv("FIELD_STUDIO_THREADS");
    if (own && own[0] == 'o') return omp;
    omp.parallel = reinterpret_cast<decltype(omp.parallel)>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
    omp.thread = reinterpret_cast<decltype(omp.thread)>(dlsym(RTLD_DEFAULT, "omp_get_thread_num"));
    omp.threads = reinterpret_cast<decltype(omp.threads)>(dlsym(RTLD_DEFAULT, "omp_get_num_threads"));
    if (!omp.thread || !omp.threads) omp.parallel = nullptr;
#endif
    return omp;
}

const OpenMP& openmp() {
    static OpenMP found;
    static int is_found = 0;
    // Threads that come here first at once find the same.
    if (!__atomic_load_n(&is_found, __ATOMIC_ACQUIRE)) {
        found = find_openmp();
        __atomic_store_n(&is_found, 1, __ATOMIC_RELEASE);
    }
    return found;
}

struct Region {
    Task task;
    void* context;
    int num_threads;
};

// A thread of the system that runs one task.
struct Thread {
    Task task;
    void* context;
    int index;
#if defined(_WIN32)
    uintptr_t handle;

    static unsigned __stdcall run(void* self) {
#else
    pthread_t handle;

    static void* run(void* self) {
#endif
        const Thread& thread = *static_cast<Thread*>(self);
        thread.task(thread.context, thread.index);
        return 0;
    }

    void start() {
#if defined(_WIN32)
        handle = _beginthreadex(nullptr, 0, run, this, 0, nullptr);
        if (!handle) give_up("no thread could be started");
#else
        if (pthread_create(&handle, nullptr, run, this)) give_up("no thread could be started");
#endif
    }

    void join() {
#if defined(_WIN32)
        WaitForSingleObject(reinterpret_cast<HANDLE>(handle), INFINITE);
        CloseHandle(reinterpret_cast<HANDLE>(handle));
#else
        pthread_join(handle, nullptr);
#endif
    }
};

struct ScratchBlock {
    void* memory;
    size_t bytes;
};

constexpr int SCRATCH_SLOTS = 8;
thread_local ScratchBlock scratch_blocks[SCRATCH_SLOTS];

void release_scratch(void*) {
    for (ScratchBlock& block : scratch_blocks) {
        release(block.memory);
        block = {};
    }
}

// Frees the calling thread's scratch memory when the thread ends.
void release_scratch_at_exit() {
#if defined(__gnu_linux__)
    // What the compiler calls for a destructor, without the exceptions of the C++ runtime around it.
    static thread_local bool is_registered;
    if (!is_registered) __cxa_thread_atexit_impl(release_scratch, nullptr, &__dso_handle);
    is_registered = true;
#else
    struct Owner {
        bool used;
        ~Owner() { release_scratch(nullptr); }
    };
    static thread_local Owner owner;
    owner.used = true;
#endif
}

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
    Thread* threads = static_cast<Thread*>(allocate(size_t(num_threads - 1) * sizeof(Thread)));
    for (int i = 1; i < num_threads; ++i) {
        threads[i - 1] = {task, context, i, {}};
        threads[i - 1].start();
    }
    task(context, 0);
    for (int i = 1; i < num_threads; ++i) threads[i - 1].join();
    release(threads);
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

void* allocate(size_t bytes) {
    if (bytes == 0) return nullptr;
    bytes = (bytes + 63) / 64 * 64;
#if defined(_WIN32)
    void* memory = _aligned_malloc(bytes, 64);
#else
    void* memory = std::aligned_alloc(64, bytes);
#endif
    if (!memory) give_up("out of memory");
    return memory;
}

void release(void* memory) {
#if defined(_WIN32)
    _aligned_free(memory);
#else
    std::free(memory);
#endif
}

void* scratch(int slot, size_t bytes) {
    ScratchBlock& block = scratch_blocks[slot];
    if (block.bytes < bytes) {
        release_scratch_at_exit();
        release(block.memory);
        block.memory = nullptr;
        block.memory = allocate(bytes);
        block.bytes = (bytes + 63) / 64 * 64;
    }
    return block.memory;
}

}  // namespace fs

FS_API int fs_shares_openmp() { return fs::openmp().parallel != nullptr; }
