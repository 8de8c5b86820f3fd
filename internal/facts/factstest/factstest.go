// Package factstest owns the suite that every driver of facts.Driver runs.
package factstest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/facts"
)

// Partitions is how many partitions the stores of the suite have.
const Partitions = 2

// Noon is a time that the suite's events are around, µs.
const Noon = int64(1_790_000_000_000_000)

// Opener opens a store. Opening the same folder again, after Close, is a restart.
type Opener func(t *testing.T, dir string) facts.Driver

// Track makes an event of an anonymous user.
func Track(user, name string, at int64) event.Event {
	return event.Event{
		MessageID: fmt.Sprintf("%s-%s-%d", user, name, at), Type: event.Track, Name: name, AnonymousID: user,
		Timestamp: at, ReceivedAt: at + 1000, Source: "shop", SessionID: "s-" + user,
		Properties: []byte(`{"price": 9.5, "product_id": "a product with a long name"}`),
	}
}

// Merge makes the control record by which one id becomes another, or its own again.
func Merge(from, to string, at int64) event.Event {
	return event.Event{
		MessageID: "merge-" + from, Type: event.System, Name: event.NameMerge, AnonymousID: from, UserID: to, Timestamp: at, ReceivedAt: at,
		Source: event.SourceHeed, Properties: fmt.Appendf(nil, `{"from": %q, "to": %q, "at": %q}`, from, to, time.UnixMicro(at).UTC().Format(time.RFC3339Nano)),
	}
}

// Chunk makes a record of the log.
func Chunk(base uint64, events ...event.Event) eventlog.Chunk {
	c := eventlog.Chunk{Base: base, Count: len(events), Schema: event.Fingerprint}
	for i := range events {
		c.Data = event.AppendEvent(c.Data, &events[i])
	}
	return c
}

