package reach_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"heed/internal/channel"
	"heed/internal/driver/pebble"
	"heed/internal/reach"
)

// openDisk opens the embedded stores on a disk in memory.
func openDisk(t *testing.T, fs vfs.FS) (*reach.Book, *pebble.DB) {
	t.Helper()
	cfg := pebble.Config{Dir: "data", Memory: 16 << 20, Reserve: 1}
	cfg.Defaults()
	db, err := pebble.Open(cfg, pebble.Deps{
		FS: fs, Clock: time.Now, Logger: slog.New(slog.DiscardHandler), Fatal: func(err error) { t.Error(err) },
		Free: func() (uint64, error) { return 1 << 40, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := reach.New(reach.Deps{Documents: db.Documents(), Log: db.Log(), Secret: []byte("0123456789abcdef"), PublicURL: "https://heed.shop.example", Clock: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return b, db
}

// Whatever was acknowledged is suppressed after the power failed, at any moment
// of what many say at the same time.
func TestAcknowledgedSurvivesPowerLoss(t *testing.T) {
	const people, cuts = 40, 10
	disk := vfs.NewCrashableMem()
	b, db := openDisk(t, disk)
	// Each way of saying no, by number.
	say := func(ctx context.Context, i int) error {
		address := fmt.Sprintf("p%d@shop.example", i)
		switch i % 4 {
		case 0:
			return b.Inbound(ctx, channel.Feedback{Kind: channel.Bounced, Hard: true, Type: "email", Address: address})
		case 1:
			return b.Inbound(ctx, channel.Feedback{Kind: channel.Complained, Type: "email", Address: address})
		case 2:
			l, err := b.Open(strings.TrimPrefix(b.Unsubscribe(reach.Link{Type: "email", Channel: "letters", Campaign: "spring", Delivery: "d"}, address), "https://heed.shop.example/u/"))
			if err != nil {
				return err
			}
			return b.Choose(ctx, l, reach.All)
		}
		return b.Hear(ctx, []reach.Heard{{Type: "email", Address: address, Why: reach.Unsubscribed, Cause: reach.Cause{At: 1}}})
	}
	var mu sync.Mutex
	acknowledged := map[int]bool{}
	type cut struct {
		disk *vfs.MemFS
		said map[int]bool
	}
	var taken []cut
	var all sync.WaitGroup
	for i := range people {
		all.Go(func() {
			if err := say(t.Context(), i); err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			acknowledged[i] = true
			if len(acknowledged)%(people/cuts) == 0 {
				said := map[int]bool{}
				for k := range acknowledged {
					said[k] = true
				}
				r := rand.New(rand.NewPCG(uint64(i), 1))
				taken = append(taken, cut{disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50 * r.IntN(2), RNG: r}), said})
			}
		})
	}
	all.Wait()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if len(taken) != cuts {
		t.Fatalf("the power failed %d times, want %d", len(taken), cuts)
	}
	for n, c := range taken {
		again, db := openDisk(t, c.disk)
		for i := range c.said {
			if list, err := again.Lookup(t.Context(), "email", fmt.Sprintf("p%d@shop.example", i)); err != nil || len(list) != 1 {
				t.Errorf("cut %d: what p%d said is lost: %v, %v", n, i, list, err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
