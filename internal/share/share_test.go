package share

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// hand is a dealer whose deals a test makes.
type hand chan []int

func (h hand) Deal(ctx context.Context, _ string, own func([]int)) error {
	for {
		select {
		case p := <-h:
			own(p)
		case <-ctx.Done():
			return nil
		}
	}
}

// TestRun: work begins with a partition, ends before the partition is let go of,
// and goes on where the partition stays.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deals := make(hand)
		h := New(deals, "work", 4)
		if own, dealt := h.Own(); dealt || len(own) > 0 {
			t.Errorf("before the first deal: %v, %v", own, dealt)
		}
		var mu sync.Mutex
		at := map[int]int{} // partition -> how often its work began
		var at1 []int
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- h.Run(ctx, func(ctx context.Context, p int) error {
				mu.Lock()
				at[p]++
				mu.Unlock()
				<-ctx.Done()
				time.Sleep(time.Second) // what is in hand is finished
				mu.Lock()
				defer mu.Unlock()
				at1 = append(at1, p)
				return nil
			})
		}()
		deal := func(partitions []int, ends ...int) {
			t.Helper()
			mu.Lock()
			at1 = nil
			mu.Unlock()
			deals <- partitions
			time.Sleep(2 * time.Second)
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			slices.Sort(at1)
			if own, dealt := h.Own(); !slices.Equal(own, partitions) || !dealt || !slices.Equal(at1, ends) {
				t.Errorf("dealt %v: own %v, %v, ended %v, want %v", partitions, own, dealt, at1, ends)
			}
		}
		deal([]int{})
		deal([]int{1, 2, 3})
		deal([]int{2}, 1, 3)
		deal([]int{2, 3})
		deal([]int{}, 2, 3)
		deal([]int{0})
		if at[2] != 1 || at[3] != 2 || h.Has(2) || !h.Has(0) {
			t.Errorf("work began %v", at)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestAlone: without a dealer all partitions are this process's; an error ends all.
func TestAlone(t *testing.T) {
	h := New(nil, "work", 3)
	var all sync.WaitGroup
	all.Add(3)
	broken := errors.New("broken")
	err := h.Run(t.Context(), func(ctx context.Context, p int) error {
		all.Done()
		all.Wait()
		if p == 1 {
			return broken
		}
		<-ctx.Done()
		return nil
	})
	if own, _ := h.Own(); !errors.Is(err, broken) || !slices.Equal(own, []int{0, 1, 2}) {
		t.Errorf("%v, own %v", err, own)
	}
}
