package condition

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"heed/internal/event"
)

func facts(properties string) *Facts {
	return &Facts{
		Event: &event.Event{
			Name: "win", Type: event.Page, UserID: "u1", Timestamp: 1_767_225_600_000_000, Properties: []byte(properties),
			Context: event.Context{Country: "DE", Bot: true, Page: event.PageContext{Path: "/a"}, Consent: []byte(`{"ads":false}`), Extra: []byte(`{"x":{"y":3}}`)},
		},
		Traits: []byte(`{"plan":"gold","born":"1990-05-01","tags":["a","b"]}`),
	}
}

func TestEval(t *testing.T) {
	f := func(field string, op Op, value any, want bool) {
		t.Helper()
		p, err := Compile(Condition{Field: field, Op: op, Value: value}, ForEvent)
		if err != nil {
			t.Fatalf("%s %s %v: %v", field, op, value, err)
		}
		got := p.Eval(facts(`{"n":10,"f":1.5e1,"s":"ab\u0063 d","t":true,"z":null,"at":"2026-01-01T01:00:00+01:00","o":{"k":{"v":7}},` +
			`"list":[1,"two",{"id":"p1","n":3},{"id":"p2"}],"empty":[],"big":1e999,"q\"k":1}`))
		if got != want {
			t.Errorf("%s %s %v: %v, want %v", field, op, value, got, want)
		}
	}
	f("properties.n", Eq, 10, true)
	f("properties.n", Eq, "10", false) // never by text
	f("properties.n", Ne, "10", true)
	f("properties.n", Gt, 9.5, true)
	f("properties.n", Lte, uint64(9), false)
	f("properties.f", Eq, int64(15), true)
	f("properties.s", Eq, "abc d", true)
	f("properties.s", Contains, "c d", true)
	f("properties.s", StartsWith, "abc", true)
	f("properties.s", EndsWith, "x", false)
	f("properties.s", Matches, "^ab. ", true)
	f("properties.n", Matches, "1", false)
	f("properties.s", Gt, "abb", true)
	f("properties.t", Eq, true, true)
	f("properties.t", Eq, 1, false)
	f("properties.z", Exists, nil, false) // null is missing
	f("properties.z", Missing, nil, true)
	f("properties.none", Eq, 1, false)
	f("properties.none", Lt, 1, false)
	f("properties.none", Ne, 1, true)
	f("properties.none", Nin, []any{1}, true)
	f("properties.at", Eq, "2026-01-01T00:00:00Z", true)
	f("properties.at", Gt, "2025-12-31", true)
	f("properties.at", Lt, time.Unix(0, 0), false)
	f("properties.s", Lt, "2025-12-31", false)
	f("properties.o.k.v", In, []any{"7", 7}, true)
	f("properties.o.k", Exists, nil, true)
	f("properties.o.k", Eq, 7, false)
	f("properties.list", Contains, "two", true)
	f("properties.list", Contains, "one", false)
	f("properties.list[0]", Eq, 1, true)
	f("properties.list[9]", Exists, nil, false)
	f("properties.list[].id", Eq, "p2", true)
	f("properties.list[].id", Ne, "p2", false)
	f("properties.list[].id", Ne, "p3", true)
	f("properties.list[].n", Gte, 3, true)
	f("properties.empty[]", Exists, nil, false)
	f("properties.big", Gt, 1, false)
	f("properties.big", Exists, nil, true)
	f(`properties.q"k`, Eq, 1, true)
	f("event.event", Eq, "win", true)
	f("event.type", In, []string{"track", "page"}, true)
	f("event.sessionId", Exists, nil, false)
	f("event.timestamp", Gte, "2026-01-01T00:00:00Z", true)
	f("context.country", Eq, "DE", true)
	f("context.bot", Eq, true, true)
	f("context.page.path", StartsWith, "/", true)
	f("context.consent.ads", Eq, false, true)
	f("context.x.y", Eq, 3, true)
	f("traits.plan", Eq, "gold", true)
	f("traits.born", Lt, "2000-01-01", true)
	f("traits.tags", Contains, "b", true)
}

