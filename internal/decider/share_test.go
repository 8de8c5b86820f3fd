package decider

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// hand is a share.Dealer whose deals a test makes.
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

// TestShared: partitions that move between two Deciders under load, and are now
// and then both's, fire what one Decider fires.
func TestShared(t *testing.T) {
	const partitions, users = 4, 30
	rules := cartRules + "---\nkind: trigger\nname: wins\npattern: [{event: win, times: 3, consecutive: true}]\nscope: [win, loss]\nwithin: 1h\n"
	for seed := range uint64(8) {
		fired := func(t *testing.T, shared bool) (ids []string) {
			rng := rand.New(rand.NewPCG(seed, 7))
			db := open(partitions)
			r := run(t, db, &harness{defs: &revisions{}, settler: &settler{}})
			var hands []hand
			var ends []chan error
			ctx, stop := context.WithCancel(t.Context())
			if shared {
				r.stop()
				for range 2 {
					deals, end := make(hand), make(chan error, 1)
					d, err := New(r.cfg, Deps{Log: db.Log(), State: db.UserState(), Definitions: r.defs, Settler: r.settler, Share: deals, Logger: slog.New(slog.DiscardHandler)})
					if err != nil {
						t.Fatal(err)
					}
					if d.Ready() == nil {
						t.Error("ready before it knows its share")
					}
					go func() { end <- d.Run(ctx) }()
					hands, ends = append(hands, deals), append(ends, end)
				}
				hands[0] <- []int{0, 1, 2, 3}
			}
			r.define(1, rules)
			events := rand.New(rand.NewPCG(seed, 8))
			for i := range 200 {
				if shared && i%7 == 0 {
					cut := rng.IntN(partitions + 1)
					all := []int{0, 1, 2, 3}
					first := all[:cut]
					if rng.IntN(4) == 0 {
						first = all[:min(cut+2, partitions)] // one that was paused does not know yet
					}
					hands[0] <- first
					hands[1] <- all[cut:]
				}
				name := []string{"win", "win", "win", "loss", "cart", "purchase"}[events.IntN(6)]
				e := track(fmt.Sprintf("u%d", events.IntN(users)), name)
				e.MessageID = fmt.Sprintf("m%d", i)
				r.send(e)
				time.Sleep(time.Duration(events.IntN(4000)) * time.Millisecond)
			}
			if shared {
				hands[0] <- []int{0, 1}
				hands[1] <- []int{2, 3}
			}
			time.Sleep(10 * time.Minute)
			for _, in := range r.intents() {
				ids = append(ids, in.FireID)
			}
			stop()
			for _, end := range ends {
				if err := <-end; err != nil {
					t.Error(err)
				}
			}
			if !shared {
				r.stop()
			}
			slices.Sort(ids)
			return ids
		}
		var alone, both []string
		synctest.Test(t, func(t *testing.T) { alone = fired(t, false) })
		synctest.Test(t, func(t *testing.T) { both = fired(t, true) })
		if len(alone) < 10 || !slices.Equal(alone, both) {
			t.Errorf("seed %d: one Decider fired %d times, two %d times, or others", seed, len(alone), len(both))
		}
	}
}
