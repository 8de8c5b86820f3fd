// Package replay owns running triggers over recorded events without a server
// and without committing anything: order of arrival, then timers, then steps,
// the very engine of the Decider.
//
// It does not own the meaning of triggers (trigger), the form of the events
// (event) or where they come from.
package replay

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"heed/internal/event"
	"heed/internal/profile"
	"heed/internal/session"
	"heed/internal/trigger"
)

// maxLine bounds one line of the input: an event with room for its JSON.
const maxLine = 4 * event.MaxEventBytes

// horizon is how long an event id is remembered, in µs of log time.
const horizon = int64(7 * 24 * time.Hour / time.Microsecond)

// Config says what to run over what.
type Config struct {
	Programs []*trigger.Program
	// Events has one event a line as JSON, in order of arrival. Empty lines are
	// skipped.
	Events io.Reader
	// Until runs timers up to that time (µs since the epoch) after the last
	// event; 0: up to the last event.
	Until int64
	// InAudience, if set, tells whether a user is in an audience. Without it
	// every user is in all of them.
	InAudience func(user, audience string) bool
}

// Firing is a firing of one user.
type Firing struct {
	User string
	trigger.Firing
}

// Counts is what a run comes to.
type Counts struct {
	Events  int // read; repeats are among them
	Firings int
	Repeats int // dropped by source and message id
	trigger.Counts
}

// Run replays the events and emits the firings in order of their logical time;
// ties in order of user. Rules about age, that only protect live users, are
// ignored. A line that is no event ends the run with its number.
func Run(ctx context.Context, cfg Config, emit func(Firing) error) (Counts, error) {
	r := NewRunner(cfg.Programs, cfg.InAudience)
	var e event.Event
	lines := bufio.NewScanner(cfg.Events)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	n := 1
	for ; lines.Scan(); n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return r.Counts(), ctx.Err()
		}
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		if err := r.parse(line, &e); err != nil {
			return r.Counts(), fmt.Errorf("line %d: %w", n, err)
		}
		r.Event(&e)
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return r.Counts(), fmt.Errorf("line %d: is longer than %d bytes", n, maxLine)
	} else if err != nil {
		return r.Counts(), fmt.Errorf("read events: %w", err)
	}
	r.Until(max(r.now, cfg.Until))
	for _, f := range r.Firings() {
		if err := emit(f); err != nil {
			return r.Counts(), err
		}
	}
	return r.Counts(), nil
}

// parse reads a line and works out its times as the gateway does: event time is
// received - (sent - created), at most received.
func (r *Runner) parse(line []byte, e *event.Event) error {
	var st event.Stated
	r.reader.Reset(line)
	refused := r.reader.Event(e, &st)
	if err := r.reader.Scan.End(); err != nil {
		return err
	}
	switch {
	case refused != "":
		return refused
	case e.Name == "":
		return event.RefusedNoName
	case e.User() == "":
		return errors.New("has neither userId nor anonymousId")
	}
	if e.ReceivedAt == 0 {
		switch {
		case st.SentAt != 0:
			e.ReceivedAt = st.SentAt
		case st.Timestamp:
			e.ReceivedAt = e.Timestamp
		case r.now != math.MinInt64:
			e.ReceivedAt = r.now
		default:
			return errors.New("has neither receivedAt nor timestamp")
		}
	}
	switch {
	case !st.Timestamp:
		e.Timestamp = e.ReceivedAt
	case st.SentAt != 0:
		e.Timestamp += e.ReceivedAt - st.SentAt
	}
	e.Timestamp = min(e.Timestamp, e.ReceivedAt)
	return nil
}

// Runner replays events one by one. It is used by one goroutine.
type Runner struct {
	users   *Users
	reader  event.Reader
	now     int64 // log time
	offset  uint64
	in      trigger.Input
	firings []Firing
	counts  Counts
	tracker *session.Tracker
	swept   int64 // log time, µs
	// Ids seen in this horizon and the one before: of 7 to 14 days.
	seen, before map[[16]byte]int64
	turn         int64
	// Who is who: to whom an id moved, how many ids a user has, and the ids that
	// are of known users.
	moved  map[string]string
	linked map[string]int
	known  map[string]bool
}

// NewRunner makes a Runner that has seen nothing.
func NewRunner(programs []*trigger.Program, inAudience func(user, audience string) bool) *Runner {
	r := &Runner{
		now: math.MinInt64, tracker: session.NewTracker(math.MaxInt32), seen: map[[16]byte]int64{},
		moved: map[string]string{}, linked: map[string]int{}, known: map[string]bool{},
	}
	cfg := UsersConfig{Set: trigger.NewSet(programs), Traits: true, Take: r.take}
	if inAudience != nil {
		cfg.InAudience = func(user, audience string, _ []byte) bool { return inAudience(user, audience) }
	}
	r.users = NewUsers(cfg)
	return r
}

