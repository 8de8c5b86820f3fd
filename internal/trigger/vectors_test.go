package trigger_test

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"heed/internal/event"
	"heed/internal/period"
	"heed/internal/trigger"
)

const second = int64(1e6)

// vector is one line of testdata/vectors.jsonl.
type vector struct {
	ID       string  `json:"id"`
	Ref      string  `json:"ref"`
	P        string  `json:"p"`
	Within   float64 `json:"within"`
	Scope    string  `json:"scope"`
	By       bool    `json:"by"`
	Order    string  `json:"order"`
	Late     float64 `json:"late"`
	Cooldown float64 `json:"cooldown"`
	Once     bool    `json:"once"`
	Delay    float64 `json:"delay"`
	Cancel   string  `json:"cancel"`
	MaxStale float64 `json:"maxstale"`
	Ev       string  `json:"ev"`
	Fire     []any   `json:"fire"`
}

func readVectors(t *testing.T) []vector {
	t.Helper()
	f, err := os.Open("testdata/vectors.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var out []vector
	for sc := bufio.NewScanner(f); sc.Scan(); {
		d := json.NewDecoder(strings.NewReader(sc.Text()))
		d.DisallowUnknownFields()
		var v vector
		if err := d.Decode(&v); err != nil {
			t.Fatalf("%s: %v", sc.Text(), err)
		}
		out = append(out, v)
	}
	return out
}

func seconds(s float64) period.Period { return period.Period(s * 1e9) }

// pattern reads the notation of the vectors.
func pattern(t *testing.T, text string) []trigger.Step {
	t.Helper()
	var steps []trigger.Step
	strict := false
	var without []string
	for text != "" {
		end := strings.IndexAny(text, ">,")
		token, sep := text, byte(0)
		if end >= 0 {
			token, sep = text[:end], text[end]
			text = text[end+1:]
		} else {
			text = ""
		}
		var s trigger.Step
		switch {
		case strings.HasPrefix(token, "!"):
			without = append(without, token[1:])
			strict = strict || sep == ','
			continue
		case strings.HasPrefix(token, "~*r:"):
			s.Idle = seconds(number(t, token[4:]))
		case strings.HasPrefix(token, "~"):
			name, after, _ := strings.Cut(token[1:], ":")
			s.Absent, s.For = name, seconds(number(t, after))
		default:
			name, times, many := strings.Cut(token, "*")
			s.Event = name
			if many {
				times, s.Consecutive = strings.CutSuffix(times, "c")
				s.Times = int(number(t, times))
			}
			s.Strict, s.Without = strict, without
		}
		strict, without = sep == ',', nil
		steps = append(steps, s)
	}
	return steps
}

func number(t *testing.T, s string) float64 {
	t.Helper()
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func (v *vector) definition(t *testing.T) *trigger.Definition {
	t.Helper()
	d := &trigger.Definition{
		Name: "v" + v.ID, Pattern: pattern(t, v.P), Within: seconds(v.Within), Order: v.Order,
		Lateness: seconds(v.Late), Delay: seconds(v.Delay), MaxStale: seconds(v.MaxStale),
	}
	if v.Scope != "" {
		d.Scope = strings.Split(v.Scope, ",")
	}
	if v.Cancel != "" {
		d.Cancel = strings.Split(v.Cancel, ",")
	}
	if v.By {
		d.By = &trigger.By{Field: "properties.key"}
	}
	if v.Once || v.Cooldown > 0 {
		d.Reentry = &trigger.Reentry{Once: v.Once, Cooldown: seconds(v.Cooldown)}
	}
	return d
}

// happening is one token of a vector's events.
type happening struct {
	name, key, id string
	at, received  int64
	down, up      bool
	edit          string
}

func (v *vector) events(t *testing.T) []happening {
	t.Helper()
	var out []happening
	for i, token := range strings.Fields(v.Ev) {
		rest, at, _ := strings.Cut(token, "@")
		at, arrival, late := strings.Cut(at, ">")
		h := happening{at: int64(math.Round(number(t, at) * 1e6)), id: fmt.Sprintf("n%d", i)}
		h.received = h.at
		if late {
			h.received = int64(math.Round(number(t, arrival) * 1e6))
		}
		switch {
		case rest == "!down":
			h.down = true
		case rest == "!up":
			h.up = true
		case strings.HasPrefix(rest, "!edit:"):
			h.edit = rest[len("!edit:"):]
		default:
			if before, id, ok := strings.Cut(rest, "#"); ok {
				rest, h.id = before, id
			}
			h.name, h.key, _ = strings.Cut(rest, "/")
		}
		out = append(out, h)
	}
	return out
}

func (h *happening) event() *event.Event {
	e := &event.Event{Name: h.name, MessageID: h.id, Source: "s", UserID: "u", Timestamp: h.at, ReceivedAt: h.received}
	if h.key != "" {
		e.Properties = fmt.Appendf(nil, `{"key":%q}`, h.key)
	}
	return e
}

// engine drives a State as the Decider does: dedup, timers, outages, and a
// restart (encode, decode) around every call.
type engine struct {
	t       testing.TB
	set     *trigger.Set
	st      trigger.State
	out     trigger.Result
	log     int64
	offset  uint64
	live    bool
	seen    map[[16]byte]bool
	stored  []byte
	restart bool

	sleepy   bool       // nobody wakes the user before the end
	coin     *rand.Rand // stored now and then
	restless *rand.Rand // woken in between
}

func newEngine(t testing.TB, live bool, programs ...*trigger.Program) *engine {
	return &engine{t: t, set: trigger.NewSet(programs), live: live, seen: map[[16]byte]bool{}, restart: true}
}

// timers wakes the user at each of its deadlines up to the log time.
func (e *engine) timers(until int64) {
	for {
		next := e.st.NextTimer()
		if next > until {
			break
		}
		e.log = max(e.log, next)
		e.set.Wake(&e.st, "u", &trigger.Input{LogTime: e.log, Live: e.live}, &e.out)
		e.again()
	}
	e.log = max(e.log, until)
}

func (e *engine) step(ev *event.Event) {
	key := event.KeyOf(ev.Source, ev.MessageID)
	if e.seen[key] {
		return
	}
	e.seen[key] = true
	if e.restless != nil && e.log < ev.ReceivedAt {
		e.log += e.restless.Int64N(ev.ReceivedAt - e.log)
		e.set.Wake(&e.st, "u", &trigger.Input{LogTime: e.log, Live: e.live}, &e.out)
	}
	e.log = max(e.log, ev.ReceivedAt)
	e.set.Step(&e.st, "u", &trigger.Input{
		Event: ev, Time: ev.Timestamp, LogTime: e.log, Offset: e.offset, Key: key, Live: e.live,
	}, &e.out)
	e.offset++
	e.again()
}

// again stores the state and loads it, as if the process had restarted.
func (e *engine) again() {
	if !e.restart || e.coin != nil && e.coin.IntN(3) > 0 {
		return
	}
	e.t.Helper()
	e.stored = e.set.Append(e.stored[:0], &e.st)
	next, timer := e.st.NextDeadline(), e.st.NextTimer()
	if err := e.set.Decode(e.stored, &e.st); err != nil {
		e.t.Fatalf("decode %x: %v", e.stored, err)
	}
	if back := e.set.Append(nil, &e.st); string(back) != string(e.stored) {
		e.t.Fatalf("decode and append %x: %x", e.stored, back)
	}
	if e.st.NextDeadline() != next || e.st.NextTimer() != timer {
		e.t.Fatalf("deadlines after decode: %d %d, before %d %d", e.st.NextDeadline(), e.st.NextTimer(), next, timer)
	}
}

// fired is what the vectors say of the firings: their times, or time/key.
func fired(fs []trigger.Firing) []string {
	fs = slices.Clone(fs)
	slices.SortStableFunc(fs, func(a, b trigger.Firing) int { return cmp.Compare(a.At, b.At) })
	out := []string{}
	for _, f := range fs {
		s := strconv.FormatFloat(float64(f.At)/1e6, 'f', -1, 64)
		if f.Key != "" {
			s += "/" + f.Key
		}
		out = append(out, s)
	}
	return out
}

func (v *vector) want() []string {
	out := []string{}
	for _, f := range v.Fire {
		out = append(out, fmt.Sprint(f))
	}
	return out
}

func compile(t testing.TB, d *trigger.Definition) *trigger.Program {
	t.Helper()
	p, err := trigger.Compile(d)
	if err != nil {
		t.Fatalf("%+v: %v", d, err)
	}
	return p
}

func TestVectors(t *testing.T) {
	for _, v := range readVectors(t) {
		t.Run(v.ID, func(t *testing.T) {
			events := v.events(t)
			for _, live := range []bool{false, true} {
				program := compile(t, v.definition(t))
				e := newEngine(t, live, program)
				down := false
				for i := range events {
					switch h := &events[i]; {
					case h.down:
						e.timers(h.at)
						down = true
					case h.up:
						down = false
						e.log = max(e.log, h.at) // timers are found late
					case h.edit != "":
						e.timers(h.at)
						edited := v
						edited.P = h.edit
						before := program
						program = compile(t, edited.definition(t))
						e.set = trigger.NewSet([]*trigger.Program{program}, before)
					default:
						if !down {
							e.timers(h.received)
						}
						e.step(h.event())
					}
				}
				e.timers(math.MaxInt64 / 4)
				if diff := gocmp.Diff(v.want(), fired(e.out.Firings)); diff != "" {
					t.Errorf("%s: %s within %v: %s: live %v: -want +got\n%s", v.Ref, v.P, v.Within, v.Ev, live, diff)
				}
			}
		})
	}
}
