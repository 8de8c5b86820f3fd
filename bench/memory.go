package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"heed/bench/history"
	"heed/internal/driver/pebble"
	"heed/internal/event"
	"heed/internal/eventlog"
)

// memory measures a whole process, given 4 GB, over a past of 13 months: what it
// occupies while it takes all of it in and while pages of charts ask, and how soon
// it is back after a restart. The past is put into the log as the collector would,
// for a collector to take as much over HTTP needs as long as all the rest.
func (b *bench) memory() error {
	dir := filepath.Join(b.dir, "memory")
	config := filepath.Join(b.dir, "memory.yaml")
	if err := os.WriteFile(config, []byte("memory: 4GB\nbehavior: {save_every: 30s}\n"), 0o600); err != nil {
		return err
	}
	p, _, err := b.startHeed("", dir, "--config", config) // makes the folder
	if err != nil {
		return err
	}
	if err := p.stop(); err != nil {
		return err
	}
	if err := b.past(filepath.Join(dir, "db")); err != nil {
		return err
	}
	const all = "memory of the whole process at its greatest, "
	note := fmt.Sprintf("%s events, %s users, 13 months; memory: 4GB", number(float64(b.events)), number(float64(b.users())))
	begin := time.Now()
	if p, _, err = b.startHeed("", dir, "--config", config); err != nil {
		return err
	}
	began, err := p.cpu()
	if err != nil {
		return err
	}
	if err := b.asking(p, "all is in", func(h *health) bool { return h.Behavior.State == "ready" && h.lag() == 0 }, nil); err != nil {
		return err
	}
	used, err := p.cpu()
	if err != nil {
		return err
	}
	took := time.Since(begin)
	b.add(row{
		Group: "memory", What: "from the log into facts, index, decider and live feed, while charts ask", Unit: "CPU s/M",
		Value: (used - began).Seconds() / (float64(b.events) / 1e6), Note: fmt.Sprintf("%s; %.0f s on the clock", note, took.Seconds()),
	})
	if err := b.peak(p, all+"taking that in"); err != nil {
		return err
	}
	saved := time.Now()
	err = b.asking(p, "the index is saved", func(*health) bool {
		info, err := os.Stat(filepath.Join(dir, "behavior.journey"))
		return err == nil && info.ModTime().After(saved)
	}, nil)
	if err != nil {
		return err
	}
	if err := b.peak(p, all+"saving the index, while charts ask"); err != nil {
		return err
	}
	if err := p.stop(); err != nil {
		return err
	}
	p, ready, err := b.startHeed("", dir, "--config", config)
	if err != nil {
		return err
	}
	busy, err := p.cpu()
	if err != nil {
		return err
	}
	b.add(row{Group: "memory", What: "ready, after a restart", Unit: "s", Value: ready.Seconds(), Goal: 2, Note: fmt.Sprintf("%.2f s of processor time", busy.Seconds())})
	begin = time.Now()
	shown := map[int64]bool{}
	err = b.asking(p, "the index is there", func(h *health) bool {
		shown[h.Behavior.Done] = true
		return h.Behavior.State == "ready"
	}, nil)
	if err != nil {
		return err
	}
	b.add(row{
		Group: "memory", What: "until the index is there again, in the background", Unit: "s", Value: (ready + time.Since(begin)).Seconds(),
		Note: fmt.Sprintf("its progress was shown %d times", len(shown)),
	})
	until := time.Now().Add(5 * b.duration)
	var times []float64
	if err := b.asking(p, "time is up", func(*health) bool { return time.Now().After(until) }, &times); err != nil {
		return err
	}
	slices.Sort(times)
	b.add(row{
		Group: "memory", What: "a chart of a page, asked of the running server, the slowest", Unit: "ms", Value: times[len(times)-1],
		Note: fmt.Sprintf("%d charts, median %s ms", len(times), number(times[len(times)/2])),
	})
	if err := b.peak(p, all+"restarted, while charts ask"); err != nil {
		return err
	}
	return p.stop()
}

// peak adds a row of the most memory that a process occupied.
func (b *bench) peak(p *process, what string) error {
	most, err := p.memory("VmHWM:")
	b.add(row{Group: "memory", What: what, Unit: "GB", Value: most / (1 << 30), Goal: 4})
	return err
}

// users is a million, as far as there are events for so many.
func (b *bench) users() int { return min(1_000_000, max(1000, b.events/5)) }

