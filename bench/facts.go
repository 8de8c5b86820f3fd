package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"heed/bench/history"
	"heed/bench/load"
	"heed/internal/condition"
	"heed/internal/driver/duckdb"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/measure"
	"heed/internal/period"
)

// facts measures the store of facts: what taking in, keeping and asking cost,
// and how soon an acknowledged event is in every query.
func (b *bench) facts() error {
	dir := filepath.Join(b.dir, "facts")
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	s, err := duckdb.Open(duckdb.Config{Dir: dir, Memory: 1600 << 20}, duckdb.Deps{Partitions: 1, Clock: func() time.Time { return now }})
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }() // it is removed next
	if err := b.ingest(s, now); err != nil {
		return err
	}
	if err := b.ask(s, now); err != nil {
		return err
	}
	if err := errors.Join(s.Close(), os.RemoveAll(dir)); err != nil {
		return err
	}
	return b.freshness()
}

func (b *bench) ingest(s *duckdb.Store, now time.Time) error {
	n := b.events
	g := history.New(history.Config{Seed: 1, Events: n, Users: max(1000, n/50), From: now.AddDate(0, 0, -30), Span: 30 * 24 * time.Hour})
	var cpu, wall time.Duration
	took := func(f func() error) error {
		c, t := ownCPU(), time.Now()
		err := f()
		cpu, wall = cpu+ownCPU()-c, wall+time.Since(t)
		return err
	}
	var chunks []eventlog.Chunk
	feed := func() error {
		for _, c := range chunks {
			if err := s.Append(b.ctx, 0, c); err != nil {
				return err
			}
		}
		chunks = chunks[:0]
		return nil
	}
	c := eventlog.Chunk{}
	var e event.Event
	for g.Next(&e) {
		c.Data = event.AppendEvent(c.Data, &e)
		if c.Count++; c.Count < 500 {
			continue
		}
		chunks = append(chunks, c)
		c = eventlog.Chunk{Base: c.Next()}
		if len(chunks) == 1000 {
			if err := took(feed); err != nil {
				return err
			}
		}
	}
	chunks = append(chunks, c)
	if err := took(func() error { return errors.Join(feed(), s.Flush(b.ctx)) }); err != nil {
		return err
	}
	million := float64(n) / 1e6
	note := fmt.Sprintf("%s events of a shop, %s users, 30 days", number(float64(n)), number(float64(max(1000, n/50))))
	b.add(row{Group: "facts", What: "taking in, from the log's bytes to files", Unit: "CPU s/M", Value: cpu.Seconds() / million, Goal: 5, Note: note})
	b.add(row{Group: "facts", What: "the same, as fast as it goes", Unit: "events/s", Value: float64(n) / wall.Seconds(), Goal: 25_000, AtLeast: true})
	begin := ownCPU()
	if err := s.Compact(b.ctx); err != nil {
		return err
	}
	b.add(row{Group: "facts", What: "closing days, once, in the background", Unit: "CPU s/M", Value: (ownCPU() - begin).Seconds() / million})
	st := s.Status()
	b.add(row{Group: "facts", What: "on disk, dictionary included", Unit: "bytes/event", Value: float64(st.Bytes) / float64(st.Rows), Goal: 45})
	return nil
}

