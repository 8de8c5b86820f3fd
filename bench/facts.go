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
	"reflect"
	"slices"
	"strings"
	"syscall"
	"time"

	"heed/bench/history"
	"heed/bench/load"
	"heed/internal/condition"
	"heed/internal/driver/duckdb"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/journey"
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
	index, err := journey.New(journey.Config{})
	if err != nil {
		return err
	}
	if err := b.ingest(s, index, now); err != nil {
		return err
	}
	if err := b.askIndex(s, index, now); err != nil {
		return err
	}
	if err := b.ask(s, now); err != nil {
		return err
	}
	if err := b.ingestBesideQueries(s, now); err != nil {
		return err
	}
	if err := errors.Join(s.Close(), os.RemoveAll(dir)); err != nil {
		return err
	}
	return b.freshness()
}

// ingest takes the past in; the index takes it beside, off the clock.
func (b *bench) ingest(s *duckdb.Store, index *journey.Index, now time.Time) error {
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
		index.Write(func(w *journey.Writer) { w.Add(&e) })
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
	for _, q := range []struct {
		what string
		goal float64
		ask  *measure.Query
	}{
		{"breakdown of one event by country", 100, &measure.Query{Breakdown: &measure.Breakdown{Of: match("purchase"), Count: measure.CountEvents, By: byCountry(), Top: 20}}},
		{"the frequent one, by device", 100, &measure.Query{Breakdown: &measure.Breakdown{Of: match("page"), Count: measure.CountEvents, By: []measure.Dimension{{Field: "context.device"}}, Top: 20}}},
		{"a property of one event, summed by another", 0, &measure.Query{Breakdown: &measure.Breakdown{
			Of: match("purchase"), Count: measure.CountSum, Field: "properties.revenue", By: []measure.Dimension{{Field: "properties.currency"}}, Top: 20,
		}}},
		{"distinct users of one event by country", 100, &measure.Query{Breakdown: &measure.Breakdown{Of: match("purchase"), Count: measure.CountUsers, By: byCountry(), Top: 20}}},
		{"distinct users of all events by country, in SQL", 0, &measure.Query{Breakdown: &measure.Breakdown{Of: &measure.Match{}, Count: measure.CountUsers, By: byCountry(), Top: 20}}},
		{"purchases a day, where a property is in a range", 0, &measure.Query{
			Range:  measure.Range{Last: "30d"},
			Series: &measure.Series{Of: []measure.Match{{Event: "purchase", Where: condition.Condition{Field: "properties.revenue", Op: condition.Gt, Value: 50}}}, Count: measure.CountEvents, Per: measure.Day, Top: 10},
		}},
		{"one event by a property of 2,000 values", 100, &measure.Query{Breakdown: &measure.Breakdown{
			Of: match("add_to_cart"), Count: measure.CountEvents, By: []measure.Dimension{{Field: "properties.product_id"}}, Top: 20,
		}}},
		{"attribution of purchases, last touch, 30 days", 0, &measure.Query{Attribution: &measure.Attribution{
			Goal: *match("purchase"), Value: "properties.revenue", Model: measure.LastTouch, Lookback: measure.DefaultLookback, By: measure.BySource, Top: 20,
		}}},
		{"timeline of a user", 0, &measure.Query{Timeline: &measure.Timeline{User: "user-42", Limit: 100}}},
	} {
		best, err := b.best(func() error { _, err := s.Query(b.ctx, q.ask, now.UnixMicro()); return err })
		if err != nil {
			return fmt.Errorf("%s: %w", q.what, err)
		}
		b.add(row{Group: "facts", What: q.what, Unit: "ms", Value: best, Goal: q.goal})
	}
	return nil
}

