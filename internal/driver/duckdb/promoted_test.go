package duckdb

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"heed/internal/condition"
	"heed/internal/driver/duckdb/rows"
	"heed/internal/eventlog"
	"heed/internal/facts/factstest"
	"heed/internal/measure"
)

func oneOf[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// randomProperties is a JSON object whose properties mostly have the type that
// their name says. late: those that come up later are in it, others are gone.
func randomProperties(r *rand.Rand, late bool) string {
	odd := func() string {
		return oneOf(r, `null`, `""`, `"a\"b"`, `"caf\u00e9"`, `"tab\tin"`, `"`+strings.Repeat("long ", 60)+`"`, `5.0`, `5`, `"5"`, `1e3`, `-0`, `-0.0`, `0.00001`, `1e15`,
			`999999999999999`, `123456789.125`, `12345678901234567890`, `1e400`, `true`, `false`, `"true"`, `[1,"x"]`, `{"a":"x"}`, `"ü"`, `"Ünïcödé and more than twelve bytes"`, `0.1`, `1234567.1`)
	}
	var members []string
	add := func(often float64, key, value string) {
		if r.Float64() > often {
			return
		}
		if r.IntN(12) == 0 {
			value = odd()
		}
		members = append(members, key+oneOf(r, ":", ": ")+value)
	}
	add(0.8, `"product_id"`, fmt.Sprintf(`"p-%d"`, r.IntN(20)))
	add(0.7, `"price"`, fmt.Sprint(float64(r.IntN(400))/4))
	add(0.6, `"member"`, oneOf(r, "true", "false"))
	add(0.5, `"mixed"`, odd())
	add(0.1, `"Price"`, `"another"`)
	add(0.1, `"with space"`, fmt.Sprint(r.IntN(3)))
	if late {
		add(0.9, `"late"`, fmt.Sprintf(`"a text that is not inline %d"`, r.IntN(9)))
	} else {
		add(0.9, `"fading"`, fmt.Sprint(r.IntN(9)))
	}
	if r.IntN(20) == 0 && len(members) > 0 { // the first of doubled keys counts
		members = append(members, oneOf(r, members...), `"product_id":"doubled"`)
	}
	doc := "{" + strings.Join(members, oneOf(r, ",", " , ")) + "}"
	switch r.IntN(40) {
	case 0:
		return ""
	case 1:
		return strings.ToValidUTF8(doc[:r.IntN(len(doc)+1)], "")
	}
	return doc
}

// askProperties is a random query about properties.
func askProperties(r *rand.Rand) *measure.Query {
	field := func() string {
		return oneOf(r, "properties.", "properties.", "event.properties.") +
			oneOf(r, "product_id", "price", "member", "mixed", "Price", "late", "fading", "with space", "none", "mixed.a", "mixed[0]")
	}
	var where func(depth int) condition.Condition
	where = func(depth int) condition.Condition {
		if depth > 0 && r.IntN(3) == 0 {
			both := []condition.Condition{where(depth - 1), where(depth - 1)}
			return oneOf(r, condition.Condition{All: both}, condition.Condition{Any: both}, condition.Condition{Not: &both[0]})
		}
		switch op := oneOf(r, condition.Eq, condition.Ne, condition.Gt, condition.Lte, condition.Exists, condition.Missing, condition.Contains, condition.StartsWith, condition.In); op {
		case condition.Exists, condition.Missing:
			return condition.Condition{Field: field(), Op: op}
		case condition.Contains, condition.StartsWith:
			return condition.Condition{Field: field(), Op: op, Value: oneOf(r, "p-1", "caf", "5", "a")}
		case condition.In:
			return condition.Condition{Field: field(), Op: op, Value: []any{"p-3", 5, true, "5"}}
		case condition.Gt, condition.Lte:
			return condition.Condition{Field: field(), Op: op, Value: oneOf[any](r, 5, 50.25, "p-11")}
		default:
			return condition.Condition{Field: field(), Op: op, Value: oneOf[any](r, "p-7", 5, 1000, 0, true, "café", `a"b`, "5", "")}
		}
	}
	dimension := func() measure.Dimension {
		d := measure.Dimension{Field: field()}
		if r.IntN(4) == 0 {
			limit := 50.0
			d.Buckets = []measure.Bucket{{Name: "some", In: []string{"p-1", "p-2", "true", "5"}}, {Name: "low", Below: &limit}, {Name: "high", From: &limit}}
		}
		return d
	}
	of := measure.Match{Event: oneOf(r, "", "view", "buy")}
	if r.IntN(2) == 0 {
		of.Where = where(2)
	}
	count := oneOf(r, measure.CountEvents, measure.CountEvents, measure.CountUsers, measure.CountSum)
	q := &measure.Query{}
	if r.IntN(3) == 0 {
		q.Where = where(1)
	}
	sum := ""
	if count == measure.CountSum {
		sum = oneOf(r, "properties.product_id", "properties.fading", "properties.late", "properties.member")
	}
	switch r.IntN(3) {
	case 0:
		q.Breakdown = &measure.Breakdown{Of: &of, Count: count, Field: sum, By: []measure.Dimension{dimension(), dimension()}, Top: 5}
	case 1:
		d := dimension()
		q.Range = measure.Range{Last: "7d"}
		q.Series = &measure.Series{Of: []measure.Match{of}, Count: count, Field: sum, Per: measure.Day, By: &d, Top: 3}
	default:
		q.Breakdown = &measure.Breakdown{Of: &of, Count: count, Field: sum, By: []measure.Dimension{dimension()}, Top: 100}
	}
	return q
}

// Whatever has a column of its own, and since when, answers are those that the JSON
// alone gives: while files are written, merged and closed, columns come and go, and
// the process is restarted or killed.
func TestPromotedAnswersAsJSON(t *testing.T) {
	t.Parallel()
	const never = 1 << 62
	used := map[rows.Type]int{}
	for seed := range uint64(soak(2)) {
		r := rand.New(rand.NewPCG(seed, 16))
		var now atomic.Int64
		now.Store(factstest.Noon)
		clock := func() time.Time { return time.UnixMicro(now.Load()) }
		const events = 5000
		var log []eventlog.Chunk
		for pos := range uint64(events) {
			at := factstest.Noon + int64(pos)*4*dayMicros/events
			if r.IntN(50) == 0 {
				at -= r.Int64N(3 * dayMicros) // late
			}
			e := factstest.Track(fmt.Sprintf("u%d", r.IntN(30)), oneOf(r, "view", "view", "buy"), at)
			e.MessageID, e.Properties = fmt.Sprint("m", pos), []byte(randomProperties(r, pos > events/2))
			log = append(log, factstest.Chunk(pos, e))
		}
		plain := open(t, Config{Dir: t.TempDir(), FlushEvery: never}, Deps{Partitions: 1, Clock: clock})
		dir := t.TempDir()
		s := open(t, Config{Dir: dir, FlushEvery: never}, Deps{Partitions: 1, Clock: clock})
		feed(t, plain, log)
		for end := 0; end < events; {
			end = min(events, end+200+r.IntN(1200))
			now.Store(factstest.Noon + int64(end)*4*dayMicros/events + 2*time.Hour.Microseconds())
			feed(t, s, log[:end])
			switch r.IntN(5) {
			case 0: // columns come and go
				shake(s, r)
			case 1:
				if err := s.Compact(t.Context()); err != nil {
					t.Fatal(err)
				}
			case 2: // a copy of the folder is what a kill leaves
				killed := t.TempDir()
				s.tidying.Lock()
				err := os.CopyFS(killed, os.DirFS(dir))
				s.tidying.Unlock()
				if err != nil {
					t.Fatal(err)
				}
				dir = killed
				s = open(t, Config{Dir: dir, FlushEvery: never}, Deps{Partitions: 1, Clock: clock})
			default:
				if err := s.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		feed(t, s, log)
		for i := range 60 {
			if i == 30 {
				if err := s.Compact(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			q := askProperties(r)
			want, err := plain.Query(t.Context(), q, now.Load())
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.Query(t.Context(), q, now.Load())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.EquateApprox(1e-12, 0)); diff != "" {
				text, _ := json.Marshal(q)
				t.Fatalf("seed %d: %s (-JSON +columns):\n%s", seed, text, diff)
			}
		}
		if got, want := factstest.Rows(t, s, everything), factstest.Rows(t, plain, everything); got != want {
			t.Errorf("seed %d: other events", seed)
		}
		s.mu.Lock()
		all := properties(s.layout, s.files)
		s.mu.Unlock()
		for _, p := range all {
			used[p.Type]++
			json := fmt.Sprintf("TRY(properties->>%s)", quote(p.Key))
			if p.Type != rows.Varchar {
				json = fmt.Sprintf("TRY_CAST(%s AS %s)", json, p.Type)
			}
			if got := one(t, s, fmt.Sprintf("SELECT count(*) FROM events WHERE %s IS DISTINCT FROM %s AND json_valid(properties) AND properties NOT LIKE '%%doubled%%'", quoteName(p.Column()), json)); got[0] != int64(0) {
				t.Errorf("seed %d: %d rows of SQL's %s are not what the JSON says", seed, got[0], p.Column())
			}
		}
	}
	for _, typ := range []rows.Type{rows.Varchar, rows.Double, rows.Boolean} {
		if used[typ] == 0 {
			t.Errorf("no column was %s: %v", typ, used)
		}
	}
}

// shake gives new rows columns at random; a type is the one that files have.
func shake(s *Store, r *rand.Rand) {
	s.mu.Lock()
	held := s.held()
	s.mu.Unlock()
	var next []rows.Property
	for _, p := range []rows.Property{{Key: "product_id", Type: rows.Varchar}, {Key: "price", Type: rows.Double}, {Key: "mixed", Type: oneOf(r, rows.Varchar, rows.Double)}, {Key: "fading", Type: rows.Double}} {
		if h, ok := held[p.Key]; ok {
			p = h
		}
		if p.Key != "" && r.IntN(2) == 0 {
			next = append(next, p)
		}
	}
	use(s, next...)
}

// use gives new rows these columns.
func use(s *Store, next ...rows.Property) {
	s.commits.Lock()
	defer s.commits.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.layout = rows.NewLayout(next)
	s.fileGen++
}

// What a column of numbers holds has the same text in SQL as in conditions.
func TestNumbersHaveOneText(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 17))
	log := []eventlog.Chunk{}
	add := func(number string) {
		pos := uint64(len(log))
		e := factstest.Track("u", "e", factstest.Noon+int64(pos))
		e.MessageID, e.Properties = fmt.Sprint(pos), fmt.Appendf(nil, `{"n":%s}`, number)
		log = append(log, factstest.Chunk(pos, e))
	}
	for _, n := range []string{"0", "-0", "0.0", "1e-4", "0.0001", "0.00009999", "999999999999999", "1e15", "1000000000000000.5", "123456789012.125", "1e14", "1.5e3", "0.1", "-12.0", "5e-324", "1e308"} {
		add(n)
	}
	for range 3000 {
		digits := r.Int64() >> r.IntN(63)
		add(strconv.FormatFloat(float64(digits)*math.Pow10(-r.IntN(25)), "feg"[r.IntN(3)], -1, 64))
	}
	s := open(t, Config{Dir: t.TempDir()}, Deps{Partitions: 1})
	use(s, rows.Property{Key: "n", Type: rows.Double})
	plain := open(t, Config{Dir: t.TempDir()}, Deps{Partitions: 1})
	feed(t, s, log)
	feed(t, plain, log)
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A file whose column has another type than the one in use is read as JSON.
	use(s, rows.Property{Key: "N", Type: rows.Varchar}, rows.Property{Key: "m", Type: rows.Boolean})
	again := log[0]
	again.Base = uint64(len(log))
	factstest.Append(t, s, 0, again)
	factstest.Append(t, plain, 0, again)
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	use(s, rows.Property{Key: "n", Type: rows.Double})
	q := &measure.Query{Breakdown: &measure.Breakdown{Of: &measure.Match{}, Count: measure.CountEvents, By: []measure.Dimension{{Field: "properties.n"}}, Top: 5000}}
	want, err := plain.Query(t.Context(), q, factstest.Noon+dayMicros)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Query(t.Context(), q, factstest.Noon+dayMicros)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-JSON +column):\n%s", diff)
	}
	for _, compacted := range []bool{false, true} {
		if compacted { // by name the columns of both files are one
			if err := s.Compact(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if n := one(t, s, `SELECT data_type FROM duckdb_columns() WHERE table_name = 'events' AND column_name = 'properties.n'`); n[0] != "DOUBLE" {
			t.Errorf("SQL's column is %v (compacted: %t)", n[0], compacted)
		}
		if n := one(t, s, `SELECT count(*) FROM events WHERE "properties.n" IS NULL`); n[0] != int64(0) {
			t.Errorf("%d numbers are null in SQL (compacted: %t)", n[0], compacted)
		}
	}
}