func ownCPU() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r) // cannot fail
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// ask measures what queries take, in SQL over the files: the best of five.
func (b *bench) ask(s *duckdb.Store, now time.Time) error {
	match := func(name string) *measure.Match { return &measure.Match{Event: name} }
	country := []measure.Dimension{{Field: "context.country"}}
	for _, q := range []struct {
		what string
		goal float64
		ask  *measure.Query
	}{
		{"breakdown of one event by country", 100, &measure.Query{Breakdown: &measure.Breakdown{Of: match("purchase"), Count: measure.CountEvents, By: country, Top: 20}}},
		{"the frequent one, by device", 100, &measure.Query{Breakdown: &measure.Breakdown{Of: match("page"), Count: measure.CountEvents, By: []measure.Dimension{{Field: "context.device"}}, Top: 20}}},
		{"a property of one event, summed by another", 0, &measure.Query{Breakdown: &measure.Breakdown{
			Of: match("purchase"), Count: measure.CountSum, Field: "properties.revenue", By: []measure.Dimension{{Field: "properties.currency"}}, Top: 20,
		}}},
		{"distinct users of one event by country", 100, &measure.Query{Breakdown: &measure.Breakdown{Of: match("purchase"), Count: measure.CountUsers, By: country, Top: 20}}},
		{"distinct users of all events by country, in SQL", 0, &measure.Query{Breakdown: &measure.Breakdown{Of: &measure.Match{}, Count: measure.CountUsers, By: country, Top: 20}}},
		{"purchases a day, where a property is in a range", 0, &measure.Query{
			Range:  measure.Range{Last: "30d"},
			Series: &measure.Series{Of: []measure.Match{{Event: "purchase", Where: condition.Condition{Field: "properties.revenue", Op: condition.Gt, Value: 50}}}, Count: measure.CountEvents, Per: measure.Day, Top: 10},
		}},
		{"3-step funnel, 1 h, in SQL (the index answers it faster)", 0, &measure.Query{Funnel: &measure.Funnel{
			Steps: []measure.Step{{Event: "product_view"}, {Event: "add_to_cart"}, {Event: "purchase"}}, Window: period.Period(time.Hour), Top: 10,
		}}},
		{"timeline of a user", 0, &measure.Query{Timeline: &measure.Timeline{User: "user-42", Limit: 100}}},
	} {
		var best time.Duration
		for i := range 5 {
			begin := time.Now()
			if _, err := s.Query(b.ctx, q.ask, now.UnixMicro()); err != nil {
				return fmt.Errorf("%s: %w", q.what, err)
			}
			if took := time.Since(begin); i == 0 || took < best {
				best = took
			}
		}
		b.add(row{Group: "facts", What: q.what, Unit: "ms", Value: best.Seconds() * 1000, Goal: q.goal})
	}
	return nil
}

// freshness measures from an acknowledgment to the end of the query that first
// sees the event, while 10,000 events a second come in.
func (b *bench) freshness() error {
	p, _, err := b.startHeed("", filepath.Join(b.dir, "freshness"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	background := make(chan error, 1)
	var res load.Result
	go func() {
		var err error
		res, err = load.Run(ctx, load.Config{URL: p.url, Key: "bench-key", Rate: 10_000, Batch: 20, Conns: 8, Users: 100_000, Irrelevant: 0.95, Duration: 5 * time.Minute})
		background <- err
	}()
	var all []float64
	for begin := time.Now(); time.Since(begin) < 5*b.duration; {
		n := len(all)
		if _, err := postProbe(ctx, p.url+"/v1/track", fmt.Sprintf("fresh-%d", n), n); err != nil {
			return err
		}
		acked := time.Now()
		query := fmt.Sprintf(`{"query": "SELECT event FROM events WHERE event = 'probe' AND user_id = 'fresh-%d'"}`, n)
		for seen := false; !seen; {
			if time.Since(acked) > 30*time.Second {
				return fmt.Errorf("event %d is in no query within 30 s", n)
			}
			if seen, err = answersWith(ctx, p.url, query, `["probe"]`); err != nil {
				return err
			}
		}
		all = append(all, time.Since(acked).Seconds()*1000)
	}
	cancel()
	if err := <-background; err != nil {
		return err
	}
	slices.Sort(all)
	note := fmt.Sprintf("%d probes beside %s; the query's own time is in it", len(all), rate(float64(res.Acked)/res.Elapsed.Seconds()))
	b.add(row{Group: "facts", What: "acknowledged -> in a query, p50", Unit: "ms", Value: all[len(all)/2], Note: note})
	b.add(row{Group: "facts", What: "acknowledged -> in a query, p99", Unit: "ms", Value: all[len(all)*99/100], Goal: 400})
	b.add(row{Group: "facts", What: "acknowledged -> in a query, the slowest", Unit: "ms", Value: all[len(all)-1], Goal: 1000})
	return p.stop()
}

// answersWith tells whether the answer of a statement has a line.
func answersWith(ctx context.Context, url, query, line string) (found bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/api/v1/sql", bytes.NewReader([]byte(query)))
	if err != nil {
		return false, err
	}
	req.Header.Set("Authorization", "Bearer "+adminToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("a query was answered %s: %s", resp.Status, text)
	}
	return bytes.Contains(text, []byte("\n"+line+"\n")), err
}
