package pebble

import (
	"sync"
	"sync/atomic"
	"time"

	crdb "github.com/cockroachdb/pebble/v2"
)

// compactions lets the engine compact: as much at once as it finds right, as its
// own scheduler does, but nothing while it opens. It would wait for the end of
// what it began, which takes seconds after a stop under load.
type compactions struct {
	engine   crdb.DBForCompaction
	running  atomic.Int32
	open     atomic.Bool
	granting sync.Mutex // one goroutine at a time offers; never taken by what the engine calls under its locks
	closed   chan struct{}
	ended    sync.WaitGroup
}

// offerEvery is how often the engine is asked whether it has to compact more
// than it said.
const offerEvery = 100 * time.Millisecond

func newCompactions() *compactions { return &compactions{closed: make(chan struct{})} }

// begin ends the time of opening.
func (c *compactions) begin() { c.open.Store(true) }

// Register is crdb.CompactionScheduler's, as are the next three.
func (c *compactions) Register(_ int, engine crdb.DBForCompaction) {
	c.engine = engine
	c.ended.Go(func() {
		tick := time.NewTicker(offerEvery)
		defer tick.Stop()
		for {
			select {
			case <-c.closed:
				return
			case <-tick.C:
				c.offer()
			}
		}
	})
}

func (c *compactions) Unregister() {
	close(c.closed)
	c.ended.Wait()
	c.granting.Lock() // whoever offers has come to an end
	defer c.granting.Unlock()
	c.open.Store(false)
}

func (c *compactions) TrySchedule() (bool, crdb.CompactionGrantHandle) {
	return c.reserve(), c
}

func (c *compactions) UpdateGetAllowedWithoutPermission() {} // soon enough with the next offer

// reserve takes a place among those that run, if there is one.
func (c *compactions) reserve() bool {
	for c.open.Load() {
		n := c.running.Load()
		if int(n) >= c.engine.GetAllowedWithoutPermission() {
			return false
		}
		if c.running.CompareAndSwap(n, n+1) {
			return true
		}
	}
	return false
}

// offer gives the engine the places that are free.
func (c *compactions) offer() {
	c.granting.Lock()
	defer c.granting.Unlock()
	for c.reserve() {
		if waits, _ := c.engine.GetWaitingCompaction(); !waits || !c.engine.Schedule(c) {
			c.running.Add(-1)
			return
		}
	}
}

// Done is crdb.CompactionGrantHandle's, as are the others: a compaction has ended.
func (c *compactions) Done() {
	c.running.Add(-1)
	c.offer()
}

func (c *compactions) Started()                                        {}
func (c *compactions) MeasureCPU(crdb.CompactionGoroutineKind)         {}
func (c *compactions) CumulativeStats(crdb.CompactionGrantHandleStats) {}
