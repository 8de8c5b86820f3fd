package duckdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"heed/internal/condition"
	"heed/internal/event"
	"heed/internal/facts"
	"heed/internal/facts/factstest"
	"heed/internal/measure"
	"heed/internal/measure/measuretest"
	"heed/internal/period"
)

// hostileTexts are names and values that would do harm if they became part of a
// statement.
func hostileTexts() []string {
	return []string{
		"'; DROP TABLE facts; --", "x' OR '1'='1", `"quoted"`, `back\slash\'`, "nul\x00behind", "\x00", "$1 ? %s {}", "-- comment", "/*",
		"ünï\u202ecødé 🚀", "new\nline\ttab", "heed", "NULL", "[1]", `{"a":1}`, " ", "$$", "E'\\n'",
	}
}

// Names and values are data, whatever they look like.
func TestHostileTexts(t *testing.T) {
	h := &measuretest.History{}
	texts := hostileTexts()
	for i, text := range texts {
		for n := range int64(2) {
			doc, err := json.Marshal(map[string]any{"x": text, "campaign": text, "status": "sent"})
			if err != nil {
				t.Fatal(err)
			}
			h.Events = append(h.Events, event.Event{
				MessageID: text, Name: []string{text, event.NameDelivery}[n], UserID: text, Properties: doc, Source: text,
				Timestamp: factstest.Noon + int64(i)*10 + n, Context: event.Context{Device: text, Country: text, Campaign: event.CampaignContext{Source: text}},
			})
		}
	}
	s := open(t, Config{Dir: t.TempDir()}, Deps{Partitions: 1})
	for i := range h.Events {
		factstest.Append(t, s, 0, factstest.Chunk(uint64(i), h.Events[i]))
		if i == len(texts) {
			if err := s.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	now := factstest.Noon + 1e9
	ask := func(q *measure.Query) {
		t.Helper()
		text, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		want, err := h.Answer(q, now)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		got, err := s.Query(t.Context(), q, now)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-oracle +facts):\n%s", text, diff)
		}
	}
	by := func(d measure.Dimension) *measure.Query {
		return &measure.Query{Breakdown: &measure.Breakdown{Of: &measure.Match{}, Count: measure.CountEvents, By: []measure.Dimension{d}, Top: 3}}
	}
	for _, text := range texts {
		same := condition.Condition{Field: "properties.x", Op: condition.Eq, Value: text}
		bucketed := measure.Dimension{Field: "properties.x", Buckets: []measure.Bucket{{Name: "in " + text, In: []string{text}}}}
		ask(by(bucketed))
		ask(by(measure.Dimension{Field: "context.country", Buckets: bucketed.Buckets}))
		ask(by(measure.Dimension{Field: "user.country", Buckets: bucketed.Buckets}))
		ask(&measure.Query{Audience: &measure.Audience{Users: []string{text}}, Users: &measure.Users{Limit: 3}})
		ask(&measure.Query{Audience: &measure.Audience{Is: &measure.Is{Dimension: device(text), Values: []*string{&text}}}, Users: &measure.Users{Limit: 3, After: "a" + text}})
		ask(&measure.Query{Where: same, Funnel: &measure.Funnel{Steps: []measure.Step{{Event: text}, {Event: text}}, Window: period.Period(time.Hour), Top: 1}})
		ask(&measure.Query{Timeline: &measure.Timeline{User: text, Limit: 5}})
		ask(&measure.Query{Attribution: &measure.Attribution{Goal: measure.Match{Event: text}, Model: measure.LastTouch, Lookback: measure.DefaultLookback, By: measure.BySource, Returns: []string{text}, Top: 2}})
		ask(&measure.Query{Return: &measure.Return{Campaign: text, Goal: measure.Match{Event: text}, Within: period.Period(time.Hour)}})
	}
	ask(by(measure.Dimension{Field: "event.event"}))
	ask(by(measure.Dimension{Field: "event.source"}))
	ask(by(measure.Dimension{Field: "properties.x"}))
	ask(&measure.Query{Users: &measure.Users{Limit: 100}})
	// Long lists are looked up: here are most of the values, none, and one that nothing has.
	list := []*string{nil, new("")}
	for _, text := range texts[:len(texts)-3] {
		list = append(list, &text)
	}
	everybody := measure.Range{From: "2026-09-01", To: "2026-10-01"}
	for _, d := range []measure.Dimension{{Field: "properties.x"}, {Field: "context.country"}, {Field: "properties.none"}} {
		for _, not := range []bool{false, true} {
			is := measure.Is{Dimension: d, Values: list, Not: not}
			ask(&measure.Query{Audience: &measure.Audience{Did: &measure.Did{Is: []measure.Is{is}}}, Users: &measure.Users{Limit: 100}})
			is.Dimension.Field = "user.country"
			ask(&measure.Query{Audience: &measure.Audience{Is: &is}, Users: &measure.Users{Limit: 100}})
		}
		for _, count := range []measure.Count{measure.CountUsers, measure.CountEvents} {
			ask(&measure.Query{Range: everybody, Series: &measure.Series{Of: []measure.Match{{}}, Count: count, Per: measure.Day, By: &d, Top: 7}})
			ask(&measure.Query{Breakdown: &measure.Breakdown{Of: &measure.Match{}, Count: count, By: []measure.Dimension{d, {Field: "user.device"}}, Top: 7}})
		}
	}
}