// past appends the past to the log of a folder that nobody uses.
func (b *bench) past(dir string) (err error) {
	db, err := pebble.Open(pebble.Config{Dir: dir}, pebble.Deps{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	log := db.Log()
	const span = 395 * 24 * time.Hour
	g := history.New(history.Config{Seed: 1, Events: b.events, Users: b.users(), From: time.Now().Add(-span - time.Minute), Span: span})
	batches := make([]*eventlog.Batch, log.Partitions())
	for p := range batches {
		batches[p] = &eventlog.Batch{Partition: p}
	}
	held := 0
	flush := func() error {
		var some []*eventlog.Batch
		for _, batch := range batches {
			if len(batch.Ends) > 0 {
				some = append(some, batch)
			}
		}
		if err := log.Append(b.ctx, eventlog.Events, some); err != nil {
			return err
		}
		for _, batch := range batches {
			batch.Data, batch.Ends, batch.Keys = batch.Data[:0], batch.Ends[:0], batch.Keys[:0]
		}
		held = 0
		return nil
	}
	var e event.Event
	for g.Next(&e) {
		e.Context.Historical = true
		batch := batches[eventlog.PartitionOf(e.User(), len(batches))]
		batch.Data = event.AppendEvent(batch.Data, &e)
		batch.Ends = append(batch.Ends, len(batch.Data))
		batch.Keys = append(batch.Keys, event.KeyOf(e.Source, e.MessageID))
		if held++; held == 4000 {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// health is what a server says of itself, as far as it is waited for.
type health struct {
	Lags     []struct{ Ms int64 }
	Behavior struct {
		State    string
		Done, Of int64
	}
}

// lag is how long the eldest event waits that somebody has not read yet, in ms.
func (h *health) lag() (most int64) {
	for _, l := range h.Lags {
		most = max(most, l.Ms)
	}
	return most
}

// asking asks for charts until the server's state is as wanted; what each took,
// in ms, is added to times. If that is nil, the server may refuse: the index is
// needed and loads, or all is so busy that a query takes too long.
func (b *bench) asking(p *process, what string, done func(*health) bool, times *[]float64) error {
	ctx, cancel := context.WithTimeout(b.ctx, time.Hour)
	defer cancel()
	for i := 0; ; i++ {
		var h health
		if err := getJSON(ctx, p.url+"/api/v1/health", &h); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if done(&h) {
			return nil
		}
		begin := time.Now()
		q := charts()[i%len(charts())]
		_, err := answers(ctx, p.url+"/api/v1/measures:query", q, "")
		if refused := err != nil && (strings.Contains(err.Error(), "503") || strings.Contains(err.Error(), "422")); err != nil && (times != nil || !refused) {
			return fmt.Errorf("%s: %s: %w", what, q, err)
		}
		if times != nil {
			*times = append(*times, time.Since(begin).Seconds()*1000)
		}
		time.Sleep(300 * time.Millisecond)
	}
}

// charts are what a page over a long past asks for.
func charts() []string {
	return []string{
		`{"range": {"last": "90d"}, "series": {"of": [{}], "count": "users", "per": "day"}}`,
		`{"funnel": {"steps": [{"event": "product_view"}, {"event": "add_to_cart"}, {"event": "purchase"}], "window": "1h"}}`,
		`{"breakdown": {"of": {"event": "purchase"}, "by": [{"field": "context.country"}]}}`,
		`{"breakdown": {"of": {"event": "add_to_cart"}, "count": "users", "by": [{"field": "user.country"}]}}`,
		`{"breakdown": {"of": {"event": "purchase"}, "count": "sum", "field": "properties.revenue", "by": [{"field": "properties.currency"}]}}`,
		`{"retention": {"per": "week", "periods": 8}, "range": {"last": "12w"}}`,
		`{"paths": {"from": {"event": "session_start"}, "depth": 4, "window": "1h"}, "range": {"last": "28d"}}`,
		`{"sessions": {"per": "day"}, "range": {"last": "28d"}}`,
		`{"audience": {"did": {"event": "purchase", "during": {"last": "30d"}}}, "users": {"limit": 1000}}`,
		`{"attribution": {"goal": {"event": "purchase"}}, "range": {"last": "30d"}}`,
	}
}

func getJSON(ctx context.Context, url string, into any) (err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+adminToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}
