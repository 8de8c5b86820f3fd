package replay_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"heed/internal/condition"
	"heed/internal/event"
	"heed/internal/period"
	"heed/internal/replay"
	"heed/internal/trigger"
)

func program(t testing.TB, d *trigger.Definition) *trigger.Program {
	t.Helper()
	p, err := trigger.Compile(d)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func run(t *testing.T, cfg replay.Config, lines ...string) (string, replay.Counts) {
	t.Helper()
	cfg.Events = strings.NewReader(strings.Join(lines, "\n"))
	var out bytes.Buffer
	counts, err := replay.Run(t.Context(), cfg, func(f replay.Firing) error { return replay.WriteFiring(&out, f) })
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), counts
}

// at is an event of a second of 2026.
func at(user, name string, second float64, more string) string {
	when := time.UnixMicro(1_767_225_600e6 + int64(second*1e6)).UTC().Format(time.RFC3339Nano)
	return fmt.Sprintf(`{"type":"track","event":%q,"userId":%q,"timestamp":%q,"receivedAt":%q%s}`, name, user, when, when, more)
}

func pair(within time.Duration) *trigger.Definition {
	return &trigger.Definition{Name: "t", Pattern: []trigger.Step{{Event: "a"}, {Event: "b"}}, Within: period.Period(within)}
}

func TestOrderAndOutput(t *testing.T) {
	absent := &trigger.Definition{Name: "left", Pattern: []trigger.Step{{Event: "a"}, {Absent: "b", For: period.Period(10 * time.Second)}}}
	cfg := replay.Config{Programs: []*trigger.Program{program(t, pair(time.Minute)), program(t, absent)}}
	lines := []string{
		at("u1", "a", 0, ""), at("u2", "a", 1, ""), "", at("u1", "b", 2.5, ""), at("u2", "x", 11, `,"messageId":"1"`),
		at("u2", "b", 12, `,"messageId":"2"`), at("u2", "b", 12, `,"messageId":"2"`), at("u3", "a", 13, ""),
	}
	f := func(until float64, want ...string) {
		t.Helper()
		cfg.Until = 0
		if until > 0 {
			cfg.Until = 1_767_225_600e6 + int64(until*1e6)
		}
		out, counts := run(t, cfg, lines...)
		var got []string
		for line := range strings.Lines(out) {
			var fields struct {
				Trigger, User, Key, At string
				ID                     string `json:"fire_id"`
			}
			d := json.NewDecoder(strings.NewReader(line))
			d.DisallowUnknownFields()
			if err := d.Decode(&fields); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			if raw, err := hex.DecodeString(fields.ID); err != nil || len(raw) != 16 {
				t.Errorf("fire id %q", fields.ID)
			}
			got = append(got, fields.Trigger+" "+fields.User+" "+strings.TrimPrefix(fields.At, "2026-01-01T00:"))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("until %v: -want +got\n%s", until, diff)
		}
		if counts.Events != 7 || counts.Repeats != 1 || counts.Firings != len(want) {
			t.Errorf("until %v: %+v", until, counts)
		}
	}
	f(0, "t u1 00:02.500000Z", "left u2 00:11.000000Z", "t u2 00:12.000000Z")
	f(22.9, "t u1 00:02.500000Z", "left u2 00:11.000000Z", "t u2 00:12.000000Z")
	f(23, "t u1 00:02.500000Z", "left u2 00:11.000000Z", "t u2 00:12.000000Z", "left u3 00:23.000000Z")
}

func TestTimes(t *testing.T) {
	f := func(second, want string) {
		t.Helper()
		out, _ := run(t, replay.Config{Programs: []*trigger.Program{program(t, pair(time.Hour))}},
			`{"event":"a","anonymousId":"u","timestamp":"2026-01-01T00:00:00Z"}`, second)
		if !strings.Contains(out, `"at":"`+want+`"`) {
			t.Errorf("%s: %q, want %s", second, out, want)
		}
	}
	f(`{"event":"b","anonymousId":"u","timestamp":"2026-01-01T00:01:00Z"}`, "2026-01-01T00:01:00.000000Z")
	f(`{"event":"b","anonymousId":"u","timestamp":1767225660123}`, "2026-01-01T00:01:00.123000Z")
	// The client's clock is an hour ahead.
	f(`{"event":"b","anonymousId":"u","timestamp":"2026-01-01T01:00:30Z","sentAt":"2026-01-01T01:00:40Z","receivedAt":"2026-01-01T00:00:41Z"}`, "2026-01-01T00:00:31.000000Z")
	f(`{"event":"b","anonymousId":"u","timestamp":"2026-01-01T05:00:00Z","receivedAt":"2026-01-01T00:00:41Z"}`, "2026-01-01T00:00:41.000000Z")
	f(`{"event":"b","anonymousId":"u","receivedAt":"2026-01-01T00:00:41Z"}`, "2026-01-01T00:00:41.000000Z")
	f(`{"event":"b","anonymousId":"u"}`, "2026-01-01T00:00:00.000000Z")
}