// What is asked of each event does not take longer the more values are told apart.
func TestManyRows(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()}, Deps{Partitions: 1})
	const each = 40
	for i := range 5000 {
		chunk := make([]event.Event, each)
		for j := range chunk {
			chunk[j] = factstest.Track(fmt.Sprint("u", j), "view", factstest.Noon+int64(i*each+j))
			chunk[j].Properties = fmt.Appendf(nil, `{"id": "%d-%d"}`, i, j)
		}
		factstest.Append(t, s, 0, factstest.Chunk(uint64(i*each), chunk...))
	}
	q := &measure.Query{Breakdown: &measure.Breakdown{
		Of: &measure.Match{}, Count: measure.CountUsers, By: []measure.Dimension{{Field: "properties.id"}}, Top: measure.MaxTop,
	}}
	res, err := s.Query(t.Context(), q, factstest.Noon+1e9)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(res.Breakdown.Rows); n != measure.MaxTop || res.Breakdown.Other.Count != each || res.Breakdown.Total != each {
		t.Errorf("%d rows, others %+v, total %g", n, res.Breakdown.Other, res.Breakdown.Total)
	}
}

func device(text string) measure.Dimension {
	return measure.Dimension{Field: "user.device", Buckets: []measure.Bucket{{Name: text, In: []string{text}}}}
}

// A place is free again at once when who asked has gone.
func TestCanceledMeasureStops(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir(), Queries: 1}, Deps{Partitions: 1})
	factstest.Append(t, s, 0, factstest.Chunk(0, factstest.Track("a", "view", factstest.Noon)))
	q, err := s.queries.begin(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	m := &moment{running: q}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	var n int64
	err = m.conn.QueryRowContext(ctx, "SELECT count(*) FROM range(100000000000) a(i), range(1000) b(j) WHERE hash(i, j) = 1").Scan(&n)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %d, %v, want context.Canceled", n, err)
	}
	if err := m.end(); err != nil {
		t.Error(err)
	}
	// The one that was canceled would go on for hours.
	next, done := context.WithTimeout(t.Context(), 5*time.Second)
	defer done()
	if _, err := s.Query(next, &measure.Query{Users: &measure.Users{}}, factstest.Noon+1); err != nil {
		t.Error(err)
	}
}

// Statements from outside whose answers nobody reads leave room for measures.
func TestUnreadStatementsLeaveAPlace(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir(), Queries: 2}, Deps{Partitions: 1})
	rows, err := s.SQL(t.Context(), "FROM range(100000)", facts.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.SQL(t.Context(), "SELECT 1", facts.Options{Timeout: 50 * time.Millisecond}); !errors.Is(err, facts.ErrTimeout) {
		t.Errorf("a second statement: %v, want ErrTimeout", err)
	}
	if _, err := s.Query(t.Context(), &measure.Query{Users: &measure.Users{}}, factstest.Noon); err != nil {
		t.Error(err)
	}
	if err := rows.Close(); err != nil {
		t.Error(err)
	}
	if got := factstest.Rows(t, s, "SELECT 1"); got != "1\n" {
		t.Error(got)
	}
}

// Numbers that would make a sum greater than every number add nothing, whether their
// property has a column or not: anybody can send them, and every chart of it would break.
func TestSumsAreNumbers(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()}, Deps{Partitions: 1})
	for i, value := range []string{"1e308", "1e308", "-1e308", "-1e308", "7", `"1e308"`, "1e288"} {
		e := factstest.Track("ann", "purchase", factstest.Noon+int64(i))
		e.Properties = []byte(`{"revenue": ` + value + `}`)
		factstest.Append(t, s, 0, factstest.Chunk(uint64(i), e))
	}
	day := measure.Range{From: "2026-09-20", To: "2026-09-23"}
	of := measure.Match{Event: "purchase"}
	for _, q := range []*measure.Query{
		{Range: day, Series: &measure.Series{Of: []measure.Match{of}, Count: measure.CountSum, Field: "properties.revenue", Per: measure.Month}},
		{Breakdown: &measure.Breakdown{Of: &of, Count: measure.CountSum, Field: "properties.revenue", By: []measure.Dimension{{Field: "event.event"}}}},
		{Attribution: &measure.Attribution{Goal: of, Value: "properties.revenue"}},
	} {
		resolved, err := measure.Resolve(q, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := s.Query(t.Context(), resolved, factstest.Noon+1e9)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(res)
		if err != nil || !strings.Contains(string(text), "1e+288") {
			t.Errorf("%s is %s (%v), and should sum to 1e288", q.Kind(), text, err)
		}
	}
}