// Event takes the next event in order of arrival: timers that are due by its
// time of receipt run first. The event may be used again afterwards.
func (r *Runner) Event(e *event.Event) {
	r.counts.Events++
	offset := r.offset
	r.offset++
	received := e.ReceivedAt
	if received == 0 {
		received = e.Timestamp
	}
	r.now = max(r.now, received)
	key := event.KeyOf(e.Source, e.MessageID)
	if e.MessageID == "" {
		// No id, so no repeat either; its place identifies it.
		key = [16]byte{}
		binary.BigEndian.PutUint64(key[8:], offset+1)
	} else if r.repeats(key) {
		r.counts.Repeats++
		return
	}
	if e.User() == "" || e.Type == event.System {
		return
	}
	if session.Made(e) {
		return // it is made again
	}
	user := r.whose(e)
	r.begin(user, e, offset, key)
	r.in = trigger.Input{Time: e.Timestamp, LogTime: r.now, Offset: offset, Key: key}
	// What no trigger reads does not even move the user's clock, as in the Decider.
	r.users.EventOf(user, e, &r.in, r.users.cfg.Set.Relevant(e.Name), false)
}

// begin lets the session_start of an event act in front of it, if a session of
// the user begins with it.
func (r *Runner) begin(user string, e *event.Event, offset uint64, key [16]byte) {
	if !r.users.cfg.Set.Relevant(event.NameSessionStart) || !session.Activity(e) {
		return
	}
	if r.now-r.swept > session.Keep {
		r.tracker.Sweep(r.now)
		r.swept = r.now
	}
	who := session.UserOf(user)
	at, begins := r.tracker.See(&who, e.Timestamp, r.now)
	r.tracker.Commit()
	if !begins || e.Name == event.NameSessionStart {
		return
	}
	start := session.Start(user, e, key, at)
	r.in = trigger.Input{Time: at, LogTime: r.now, Offset: offset, Key: event.KeyOf(start.Source, start.MessageID)}
	r.users.EventOf(user, &start, &r.in, true, false)
}

// whose is the user whom an event counts for. An identify or alias links ids as
// it does in the Decider for who has the public key.
func (r *Runner) whose(e *event.Event) string {
	id := e.User()
	if e.UserID == "" {
		if to, moved := r.moved[id]; moved {
			return to
		}
		return id
	}
	if from, links := e.Links(); links && r.moved[from] == "" && !r.known[from] && r.linked[id] < profile.MaxAnonymousIDs {
		id = strings.Clone(id)
		r.moved[strings.Clone(from)] = id
		r.linked[id]++
		r.users.Link(from, id, r.now)
		src, dst := session.UserOf(from), session.UserOf(id)
		if seen, ok := r.tracker.Seen(&src, r.now); ok {
			r.tracker.Merge(&dst, seen, r.now)
		}
	}
	if !r.known[id] {
		id = strings.Clone(id)
		r.known[id] = true
		delete(r.moved, id) // it is nobody else's
	}
	return id
}

// repeats tells whether a key was seen within the horizon, and remembers it.
func (r *Runner) repeats(key [16]byte) bool {
	if r.now-r.turn > horizon {
		r.seen, r.before, r.turn = map[[16]byte]int64{}, r.seen, r.now
	}
	at, ok := r.seen[key]
	if !ok {
		at, ok = r.before[key]
	}
	if ok && r.now-at < horizon {
		return true
	}
	r.seen[key] = r.now
	return false
}

// Until moves log time on and runs the timers that are due by it.
func (r *Runner) Until(t int64) {
	r.now = max(r.now, t)
	r.users.Sweep(r.now, true)
}

func (r *Runner) take(user string, _ *event.Event, _ []byte, out *trigger.Result) {
	for _, f := range out.Firings {
		r.firings = append(r.firings, Firing{User: strings.Clone(user), Firing: f})
	}
	r.counts.Firings += len(out.Firings)
	r.counts.Add(out.Counts)
}

// Firings are those so far in order of their logical time, ties in order of
// user, those of a user as they happened.
func (r *Runner) Firings() []Firing {
	slices.SortStableFunc(r.firings, func(a, b Firing) int {
		return cmp.Or(cmp.Compare(a.At, b.At), strings.Compare(a.User, b.User))
	})
	return r.firings
}

// Counts is what the run has come to.
func (r *Runner) Counts() Counts { return r.counts }

// WriteFiring writes a firing as one line: trigger, user, at (RFC 3339 with µs),
// key and fire_id.
func WriteFiring(w io.Writer, f Firing) error {
	line, err := json.Marshal(struct {
		Trigger string `json:"trigger"`
		User    string `json:"user"`
		At      string `json:"at"`
		Key     string `json:"key"`
		FireID  string `json:"fire_id"`
	}{f.Program.Name, f.User, Time(f.At), f.Key, hex.EncodeToString(f.FireID[:])})
	if err != nil {
		return fmt.Errorf("encode firing: %w", err)
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// WriteCounts writes the counts as one line.
func WriteCounts(w io.Writer, c Counts) error {
	line, err := json.Marshal(struct {
		Events  int `json:"events"`
		Firings int `json:"firings"`
		Late    int `json:"late"`
		Stale   int `json:"stale"`
		Evicted int `json:"evicted"`
	}{c.Events, c.Firings, c.Late, c.Stale, c.Evicted})
	if err != nil {
		return fmt.Errorf("encode counts: %w", err)
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// Time is µs since the epoch as RFC 3339 with µs, in UTC.
func Time(micros int64) string {
	return time.UnixMicro(micros).UTC().Format("2006-01-02T15:04:05.000000Z")
}
