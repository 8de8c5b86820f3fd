package backtest_test

import (
	"context"
	"errors"
	"math"
	"strconv"
	"sync"
	"testing"
	"time"

	"heed/internal/backtest"
	"heed/internal/definition"
	"heed/internal/event"
	"heed/internal/trigger"
)

// crowd appends n users who each win three times within a minute, one user after
// the other, and returns the trigger that heeds it.
func (l *live) crowd(n int) *trigger.Definition {
	l.t.Helper()
	l.define(rules)
	var events []event.Event
	for i := range n {
		l.now.Add(second / 10)
		for _, name := range []string{"win", "scroll", "win", "win"} {
			events = append(events, event.Event{Type: event.Track, Name: name, UserID: "shopper-" + strconv.Itoa(i), Timestamp: l.now.Load()})
		}
		if len(events) == 200 || i == n-1 {
			l.send(events...)
			events = events[:0]
		}
	}
	return l.defs.Current().Triggers["wins"]
}

// pausing reports to a test when a run works, and holds it there.
type pausing struct {
	at   chan struct{}
	once sync.Once
	on   chan struct{}
}

func newPausing() *pausing { return &pausing{at: make(chan struct{}), on: make(chan struct{})} }

func (p *pausing) HeldOut(string, string, float64) bool {
	p.once.Do(func() {
		close(p.at)
		<-p.on
	})
	return false
}

func (l *live) paused(cfg backtest.Config) (*backtest.Backtester, *pausing) {
	l.t.Helper()
	p := newPausing()
	b, err := backtest.New(cfg, backtest.Deps{Log: l.db.Log(), State: l.db.UserState(), Definitions: l.defs, Clock: l.clock, HeldOut: p.HeldOut})
	if err != nil {
		l.t.Fatal(err)
	}
	return b, p
}

func quietly(backtest.Progress) {}

// One runs, some wait, the others are told at once; who gives up lets go.
func TestQueueAndCancel(t *testing.T) {
	t.Parallel()
	l := newLive(t)
	req := backtest.Request{Trigger: l.crowd(2000), Days: 1, Campaign: &backtest.Campaign{Holdout: 0.1}}
	b, p := l.paused(backtest.Config{Queue: 1})
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := b.Run(ctx, req, quietly)
		first <- err
	}()
	<-p.at
	waits := make(chan int, 1)
	second := make(chan error, 1)
	go func() {
		_, err := b.Run(t.Context(), req, func(p backtest.Progress) {
			if p.Waiting > 0 {
				select {
				case waits <- p.Waiting:
				default:
				}
			}
		})
		second <- err
	}()
	if n := <-waits; n != 1 {
		t.Errorf("waits for %d", n)
	}
	if _, err := b.Run(t.Context(), req, quietly); !errors.Is(err, backtest.ErrBusy) {
		t.Errorf("the third: %v", err)
	}
	cancel()
	close(p.on)
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	if err := <-second; err != nil {
		t.Errorf("the one that waited: %v", err)
	}
}

func TestTooLong(t *testing.T) {
	t.Parallel()
	l := newLive(t)
	req := backtest.Request{Trigger: l.crowd(2000), Days: 1, Campaign: &backtest.Campaign{Holdout: 0.1}}
	b, p := l.paused(backtest.Config{MaxTime: time.Second})
	go func() {
		<-p.at
		time.AfterFunc(1100*time.Millisecond, func() { close(p.on) })
	}()
	if _, err := b.Run(t.Context(), req, quietly); !errors.Is(err, backtest.ErrTooLong) {
		t.Errorf("%v", err)
	}
}

