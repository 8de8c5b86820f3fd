// Package share owns how the processes with a role divide the partitions of its
// work: the contract Dealer, and Holder, which runs the work of the partitions that
// are this process's.
//
// It does not own what the work is, nor that two owners do no harm: whoever was
// paused may go on for a moment with what was given to another process meanwhile
// (userstate fences, the Engager's ledger has a row per activation).
package share

import (
	"context"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Dealer deals the partitions of a role's work to the processes that ask for a
// share.
type Dealer interface {
	// Deal takes part until ctx ends. It calls own, never twice at a time, with
	// all partitions that are this process's, at first and whenever that changes;
	// what is missing in a later call goes to another process once own returns.
	Deal(ctx context.Context, role string, own func(partitions []int)) error
}

// Holder runs the work of the partitions that are this process's. Its methods may
// be called concurrently; Run once.
type Holder struct {
	dealer     Dealer
	role       string
	partitions int

	mu    sync.Mutex
	dealt bool
	own   []int
}

// New makes a Holder; without a dealer all partitions are this process's.
func New(dealer Dealer, role string, partitions int) *Holder {
	return &Holder{dealer: dealer, role: role, partitions: partitions}
}

// Own are the partitions that are this process's; false: that is not known yet.
func (h *Holder) Own() ([]int, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.own, h.dealt
}

// Has tells whether a partition is this process's.
func (h *Holder) Has(partition int) bool {
	own, _ := h.Own()
	return slices.Contains(own, partition)
}

// All makes all partitions this process's, for who only reads.
func (h *Holder) All() {
	all := make([]int, h.partitions)
	for p := range all {
		all[p] = p
	}
	h.set(all)
}

func (h *Holder) set(own []int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.own, h.dealt = slices.Clone(own), true
}

// work is that of one partition.
type work struct {
	stop context.CancelFunc
	done chan struct{}
}

// Run calls run for each partition when it becomes this process's. Its ctx ends
// when the partition is to be let go of, and only when run has returned is it
// another process's. An error of one ends all.
func (h *Holder) Run(ctx context.Context, run func(ctx context.Context, partition int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	running := make(map[int]work)
	own := func(partitions []int) {
		for p, w := range running {
			if !slices.Contains(partitions, p) {
				w.stop()
			}
		}
		for p, w := range running {
			if !slices.Contains(partitions, p) {
				<-w.done
				delete(running, p)
			}
		}
		h.set(partitions)
		for _, p := range partitions {
			if _, has := running[p]; has || ctx.Err() != nil {
				continue
			}
			w := work{done: make(chan struct{})}
			var pctx context.Context
			pctx, w.stop = context.WithCancel(ctx)
			running[p] = w
			group.Go(func() error {
				defer close(w.done)
				defer w.stop()
				return run(pctx, p)
			})
		}
	}
	group.Go(func() error {
		if h.dealer != nil {
			return h.dealer.Deal(ctx, h.role, own)
		}
		h.All()
		all, _ := h.Own()
		own(all)
		<-ctx.Done()
		return nil
	})
	return group.Wait()
}