func TestTrees(t *testing.T) {
	yes := Condition{Field: "properties.n", Op: Eq, Value: 1}
	no := Condition{Field: "properties.n", Op: Eq, Value: 2}
	f := func(c Condition, want bool) {
		t.Helper()
		p, err := Compile(c, ForEvent)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Eval(facts(`{"n":1}`)); got != want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	f(Condition{}, true)
	f(Condition{All: []Condition{yes, yes}}, true)
	f(Condition{All: []Condition{yes, no}}, false)
	f(Condition{Any: []Condition{no, yes}}, true)
	f(Condition{Any: []Condition{no, no}}, false)
	f(Condition{Not: &no}, true)
	f(Condition{Not: &Condition{All: []Condition{yes, {Not: &no}}}}, false)
}

func TestCheck(t *testing.T) {
	f := func(c Condition, use Use, want string) {
		t.Helper()
		if err := Check(c, use); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", c, err, want)
		}
	}
	f(Condition{Field: "x", Op: Eq, Value: 1}, ForEvent, `field: "x": write event.*`)
	f(Condition{Field: "pull.scores", Op: Eq, Value: 1}, ForEvent, "write pull.<collection>.<field>")
	f(Condition{Field: "pull.scores.a", Op: Eq, Value: 1}, ForProfile, "only traits.* can be asked about a profile")
	f(Condition{Field: "event.nope", Op: Eq, Value: 1}, ForEvent, "is no field of an event")
	f(Condition{Field: "properties.a", Op: Eq}, ForEvent, "value: is missing")
	f(Condition{Field: "properties.a", Op: "like", Value: 1}, ForEvent, `op: "like" is unknown`)
	f(Condition{Field: "properties.a", Op: Exists, Value: 1}, ForEvent, "takes no value")
	f(Condition{Field: "properties.a", Op: In, Value: 1}, ForEvent, "takes a list")
	f(Condition{Field: "properties.a", Op: In, Value: []any{1, []any{}}}, ForEvent, "value[1]: is a list: only in and nin")
	f(Condition{Field: "properties.a", Op: Gt, Value: true}, ForEvent, "gt compares")
	f(Condition{Field: "properties.a", Op: Matches, Value: "("}, ForEvent, "not a regular expression")
	f(Condition{Field: "properties.a", Op: Matches, Value: "(a{1000}){1000}"}, ForEvent, "regular expression")
	f(Condition{Field: "properties.a", Op: StartsWith, Value: 1}, ForEvent, "takes text")
	f(Condition{Field: "event.timestamp", Op: Gt, Value: 1}, ForEvent, "is an RFC 3339 time")
	f(Condition{Field: "context.bot", Op: Eq, Value: "yes"}, ForEvent, "is true or false")
	f(Condition{Field: "properties.a[x]", Op: Exists}, ForEvent, "write [] for any element")
	f(Condition{Field: "properties..a", Op: Exists}, ForEvent, "has an empty part")
	f(Condition{Field: "properties.a", Op: Exists}, ForProfile, "only traits.*")
	f(Condition{All: []Condition{{Field: "traits.a", Op: Exists}, {Not: &Condition{Op: Eq}}}}, ForProfile, "all[1].not.field: is missing")
	f(Condition{Field: "traits.a", Op: Exists, Any: []Condition{{}}}, ForProfile, "write one of")
	f(Condition{All: []Condition{}}, ForEvent, "all: is empty")
	deep := Condition{}
	for range 40 {
		deep = Condition{Not: &Condition{All: []Condition{deep}}}
	}
	f(deep, ForEvent, "nested deeper")
}