func TestTraits(t *testing.T) {
	d := &trigger.Definition{Name: "t", Pattern: []trigger.Step{{Event: "a", Where: &condition.Condition{Field: "traits.plan", Op: condition.Eq, Value: "gold"}}}}
	out, _ := run(t, replay.Config{Programs: []*trigger.Program{program(t, d)}},
		at("u", "a", 0, ""), `{"type":"identify","userId":"u","traits":{"plan":"gold"},"timestamp":"2026-01-01T00:00:01Z"}`, at("u", "a", 2, ""))
	if strings.Count(out, "\n") != 1 || !strings.Contains(out, "00:00:02") {
		t.Error(out)
	}
}

func TestErrors(t *testing.T) {
	f := func(want string, lines ...string) {
		t.Helper()
		_, err := replay.Run(t.Context(), replay.Config{Events: strings.NewReader(strings.Join(lines, "\n"))}, func(replay.Firing) error { return nil })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", lines, err, want)
		}
	}
	f("line 2: ", at("u", "a", 0, ""), `{"event":`)
	f("line 1: ", `[]`)
	f("line 1: event is required", `{"userId":"u"}`)
	f("line 1: has neither userId nor anonymousId", `{"event":"a"}`)
	f("line 1: has neither receivedAt nor timestamp", `{"event":"a","userId":"u"}`)
	f("line 1: is longer than", `{"event":"`+strings.Repeat("a", 1<<20)+`"}`)
}

func TestWriteCounts(t *testing.T) {
	var out bytes.Buffer
	c := replay.Counts{Events: 5, Firings: 4}
	c.Late, c.Stale, c.Evicted = 3, 2, 1
	if err := replay.WriteCounts(&out, c); err != nil || out.String() != `{"events":5,"firings":4,"late":3,"stale":2,"evicted":1}`+"\n" {
		t.Errorf("%s %v", out.String(), err)
	}
}

// TestUsersDoNotMeet: users in one file give what each gives alone, fire ids
// included, whatever their interleaving.
func TestUsersDoNotMeet(t *testing.T) {
	programs := []*trigger.Program{
		program(t, pair(20*time.Second)),
		program(t, &trigger.Definition{Name: "left", Pattern: []trigger.Step{{Event: "a"}, {Absent: "b", For: period.Period(7 * time.Second), Anchor: "last"}}}),
		program(t, &trigger.Definition{Name: "idle", Pattern: []trigger.Step{{Event: "b"}, {Idle: period.Period(5 * time.Second)}}, Reentry: &trigger.Reentry{Cooldown: period.Period(9 * time.Second)}}),
	}
	r := rand.New(rand.NewPCG(1, 1))
	var together []string
	alone := map[string][]string{}
	for i := range 400 {
		user := "u" + strconv.Itoa(r.IntN(5))
		line := at(user, []string{"a", "b", "c"}[r.IntN(3)], float64(i), `,"messageId":"m`+strconv.Itoa(i)+`"`)
		together = append(together, line)
		alone[user] = append(alone[user], line)
	}
	until := int64(1_767_225_600e6 + 1e9)
	out, _ := run(t, replay.Config{Programs: programs, Until: until}, together...)
	want := map[string]bool{}
	for line := range strings.Lines(out) {
		want[line] = true
	}
	n := 0
	for _, lines := range alone {
		out, _ := run(t, replay.Config{Programs: programs, Until: until}, lines...)
		for line := range strings.Lines(out) {
			if n++; !want[line] {
				t.Errorf("alone only: %s", line)
			}
		}
	}
	if n != len(want) || n == 0 {
		t.Errorf("%d firings alone, %d together", n, len(want))
	}
}