// What panics is skipped and counted; the others are none the worse.
func TestPanicIsSkipped(t *testing.T) {
	t.Parallel()
	l := newLive(t)
	req := backtest.Request{Trigger: l.crowd(200), Days: 1, Examples: 1000, Campaign: &backtest.Campaign{Holdout: 0.1}}
	b, err := backtest.New(backtest.Config{}, backtest.Deps{
		Log: l.db.Log(), State: l.db.UserState(), Definitions: l.defs, Clock: l.clock,
		HeldOut: func(_, user string, _ float64) bool {
			if user == "shopper-7" {
				panic("poison")
			}
			return false
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	res, err := b.Run(t.Context(), req, quietly)
	if err != nil {
		t.Fatal(err)
	}
	if res.Firings != 199 || res.Counts.Unreadable != 1 || res.Campaign.Sends != 199 {
		t.Errorf("%d firings, %+v, %+v", res.Firings, res.Counts, res.Campaign)
	}
}

// Beyond its memory a run goes on with fewer users, and its estimate is near.
func TestMemoryBound(t *testing.T) {
	t.Parallel()
	l := newLive(t)
	const users = 12_000
	req := backtest.Request{Trigger: l.crowd(users), Days: 1, Examples: 20, Campaign: &backtest.Campaign{}}
	// Without the bound it would take some 2 MB: a row and a mark of each user.
	res, err := l.backtester(backtest.Config{MemoryBytes: 1 << 20}).Run(t.Context(), req, quietly)
	if err != nil {
		t.Fatal(err)
	}
	if !res.Sampled || res.Exact() || res.Share > 0.5 {
		t.Fatalf("share %v, sampled %v", res.Share, res.Sampled)
	}
	// Five standard deviations of a binomial sample.
	off := 5 * math.Sqrt(users*(1-res.Share)/res.Share)
	for _, n := range []int64{res.Firings, res.Users, res.Campaign.Sends, res.Campaign.Recipients} {
		if math.Abs(float64(n)-users) > off {
			t.Errorf("estimates %d of %d: off by more than %.0f\n%+v", n, users, off, res)
		}
	}
	again, err := l.backtester(backtest.Config{MemoryBytes: 1 << 30}).Run(t.Context(), req, quietly)
	if err != nil || again.Firings != users || !again.Exact() || again.Sampled {
		t.Errorf("with enough memory: %+v, %v", again, err)
	}
}

// A preview reads no more than it may, and is the same each time.
func TestPreview(t *testing.T) {
	t.Parallel()
	l := newLive(t)
	const users = 4000 // 16,000 events, 2,000 a partition
	req := backtest.Request{Trigger: l.crowd(users), Days: 1, Examples: 20}
	l.decided()
	for _, sample := range []int{1000, 5000, 100_000} {
		b := l.backtester(backtest.Config{SampleEvents: sample})
		res, err := b.Preview(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if res.Counts.Events > int64(sample) {
			t.Errorf("sample of %d: read %d", sample, res.Counts.Events)
		}
		if exact := sample == 100_000; exact != res.Exact() {
			t.Errorf("sample of %d: exact %v", sample, res.Exact())
		}
		if math.Abs(float64(res.Firings)-users) > users/4 {
			t.Errorf("sample of %d: estimates %d of %d, share %v", sample, res.Firings, users, res.Share)
		}
		again, err := b.Preview(t.Context(), req)
		if err != nil || again.Firings != res.Firings || again.Users != res.Users {
			t.Errorf("sample of %d: %d, then %d: %v", sample, res.Firings, again.Firings, err)
		}
	}
}

// Nothing is sent and nothing is kept.
func TestLeavesNoTrace(t *testing.T) {
	t.Parallel()
	l := newLive(t)
	d := l.crowd(50)
	l.decided()
	before := l.fires()
	draft := *d
	draft.Name = "draft"
	res, ids := l.backtest(backtest.Request{Trigger: &draft, Campaign: &backtest.Campaign{Cap: &definition.Cap{Count: 1, Per: draft.Within}}})
	if res.Firings != 50 || len(ids) != 50 {
		t.Fatalf("%d firings", res.Firings)
	}
	if after := l.fires(); len(after) != len(before) || len(after["draft"]) != 0 {
		t.Errorf("intents: %v, then %v", before, after)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for _, c := range []backtest.Config{
		{MaxTime: time.Millisecond}, {MemoryBytes: 1}, {Queue: -1}, {SampleEvents: 10},
	} {
		c.Defaults()
		if c.Validate() == nil {
			t.Errorf("%+v is valid", c)
		}
	}
}