// askIndex measures what the behavioral index answers, beside the same in SQL.
func (b *bench) askIndex(s *duckdb.Store, index *journey.Index, now time.Time) error {
	window := period.Period(time.Hour)
	steps := []measure.Step{{Event: "product_view"}, {Event: "add_to_cart"}, {Event: "purchase"}}
	bought := &measure.Audience{Did: &measure.Did{Event: "purchase", During: measure.Range{Last: "7d"}}}
	for _, q := range []struct {
		what string
		goal float64
		ask  *measure.Query
	}{
		{"3-step funnel, 1 h", 150, &measure.Query{Funnel: &measure.Funnel{Steps: steps, Window: window, Top: 10}}},
		{"audience count: bought in 7 days", 10, &measure.Query{Audience: bought, Users: &measure.Users{}}},
		{"the same, its first 1,000 ids", 50, &measure.Query{Audience: bought, Users: &measure.Users{Limit: 1000}}},
		{"distinct users of all events by country", 100, &measure.Query{Breakdown: &measure.Breakdown{
			Of: &measure.Match{}, Count: measure.CountUsers, By: []measure.Dimension{{Field: "user.country"}}, Top: 20,
		}}},
		{"sessions, 7 days", 500, &measure.Query{Range: measure.Range{Last: "7d"}, Sessions: &measure.Sessions{Per: measure.Day}}},
		{"paths after product_view, 7 days, depth 5", 500, &measure.Query{
			Range: measure.Range{Last: "7d"}, Paths: &measure.Paths{From: *match("product_view"), Depth: 5, Window: window, Top: 10},
		}},
	} {
		var byIndex, bySQL measure.Result
		answered := true
		fast, err := b.best(func() (err error) {
			byIndex, answered, err = index.Evaluate(b.ctx, q.ask, now.UnixMicro())
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", q.what, err)
		}
		plain, err := b.best(func() (err error) {
			bySQL, err = s.Query(b.ctx, q.ask, now.UnixMicro())
			return err
		})
		if err != nil {
			return fmt.Errorf("%s, in SQL: %w", q.what, err)
		}
		if !answered { // it says so at once, and whoever asked waits for the facts
			b.add(row{Group: "facts", What: q.what + ", beyond the index", Unit: "ms", Value: fast + plain, Goal: q.goal})
			continue
		}
		if !reflect.DeepEqual(byIndex, bySQL) {
			return fmt.Errorf("%s: the index and SQL do not agree", q.what)
		}
		note := "plain SQL over the same files " + number(plain) + " ms"
		b.add(row{Group: "facts", What: q.what + ", by the index", Unit: "ms", Value: fast, Goal: q.goal, Note: note})
	}
	return nil
}

// best is the quickest of five, in ms.
func (b *bench) best(f func() error) (float64, error) {
	var best time.Duration
	for i := range 5 {
		begin := time.Now()
		if err := f(); err != nil {
			return 0, err
		}
		if took := time.Since(begin); i == 0 || took < best {
			best = took
		}
	}
	return best.Seconds() * 1000, nil
}

func match(name string) *measure.Match { return &measure.Match{Event: name} }

func byCountry() []measure.Dimension { return []measure.Dimension{{Field: "context.country"}} }

// ingestBesideQueries measures how fast events come in while a page of charts asks
// for itself again and again.
func (b *bench) ingestBesideQueries(s *duckdb.Store, now time.Time) error {
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	asked := 0
	ended := make(chan error, 1)
	go func() {
		for i := 0; ctx.Err() == nil; i++ {
			page := []*measure.Query{
				{Breakdown: &measure.Breakdown{Of: match("purchase"), Count: measure.CountEvents, By: byCountry(), Top: 20}},
				{Range: measure.Range{Last: "30d"}, Series: &measure.Series{Of: []measure.Match{*match("purchase")}, Count: measure.CountUsers, Per: measure.Day, Top: 10}},
				{Timeline: &measure.Timeline{User: "user-42", Limit: 100}},
			}
			if _, err := s.Query(ctx, page[i%len(page)], now.UnixMicro()); err != nil && ctx.Err() == nil {
				ended <- err
				return
			}
			asked++
		}
		ended <- nil
	}()
	n := min(b.events, 2_000_000)
	g := history.New(history.Config{Seed: 2, Events: n, Users: max(1000, n/50), From: now.Add(-time.Hour), Span: time.Hour})
	next := s.Status().Next[0]
	c := eventlog.Chunk{Base: next}
	var e event.Event
	begin := time.Now()
	for g.Next(&e) {
		c.Data = event.AppendEvent(c.Data, &e)
		if c.Count++; c.Count == 500 {
			if err := s.Append(ctx, 0, c); err != nil {
				return err
			}
			c = eventlog.Chunk{Base: c.Next(), Data: c.Data[:0]}
		}
	}
	took := time.Since(begin)
	cancel()
	if err := <-ended; err != nil {
		return err
	}
	b.add(row{
		Group: "facts", What: "taking in while a page of charts asks without a pause", Unit: "events/s", Value: float64(n) / took.Seconds(), Goal: 25_000, AtLeast: true,
		Note: fmt.Sprintf("%d queries meanwhile; making the events is in it", asked),
	})
	return nil
}

// freshness measures from an acknowledgment to the end of the query that first
// sees the event, while 10,000 events a second come in: of SQL and of every kind of
// measure, each of which has events of its own.
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
	charts := make(chan error, 1)
	go func() { charts <- chart(ctx, p.url) }()
	kinds := countsProbe()
	all := make([][]float64, len(kinds))
	for n, begin := 0, time.Now(); time.Since(begin) < 15*b.duration; n++ {
		kind := kinds[n%len(kinds)]
		user := fmt.Sprintf("fresh-%d", n)
		query, part := strings.ReplaceAll(kind.query, "$user", user), strings.ReplaceAll(kind.part, "$user", user)
		if _, err := postProbe(ctx, p.url+"/v1/track", user, n); err != nil {
			return err
		}
		acked := time.Now()
		for seen := false; !seen; {
			if time.Since(acked) > 30*time.Second {
				return fmt.Errorf("event %d is in no %s within 30 s", n, kind.what)
			}
			if seen, err = answers(ctx, p.url+kind.path, query, part); err != nil {
				return err
			}
		}
		all[n%len(kinds)] = append(all[n%len(kinds)], time.Since(acked).Seconds()*1000)
	}
	cancel()
	if err := errors.Join(<-background, <-charts); err != nil {
		return err
	}
	var sum, worst []float64
	worstKind := ""
	for i, times := range all {
		slices.Sort(times)
		if sum = append(sum, times...); len(worst) == 0 || times[len(times)*99/100] > worst[len(worst)*99/100] {
			worst, worstKind = times, kinds[i].what
		}
	}
	slices.Sort(sum)
	note := fmt.Sprintf("%d probes beside %s and a page of charts; the query's own time is in it", len(sum), rate(float64(res.Acked)/res.Elapsed.Seconds()))
	b.add(row{Group: "facts", What: "acknowledged -> in the answer of SQL or a measure, p50", Unit: "ms", Value: sum[len(sum)/2], Note: note})
	b.add(row{Group: "facts", What: "acknowledged -> in the answer, p99 of all", Unit: "ms", Value: sum[len(sum)*99/100], Goal: 400})
	b.add(row{Group: "facts", What: "the same, p99 of the slowest kind, " + worstKind, Unit: "ms", Value: worst[len(worst)*99/100], Goal: 400, Note: fmt.Sprintf("of %d", len(worst))})
	b.add(row{Group: "facts", What: "acknowledged -> in the answer, the slowest", Unit: "ms", Value: sum[len(sum)-1], Goal: 1000})
	return p.stop()
}