// naive evaluates a leaf on a document the slow way, from the meaning.
func naive(path []string, op Op, want any, doc string) bool {
	var root any
	if json.Unmarshal([]byte(doc), &root) != nil {
		return op == Missing || op == Ne || op == Nin
	}
	values := []any{root}
	for _, part := range path {
		var next []any
		for _, v := range values {
			switch v := v.(type) {
			case map[string]any:
				if x, ok := v[part]; ok && part != "[]" {
					next = append(next, x)
				}
			case []any:
				if part == "[]" {
					next = append(next, v...)
				}
			}
		}
		values = next
	}
	equal := func(a, b any) bool {
		s, ok := b.(string)
		if wt, isTime := parseTime(s); ok && isTime {
			as, _ := a.(string)
			at, good := parseTime(as)
			return good && at.Equal(wt)
		}
		switch b.(type) {
		case string, float64, bool:
			return a == b
		}
		return false
	}
	holds := func(test func(v any) bool) bool {
		for _, v := range values {
			if v != nil && test(v) {
				return true
			}
		}
		return false
	}
	in := func(v any) bool {
		for _, w := range want.([]any) {
			if equal(v, w) {
				return true
			}
		}
		return false
	}
	switch op {
	case Exists:
		return holds(func(any) bool { return true })
	case Missing:
		return !holds(func(any) bool { return true })
	case Eq:
		return holds(func(v any) bool { return equal(v, want) })
	case Ne:
		return !holds(func(v any) bool { return equal(v, want) })
	case In:
		return holds(in)
	case Nin:
		return !holds(in)
	case Gt:
		return holds(func(v any) bool {
			if x, ok := v.(float64); ok {
				w, ok := want.(float64)
				return ok && x > w
			}
			s, ok := v.(string)
			w, text := want.(string)
			if !ok || !text {
				return false
			}
			if wt, isTime := parseTime(w); isTime {
				at, good := parseTime(s)
				return good && at.After(wt)
			}
			return s > w
		})
	case Contains:
		return holds(func(v any) bool {
			if list, ok := v.([]any); ok {
				return slices.Contains(list, want)
			}
			s, ok := v.(string)
			w, text := want.(string)
			return ok && text && strings.Contains(s, w)
		})
	case Gte, Lt, Lte, StartsWith, EndsWith, Matches: // not compared
	}
	panic(op)
}

var paths = [][2]string{{"a", "a"}, {"a.b", "a b"}, {"a[]", "a []"}, {"a[].b", "a [] b"}, {"b", "b"}, {"a.b[].a", "a b [] a"}, {"ü", "ü"}}

func compare2(t *testing.T, doc string) {
	t.Helper()
	for _, path := range paths {
		for _, op := range []Op{Exists, Missing, Eq, Ne, Gt, Contains, In, Nin} {
			for _, want := range []any{1.0, -0.5, "x", "é\n", true, "2026-01-01", ""} {
				c := Condition{Field: "properties." + path[0], Op: op, Value: want}
				switch op {
				case Exists, Missing:
					c.Value = nil
				case In, Nin:
					want = []any{want, 2.0, "y"}
					c.Value = want
				case Gt:
					if want == true {
						continue
					}
				case Eq, Ne, Gte, Lt, Lte, Contains, StartsWith, EndsWith, Matches:
				}
				p, err := Compile(c, ForEvent)
				if err != nil {
					t.Fatal(err)
				}
				got := p.Eval(&Facts{Event: &event.Event{Properties: []byte(doc)}})
				if slow := naive(strings.Fields(path[1]), op, want, doc); got != slow {
					t.Fatalf("%s: %s %s %v: %v, encoding/json says %v", doc, path[0], op, want, got, slow)
				}
			}
		}
	}
}

