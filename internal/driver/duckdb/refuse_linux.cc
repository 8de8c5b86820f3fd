// What a statement's functions make of texts is counted by no limit of the engine.
// When the watch over it (guard.go) says so, large allocations fail, as they do on a
// machine that is out of memory: the engine ends the statement that asked.

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>

static std::atomic<bool> refusing{false};

static const size_t large = 64 << 10;

static bool refused(size_t n) { return n >= large && refusing.load(std::memory_order_relaxed); }

extern "C" {
void heed_refuse(int on) { refusing.store(on != 0); }

// Weak: not every build of the engine brings this allocator.
__attribute__((weak)) void *__real_duckdb_je_malloc(size_t n);
void *__wrap_duckdb_je_malloc(size_t n) { return refused(n) ? nullptr : __real_duckdb_je_malloc(n); }

__attribute__((weak)) void *__real_duckdb_je_realloc(void *p, size_t n);
void *__wrap_duckdb_je_realloc(void *p, size_t n) { return refused(n) ? nullptr : __real_duckdb_je_realloc(p, n); }
}

void *operator new(size_t n) {
	void *p = refused(n) ? nullptr : std::malloc(n == 0 ? 1 : n);
	if (p == nullptr) {
		throw std::bad_alloc();
	}
	return p;
}

void operator delete(void *p) noexcept { std::free(p); }
void operator delete(void *p, size_t) noexcept { std::free(p); }
