package app

/*
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
// Go runs C on many threads, and the C library would give each a heap of its own
// that keeps what was freed in it. It has to be told before the first of them.
__attribute__((constructor)) static void heed_share_heaps(void) { mallopt(M_ARENA_MAX, 2); }
#endif
*/
import "C"

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// memoryEvery is how often Go's part of the memory is set anew.
const memoryEvery = 250 * time.Millisecond

// keepMemory leaves to Go, until ctx ends, what the engines have not taken of
// the memory that the process may use. An operator who sets GOMEMLIMIT decides
// himself.
func keepMemory(ctx context.Context, all int64) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	tick := time.NewTicker(memoryEvery)
	defer tick.Stop()
	var set int64
	for {
		m := readMemory()
		if limit := goLimit(all, m); max(limit-set, set-limit) > all/128 {
			debug.SetMemoryLimit(limit)
			set = limit
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// goLimit is what Go may have of all: the rest of what the engines have, and a
// sixteenth less, for what either takes until the next look. It is not
// less than what Go needs to get by, or collecting garbage would be all that is
// done.
func goLimit(all int64, m usage) int64 {
	return max(all-all/16-(m.resident-m.goes), m.live+m.live/4, all/4)
}

// usage is the memory that the process has, in bytes.
type usage struct {
	resident int64 // in all
	goes     int64 // Go's part of it
	live     int64 // of Go's heap, what the last collection found in use
}

func readMemory() usage {
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	m := usage{goes: int64(sample[0].Value.Uint64() - sample[1].Value.Uint64()), live: int64(sample[2].Value.Uint64())}
	m.resident = m.goes // where the system does not tell
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		var size, resident int64
		if _, err := fmt.Sscan(string(text), &size, &resident); err == nil {
			m.resident = resident * int64(os.Getpagesize())
		}
	}
	return m
}