func randomJSON(r *rand.Rand, depth int) string {
	space := []string{"", " ", "\n\t"}[r.IntN(3)]
	pick := func(s ...string) string { return s[r.IntN(len(s))] }
	switch n := r.IntN(10); {
	case depth > 0 && n < 3:
		var parts []string
		for _, key := range []string{`"a"`, `"b"`, `"\u00fc"`, `"c"`} {
			if r.IntN(2) == 0 {
				parts = append(parts, space+key+space+":"+space+randomJSON(r, depth-1))
			}
		}
		return "{" + strings.Join(parts, ",") + space + "}"
	case depth > 0 && n < 6:
		var parts []string
		for range r.IntN(4) {
			parts = append(parts, space+randomJSON(r, depth-1))
		}
		return "[" + strings.Join(parts, ",") + space + "]"
	case n < 7:
		return pick("1", "-0.5", "2", "1e0", "0.30000000000000004", "-5e-1", "10E-1", "123456789012345678", "0", "-0") + space
	case n < 9:
		return pick(`"x"`, `"xy"`, `"\u00e9\n"`, `"é\n"`, `""`, `"2026-01-01T00:00:00Z"`, `"2026-01-02"`, `"\"}"`, `"\\"`, `"\ud83d\ude00"`)
	}
	return pick("true", "false", "null")
}

// TestAgainstEncodingJSON compares the scanner with a slow evaluator.
func TestAgainstEncodingJSON(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		doc := randomJSON(r, 4)
		if !strings.HasPrefix(doc, "{") {
			doc = `{"a":` + doc + "}"
		}
		if !json.Valid([]byte(doc)) {
			t.Fatalf("the generator wrote %s", doc)
		}
		compare2(t, doc)
	}
}

func FuzzEval(f *testing.F) {
	for _, s := range []string{`{"a":1}`, `{"a":{"b":[1,"x"]}}`, `{"a":[{"b":2},`, `{"a`, `{"a":"\`, `{"a":-}`, `[`, ``, "{\"a\":\x00}", `{"a":tru}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		all := &Facts{Event: &event.Event{Properties: doc}, Traits: doc}
		for _, path := range paths {
			field, err := CompileField("properties." + path[0])
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range field.Texts(all, nil, 3) {
				_ = len(s)
			}
		}
		// Only what the collector lets through is compared: valid JSON in valid
		// UTF-8, without doubled keys.
		if json.Valid(doc) && utf8.Valid(doc) && !doubled(doc) {
			compare2(t, string(doc))
			return
		}
		for _, op := range []Op{Eq, Gt, Contains, Exists} {
			c := Condition{Field: "properties.a[].b", Op: op, Value: "x"}
			if op == Exists {
				c.Value = nil
			}
			p, err := Compile(c, ForEvent)
			if err != nil {
				t.Fatal(err)
			}
			p.Eval(all)
		}
	})
}

// doubled tells whether keys are doubled, or nearly: encoding/json decodes a
// surrogate without its partner to the same text as another.
func doubled(doc []byte) bool {
	var v any
	if json.Unmarshal(doc, &v) != nil {
		return true
	}
	return strings.Count(string(doc), ":") != strings.Count(fmt.Sprint(v), ":")
}

func TestTexts(t *testing.T) {
	f := func(field, doc string, want ...string) {
		t.Helper()
		c, err := CompileField(field)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Texts(facts(doc), nil, 3); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s of %s: %q, want %q", field, doc, got, want)
		}
	}
	f("properties.id", `{"id":"a"}`, "a")
	f("properties.id", `{"id":42}`, "42")
	f("properties.id", `{"id":4.20e1}`, "42")
	f("properties.id", `{"id":-0}`, "0")
	f("properties.id", `{"id":true}`, "true")
	f("properties.id", `{"id":""}`)
	f("properties.id", `{"id":null}`)
	f("properties.id", `{"id":{}}`)
	f("properties.p[].id", `{"p":[{"id":"a"},{},{"id":7},{"id":"c"},{"id":"d"}]}`, "a", "7", "c")
	f("event.userId", `{}`, "u1")
}

