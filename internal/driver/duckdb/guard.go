package duckdb

import (
	"context"
	"fmt"
	"runtime/metrics"
	"sync"
	"time"

	"heed/internal/facts"
)

// guardEvery is how often memory is looked at while statements from outside run.
const guardEvery = 10 * time.Millisecond

// guardSlack is what the process may grow by beyond the store's own limit before
// statements are held to be the cause.
const guardSlack = 256 << 20

// guard ends statements from outside when the process grows by more than the
// engine may take: functions make texts of texts that the engine does not count.
type guard struct {
	limit   int64
	mu      sync.Mutex
	running map[*int]context.CancelCauseFunc
	base    int64 // what the process had before the first of them
	over    bool
	looking bool
}

// watch begins to watch over a statement; release ends it.
func (g *guard) watch(ctx context.Context) (_ context.Context, release func()) {
	now, err := native()
	if err != nil {
		return ctx, func() {} // not on this system
	}
	ctx, cancel := context.WithCancelCause(ctx)
	key := new(int)
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.running) == 0 {
		g.running, g.base = map[*int]context.CancelCauseFunc{}, now
	}
	if !g.looking {
		g.looking = true
		go g.look()
	}
	g.running[key] = cancel
	return ctx, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.running, key)
		cancel(nil)
		if len(g.running) == 0 && g.over {
			g.over = false
			refuse(false)
		}
	}
}

// look watches until nothing runs any more.
func (g *guard) look() {
	tick := time.NewTicker(guardEvery)
	defer tick.Stop()
	for range tick.C {
		if !g.step() {
			return
		}
	}
}

func (g *guard) step() (on bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.looking = len(g.running) > 0; !g.looking {
		return false
	}
	now, err := native()
	if err != nil || now-g.base <= g.limit && !g.over {
		return true
	}
	if !g.over {
		g.over = true
		refuse(true)
	}
	for _, cancel := range g.running {
		cancel(fmt.Errorf("%w: it, or one beside it, made the process grow by more than %d MB", facts.ErrTooBig, g.limit>>20))
	}
	return true
}

// native is the memory of the process that is not Go's, in bytes.
func native() (int64, error) {
	all, err := resident()
	if err != nil {
		return 0, err
	}
	ours := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(ours)
	return all - int64(ours[0].Value.Uint64()-ours[1].Value.Uint64()), nil
}