// Rows runs a SELECT and prints its rows, a line each.
func Rows(t *testing.T, s facts.Driver, text string) string {
	t.Helper()
	rows, err := s.SQL(t.Context(), text, facts.Options{})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	var out strings.Builder
	for rows.Next() {
		fmt.Fprintln(&out, rows.Values()...)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return out.String()
}

// Append takes a record in or fails the test. Its bytes are not what they were
// afterwards.
func Append(t *testing.T, s facts.Driver, partition int, c eventlog.Chunk) {
	t.Helper()
	c.Data = slices.Clone(c.Data)
	defer clear(c.Data)
	if err := s.Append(t.Context(), partition, c); err != nil {
		t.Fatalf("append to partition %d: %v", partition, err)
	}
}

func expect(t *testing.T, s facts.Driver, query, want string) {
	t.Helper()
	if got := Rows(t, s, query); got != want {
		t.Errorf("%s: got %q, want %q", query, got, want)
	}
}

// Run runs the suite.
func Run(t *testing.T, open Opener) {
	for name, test := range map[string]func(*testing.T, Opener){
		"visible at once": visible, "given again": again, "restart": restart, "merges": merges,
		"statements": statements, "limits": limits, "canceled": canceled, "closed": closed, "past": past, "parted": parted,
	} {
		t.Run(name, func(t *testing.T) { test(t, open) })
	}
}

func visible(t *testing.T, open Opener) {
	s := open(t, t.TempDir())
	Append(t, s, 0, Chunk(0, Track("ann", "view", Noon), Track("somebody with a long id", "buy", Noon+1)))
	Append(t, s, 1, Chunk(7, Track("bob", "view", Noon+2)))
	expect(t, s, "SELECT user_id, event, properties->>'product_id', country FROM events ORDER BY time",
		"ann view a product with a long name <nil>\nsomebody with a long id buy a product with a long name <nil>\nbob view a product with a long name <nil>\n")
	if st := s.Status(); st.Rows != 3 || st.Next[0] != 2 || st.Next[1] != 8 {
		t.Errorf("status %+v", st)
	}
	Append(t, s, 0, Chunk(5)) // what was in front of it are repeats
	if st := s.Status(); st.Rows != 3 || st.Next[0] != 5 {
		t.Errorf("behind repeats, status %+v", st)
	}
}

func again(t *testing.T, open Opener) {
	s := open(t, t.TempDir())
	Append(t, s, 0, Chunk(0, Track("a", "one", Noon), Track("a", "two", Noon)))
	Append(t, s, 0, Chunk(0, Track("a", "one", Noon), Track("a", "two", Noon)))
	Append(t, s, 0, Chunk(1, Track("a", "two", Noon), Track("a", "three", Noon)))
	expect(t, s, "SELECT event, count(*) FROM events GROUP BY 1 ORDER BY 1", "one 1\nthree 1\ntwo 1\n")
}

func restart(t *testing.T, open Opener) {
	dir := t.TempDir()
	var log []eventlog.Chunk
	for i := range uint64(10) {
		log = append(log, Chunk(2*i, Track("a", fmt.Sprint(i), Noon), Track("b", fmt.Sprint(i), Noon+1)))
	}
	for range 3 {
		s := open(t, dir)
		next := s.Status().Next[0]
		for _, c := range log {
			if c.Next() > next {
				Append(t, s, 0, c)
			}
		}
		expect(t, s, "SELECT count(*), count(DISTINCT message_id) FROM events", "20 20\n")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func merges(t *testing.T, open Opener) {
	s := open(t, t.TempDir())
	Append(t, s, 0, Chunk(0, Track("anonymous-1", "view", Noon), Track("other", "view", Noon)))
	Append(t, s, 1, Chunk(0, Track("anonymous-2", "view", Noon)))
	expect(t, s, "SELECT count(DISTINCT user_key) FROM events", "3\n")
	Append(t, s, 0, Chunk(2, Merge("anonymous-1", "ann", Noon+1), Track("ann", "buy", Noon+2)))
	Append(t, s, 1, Chunk(1, Merge("anonymous-2", "ann", Noon+1)))
	expect(t, s, "SELECT user_id, count(*) FROM events GROUP BY ALL ORDER BY 2", "other 1\nann 3\n")
	expect(t, s, "SELECT count(DISTINCT user_key) FROM events", "2\n")
	Append(t, s, 0, Chunk(4, Merge("anonymous-1", "anonymous-1", Noon+3))) // its own again
	expect(t, s, "SELECT user_id, count(*) FROM events GROUP BY ALL ORDER BY ALL", "ann 2\nanonymous-1 1\nother 1\n")
}

func statements(t *testing.T, open Opener) {
	s := open(t, t.TempDir())
	Append(t, s, 0, Chunk(0, Track("a", "one", Noon)))
	for _, text := range []string{
		"", ";", "nonsense", "DELETE FROM events", "CREATE TABLE x (i INT)", "SELECT 1; SELECT 2", "COPY events TO 'x.csv'",
		"SET threads = 1", "ATTACH 'x.db'", "INSTALL httpfs", "SELECT * FROM read_text('/etc/passwd')", "SELECT * FROM '/etc/passwd'",
		"SELECT * FROM glob('/*')", "SELECT ?", "EXPORT DATABASE 'x'", "SELECT no_such_column FROM events", "SELECT 1) --", "PRAGMA database_list",
		"SELECT * FROM enable_logging(storage='file', storage_config={'path': 'x'})", "SELECT * FROM force_checkpoint()",
		"SELECT (SELECT count(*) FROM query('SELECT 1'))", "SELECT write_log('x')", "WITH x AS (FROM read_csv('x')) FROM x",
		"SELECT range(1000000000)", "SELECT repeat('x', 4000000000)", "SELECT * FROM range(3) WHERE len(printf('%2000000000d', 1)) > 1",
		"FROM query_table('events')", "SUMMARIZE 'x.parquet'", "FROM '*.parquet'",
		"SELECT " + strings.Repeat("(", 30_000) + "1" + strings.Repeat(")", 30_000),
	} {
		rows, err := s.SQL(t.Context(), text, facts.Options{})
		if !errors.Is(err, facts.ErrStatement) {
			t.Errorf("%q: got %v, want ErrStatement", text, err)
		}
		if err == nil {
			_ = rows.Close()
		}
	}
	expect(t, s, "SELECT event FROM events; -- a comment", "one\n")
	expect(t, s, "SELECT i FROM range(2) t(i), unnest([1]) ORDER BY i", "0\n1\n")
	expect(t, s, "SELECT MAP {'a': 1}", "map[a:1]\n")
	expect(t, s, "WITH x AS (SELECT 1 AS i) SELECT i FROM x ORDER BY i DESC;", "1\n")
}

func limits(t *testing.T, open Opener) {
	s := open(t, t.TempDir())
	rows, err := s.SQL(t.Context(), "SELECT i, i * 1.5::DOUBLE, 'text', TIMESTAMP '2026-01-02 03:04:05', NULL, true FROM range(10) t(i) ORDER BY i DESC", facts.Options{Rows: 3})
	if err != nil {
		t.Fatal(err)
	}
	var got []any
	n := 0
	for rows.Next() {
		n++
		got = append(got[:0], rows.Values()...)
	}
	if n != 3 || !rows.More() || rows.Err() != nil {
		t.Errorf("%d rows, more: %v, error %v", n, rows.More(), rows.Err())
	}
	want := []any{int64(7), 10.5, "text", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), nil, true}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
}

// past hands over what was taken in, as it was, as far as it was asked for.
func past(t *testing.T, open Opener) {
	s := open(t, t.TempDir())
	whole := event.Event{
		MessageID: "m1", Type: event.Identify, Name: "identify", UserID: "ann", AnonymousID: "device", GroupID: "g", Source: "shop",
		Timestamp: Noon, ReceivedAt: Noon + 5, Properties: []byte(`{"a":1}`), Traits: []byte(`{"plan":"pro"}`),
		Context: event.Context{
			Page:     event.PageContext{URL: "https://shop.example/a", Path: "/a", Referrer: "https://search.example/", Title: "A"},
			Campaign: event.CampaignContext{Source: "s", Medium: "m", Name: "n", Term: "t", Content: "c"},
			Device:   "phone", OS: "os", Browser: "browser", Screen: "1x1", Locale: "de", Timezone: "Europe/Berlin", Country: "DE",
			Bot: true, Historical: true, Consent: []byte(`{"sms":true}`), Extra: []byte(`{"internal":true}`),
		},
	}
	Append(t, s, 0, Chunk(0, whole, Track("device", "late", Noon-1), Track("device", "later", Noon+48*3600e6)))
	Append(t, s, 1, Chunk(4, Track("bob", "same time", Noon), Merge("bob", "ann", Noon+1), Track("carl", "not asked for", Noon+2)))
	var merged []string
	var got []event.Event
	collect := func(from int64) {
		t.Helper()
		merged, got = nil, nil
		err := s.Past(t.Context(), from, []uint64{3, 6}, func(from, to string) error {
			merged = append(merged, from+" is "+to)
			return nil
		}, func(e *event.Event) error {
			got = append(got, *e)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	collect(0)
	if want := []string{"bob is ann"}; !slices.Equal(merged, want) {
		t.Errorf("merged: %q, want %q", merged, want)
	}
	want := []event.Event{Track("device", "late", Noon-1), whole, Track("bob", "same time", Noon), Track("device", "later", Noon+48*3600e6)}
	for i := range want {
		want[i].SessionID = ""
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if collect(Noon); len(got) != 3 {
		t.Errorf("from noon on: %d events", len(got))
	}
	stop := errors.New("enough")
	err := s.Past(t.Context(), 0, []uint64{9, 9}, func(string, string) error { return nil }, func(*event.Event) error { return stop })
	if !errors.Is(err, stop) {
		t.Errorf("got %v, want the error of the callback", err)
	}
	got = nil
	err = s.PastOf(t.Context(), []string{"bob", "nobody"}, 0, []uint64{2, 9}, func(e *event.Event) error {
		got = append(got, *e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]event.Event{whole, want[2]}, got); diff != "" {
		t.Errorf("events of one user (-want +got):\n%s", diff)
	}
	expect(t, s, "SELECT 1", "1\n") // it gave everything back
}

// parted tells users apart who were one for a while, whichever partition says so first.
func parted(t *testing.T, open Opener) {
	const who = "SELECT event, user_id FROM events ORDER BY time"
	s := open(t, t.TempDir())
	Append(t, s, 0, Chunk(0, Track("ann", "one", Noon), Merge("bob", "ann", Noon+1)))
	Append(t, s, 1, Chunk(0, Track("bob", "two", Noon+2)))
	expect(t, s, who, "one ann\ntwo ann\n")
	Append(t, s, 1, Chunk(1, Track("bob", "three", Noon+3), Merge("bob", "bob", Noon+3), Track("bob", "four", Noon+4)))
	expect(t, s, who, "one ann\ntwo bob\nthree bob\nfour bob\n")
	Append(t, s, 0, Chunk(2, Merge("bob", "ann", Noon+3), Merge("bob", "ann", Noon+2))) // said before, and read later
	expect(t, s, who, "one ann\ntwo bob\nthree bob\nfour bob\n")
	Append(t, s, 0, Chunk(4, Merge("bob", "ann", Noon+5)))
	expect(t, s, who, "one ann\ntwo ann\nthree ann\nfour ann\n")
}

// endless is a query that nobody waits for the end of.
const endless = "SELECT count(*) FROM range(100000000000) a(i), range(1000) b(j) WHERE hash(i, j) = 1"

func canceled(t *testing.T, open Opener) {
	s := open(t, t.TempDir())
	if _, err := s.SQL(t.Context(), endless, facts.Options{Timeout: 50 * time.Millisecond}); !errors.Is(err, facts.ErrTimeout) {
		t.Errorf("got %v, want ErrTimeout", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := s.SQL(ctx, endless, facts.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	expect(t, s, "SELECT 1", "1\n")
}

func closed(t *testing.T, open Opener) {
	s := open(t, t.TempDir())
	ended := make(chan error, 1)
	started := make(chan struct{})
	go func() {
		close(started)
		_, err := s.SQL(context.WithoutCancel(t.Context()), endless, facts.Options{})
		ended <- err
	}()
	<-started
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, facts.ErrClosed) {
		t.Errorf("a query that ran: got %v, want ErrClosed", err)
	}
	if err := s.Append(t.Context(), 0, Chunk(0, Track("a", "one", Noon))); !errors.Is(err, facts.ErrClosed) {
		t.Errorf("append: got %v, want ErrClosed", err)
	}
	if _, err := s.SQL(t.Context(), "SELECT 1", facts.Options{}); !errors.Is(err, facts.ErrClosed) {
		t.Errorf("query: got %v, want ErrClosed", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
}