func TestEvalDoesNotAllocate(t *testing.T) {
	p, err := Compile(Condition{All: []Condition{
		{Field: "properties.stake", Op: Gte, Value: 10},
		{Field: "properties.game", Op: In, Value: []any{"poker", "slots"}},
		{Field: "properties.at", Op: Gt, Value: "2026-01-01T00:00:00Z"},
		{Field: "traits.plan", Op: Eq, Value: "gold"},
		{Field: "context.country", Op: Ne, Value: "US"},
		{Field: "properties.name", Op: Matches, Value: "^High"},
	}}, ForEvent)
	if err != nil {
		t.Fatal(err)
	}
	on := facts(`{"stake":10.50,"game":"poker","at":"2026-03-01T00:00:00.5Z","name":"High roller"}`)
	if n := testing.AllocsPerRun(1000, func() {
		if !p.Eval(on) {
			t.Fatal("does not hold")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkEval(b *testing.B) {
	p, err := Compile(Condition{All: []Condition{
		{Field: "properties.stake", Op: Gte, Value: 10},
		{Field: "properties.game", Op: In, Value: []any{"poker", "slots"}},
	}}, ForEvent)
	if err != nil {
		b.Fatal(err)
	}
	on := facts(`{"table":"t-1","seats":[1,2,3],"currency":"EUR","game":"poker","won":true,"stake":10.50}`)
	b.ReportAllocs()
	for b.Loop() {
		if !p.Eval(on) {
			b.Fatal("does not hold")
		}
	}
}

// What was pulled of the user is asked like anything else; where it is not
// there, it is missing.
func TestPull(t *testing.T) {
	docs := map[string]string{
		"scores": `{"churn":0.82,"segment":"gold","tags":["a","b"],"since":"2026-01-02","nested":{"n":[{"x":1},{"x":2}]},"huge":1e400,"nothing":null}`,
		"broken": `{"churn":`, "list": `[1]`,
	}
	facts := &Facts{Pull: func(c string) []byte {
		if d, ok := docs[c]; ok {
			return []byte(d)
		}
		return nil
	}}
	f := func(field string, op Op, value any, want bool) {
		t.Helper()
		c := Condition{Field: field, Op: op, Value: value}
		p, err := Compile(c, ForEvent)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Eval(facts); got != want {
			t.Errorf("%s %s %v: %v, want %v", field, op, value, got, want)
		}
		if without := p.Eval(&Facts{}); without != (op == Ne || op == Nin || op == Missing) {
			t.Errorf("%s %s %v without a lookup: %v", field, op, value, without)
		}
	}
	f("pull.scores.churn", Gt, 0.8, true)
	f("pull.scores.churn", Lt, 0.8, false)
	f("pull.scores.churn", Eq, "0.82", false) // never by text
	f("pull.scores.segment", In, []any{"gold", "silver"}, true)
	f("pull.scores.tags", Contains, "b", true)
	f("pull.scores.since", Gte, "2026-01-01", true)
	f("pull.scores.nested.n[].x", Eq, 2, true)
	f("pull.scores.nested.n[0].x", Eq, 2, false)
	f("pull.scores.huge", Gt, 1, false)
	f("pull.scores.nothing", Missing, nil, true)
	f("pull.scores.nothing", Ne, 1, true)
	f("pull.other.churn", Exists, nil, false)
	f("pull.broken.churn", Exists, nil, false)
	f("pull.list.churn", Exists, nil, false)
}

func TestSkipString(t *testing.T) {
	slow := func(b []byte, i int) int {
		for ; i < len(b); i++ {
			switch b[i] {
			case '"':
				return i
			case '\\':
				i++
			}
		}
		return -1
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		b := make([]byte, r.IntN(40))
		for i := range b {
			b[i] = "abc\"\\\x00\x01\x80\xff!#]["[r.IntN(13)]
			if r.IntN(3) > 0 {
				b[i] = byte(r.IntN(256))
			}
		}
		i := r.IntN(len(b) + 1)
		if got, want := skipString(b, i), slow(b, i); got != want {
			t.Fatalf("%q from %d: %d, want %d", b, i, got, want)
		}
	}
}