// TestVectors runs what can be written as a file: no outages, no edits.
func TestVectors(t *testing.T) {
	f, err := os.Open("../trigger/testdata/vectors.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var skipped []string
	for sc := bufio.NewScanner(f); sc.Scan(); {
		var v struct {
			ID, P, Scope, Order, Cancel, Ev string
			Within, Late, Cooldown, Delay   float64
			By, Once                        bool
			Fire                            []any
		}
		if err := json.Unmarshal(sc.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(v.Ev, "!") {
			skipped = append(skipped, v.ID)
			continue
		}
		t.Run(v.ID, func(t *testing.T) {
			d := &trigger.Definition{
				Name: "v", Pattern: notation(t, v.P), Within: seconds(v.Within), Order: v.Order, Lateness: seconds(v.Late),
				Delay: seconds(v.Delay), Cancel: strings.FieldsFunc(v.Cancel, comma), Scope: strings.FieldsFunc(v.Scope, comma),
			}
			if v.By {
				d.By = &trigger.By{Field: "properties.key"}
			}
			if v.Once || v.Cooldown > 0 {
				d.Reentry = &trigger.Reentry{Once: v.Once, Cooldown: seconds(v.Cooldown)}
			}
			var lines []string
			for i, token := range strings.Fields(v.Ev) {
				name, when, _ := strings.Cut(token, "@")
				when, arrival, late := strings.Cut(when, ">")
				if !late {
					arrival = when
				}
				name, id, given := strings.Cut(name, "#")
				if !given {
					id = strconv.Itoa(i)
				}
				name, key, _ := strings.Cut(name, "/")
				e := event.Event{
					Name: name, UserID: "u", Source: "s", MessageID: id, Timestamp: micros(t, when), ReceivedAt: micros(t, arrival),
					Properties: fmt.Appendf(nil, `{"key":%q}`, key),
				}
				lines = append(lines, string(event.AppendJSON(nil, &e)))
			}
			var got []string
			_, err := replay.Run(t.Context(), replay.Config{
				Programs: []*trigger.Program{program(t, d)}, Until: base + 1e15,
				Events: strings.NewReader(strings.Join(lines, "\n")),
			}, func(f replay.Firing) error {
				s := strconv.FormatFloat(float64(f.At-base)/1e6, 'f', -1, 64)
				if f.Key != "" {
					s += "/" + f.Key
				}
				got = append(got, s)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, f := range v.Fire {
				want = append(want, fmt.Sprint(f))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: -want +got\n%s", sc.Text(), diff)
			}
		})
	}
	t.Logf("no file can say: %v", skipped)
}

// base moves the vectors' seconds to a time that JSON can state.
const base = int64(1_767_225_600e6)

func comma(r rune) bool { return r == ',' }

func seconds(s float64) period.Period { return period.Period(s * 1e9) }

func micros(t *testing.T, s string) int64 {
	t.Helper()
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return base + int64(x*1e6+0.5)
}

// notation reads the patterns of the vectors that a file can say.
func notation(t *testing.T, text string) []trigger.Step {
	t.Helper()
	var steps []trigger.Step
	var without []string
	strict := false
	for token := range strings.SplitAfterSeq(text, ">") {
		for part := range strings.SplitAfterSeq(token, ",") {
			name := strings.TrimRight(part, ">,")
			switch {
			case name == "":
			case strings.HasPrefix(name, "!"):
				without = append(without, name[1:])
				continue
			case strings.HasPrefix(name, "~"):
				absent, wait, _ := strings.Cut(name[1:], ":")
				n, err := strconv.Atoi(wait)
				if err != nil {
					t.Fatal(err)
				}
				steps = append(steps, trigger.Step{Absent: absent, For: seconds(float64(n))})
			default:
				s := trigger.Step{Without: without, Strict: strict}
				if before, times, ok := strings.Cut(name, "*"); ok {
					name = before
					s.Consecutive = strings.HasSuffix(times, "c")
					s.Times = int(times[0] - '0')
				}
				s.Event = name
				steps = append(steps, s)
			}
			strict, without = strings.HasSuffix(part, ","), nil
		}
	}
	return steps
}

// What an anonymous id did counts for the user it turns out to be, and for
// nobody else.
func TestLogin(t *testing.T) {
	wins := &trigger.Definition{Name: "wins", Pattern: []trigger.Step{{Event: "win", Times: 3}}, Within: period.Period(time.Minute)}
	left := &trigger.Definition{Name: "left", Pattern: []trigger.Step{{Event: "cart"}, {Absent: "buy", For: period.Period(10 * time.Second)}}}
	cfg := replay.Config{Programs: []*trigger.Program{program(t, wins), program(t, left)}}
	line := func(second int, kind, name, user, anonymous string) string {
		when := time.Unix(1_767_225_600+int64(second), 0).UTC().Format(time.RFC3339)
		return fmt.Sprintf(`{"type":%q,"event":%q,"userId":%q,"anonymousId":%q,"timestamp":%q}`, kind, name, user, anonymous, when)
	}
	f := func(want []string, lines ...string) {
		t.Helper()
		out, _ := run(t, cfg, lines...)
		var got []string
		for l := range strings.Lines(out) {
			var x struct{ Trigger, User string }
			if err := json.Unmarshal([]byte(l), &x); err != nil {
				t.Fatal(err)
			}
			got = append(got, x.User+" "+x.Trigger)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	login := line(3, "identify", "", "ann", "a")
	two := []string{line(1, "track", "win", "", "a"), line(2, "track", "win", "", "a")}
	f([]string{"ann wins"}, two[0], two[1], login, line(4, "track", "win", "ann", "a"))
	f([]string{"ann wins"}, two[0], login, line(4, "track", "win", "", "a"), line(5, "track", "win", "ann", ""))
	f([]string{"ann left"}, line(1, "track", "cart", "", "a"), login, line(12, "track", "x", "bob", ""))
	f(nil, line(1, "track", "cart", "", "a"), login, line(9, "track", "buy", "ann", ""), line(20, "track", "x", "ann", ""))
	// The id stays ann's.
	f(nil, two[0], login, line(4, "identify", "", "bob", "a"), line(5, "track", "win", "bob", "a"), line(6, "track", "win", "bob", "a"))
	f([]string{"ann wins"}, two[0], login, line(4, "identify", "", "bob", "a"), line(5, "track", "win", "", "a"), line(6, "track", "win", "ann", ""))
	// A known user is nobody's.
	f(nil, line(1, "track", "win", "eve", ""), line(2, "track", "win", "eve", ""), line(3, "identify", "", "ann", "eve"), line(4, "track", "win", "ann", ""))
}