// counting is a question whose answer has a part in it once it counts the probe of a user.
type counting struct{ what, path, query, part string }

// countsProbe is SQL and every kind of measure, but for the return of campaigns:
// that counts deliveries.
func countsProbe() []counting {
	const step, of = `{"event": "probe"}`, `{"audience": {"users": ["$user"]}, `
	measures := "/api/v1/measures:query?format=csv"
	return []counting{
		{"SQL", "/api/v1/sql", `{"query": "SELECT event FROM events WHERE event = 'probe' AND user_id = '$user'"}`, "\n[\"probe\"]\n"},
		{"series", measures, of + `"series": {"of": [` + step + `], "count": "users", "per": "day"}, "range": {"last": "24h"}}`, "Z,probe,,1\n"},
		{"breakdown", measures, of + `"breakdown": {"of": ` + step + `, "by": [{"field": "event.event"}]}}`, "\nprobe,1\n"},
		{"sum", measures, of + `"breakdown": {"of": ` + step + `, "count": "sum", "field": "properties.n", "by": [{"field": "event.event"}]}}`, "\nprobe,"},
		{"funnel", measures, of + `"funnel": {"steps": [` + step + `], "window": "1h"}}`, "\n,1,probe,1,"},
		{"retention", measures, of + `"retention": {"first": ` + step + `, "return": ` + step + `, "per": "day", "periods": 3}, "range": {"last": "7d"}}`, "Z,0,1\n"},
		{"paths", measures, of + `"paths": {"from": ` + step + `, "depth": 3, "window": "1h"}}`, "\n1,(end),1\n"},
		{"live", "/api/v1/measures:query", of + `"live": {"minutes": 30}}`, `"users":1,`},
		{"users", measures, `{"audience": {"all": [{"did": ` + step + `}, {"users": ["$user"]}]}, "users": {"limit": 100}}`, "$user"},
		{"timeline", measures, `{"timeline": {"user": "$user", "limit": 10}}`, "probe"},
		{"sessions", measures, of + `"sessions": {}}`, "\n(all),1,1,"},
		{"attribution", measures, of + `"attribution": {"goal": ` + step + `}}`, "\ndirect,1,1,"},
	}
}

// chart asks what a page of charts does, ten times a second, until ctx ends.
func chart(ctx context.Context, url string) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		page := []string{
			`{"range": {"last": "30m"}, "series": {"of": [{}], "count": "users", "per": "minute"}}`,
			`{"breakdown": {"of": {"event": "probe"}, "count": "sum", "field": "properties.n", "by": [{"field": "properties.x"}]}}`,
			`{"funnel": {"steps": [{"event": "probe"}, {}], "window": "1h"}}`,
		}
		if _, err := answers(ctx, url+"/api/v1/measures:query", page[i%len(page)], ""); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// answers tells whether the answer to a query has a text in it.
func answers(ctx context.Context, url, query, part string) (found bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader([]byte(query)))
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
	return bytes.Contains(text, []byte(part)), err
}
