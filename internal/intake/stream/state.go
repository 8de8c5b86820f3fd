package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"heed/internal/console/api"
	"heed/internal/definition"
	"heed/internal/documents"
)

// collStates holds how streams fare, by name; all processes that read a stream
// add to one document.
const collStates = "stream_states"

const (
	reportEvery = time.Second
	lagEvery    = 5 * time.Second
)

// state is such a document. Times are µs since the Unix epoch.
type state struct {
	Taken  int64 `json:"taken"`
	Bad    int64 `json:"bad"`
	Empty  int64 `json:"empty"`
	Last   int64 `json:"last,omitempty"` // when the newest message was written there
	Minute int64 `json:"minute"`         // the newest in which something was read
	Read   int64 `json:"read"`           // in it
	Before int64 `json:"before"`         // in the one before it
	Lag    int64 `json:"lag"`
	LagAt  int64 `json:"lagAt,omitempty"`
	// Readers are the processes that read it: each has its own trouble, and none may
	// hide another's.
	Readers []account `json:"readers,omitempty"`
}

// account is what a process last said of itself.
type account struct {
	Process string `json:"process"`
	At      int64  `json:"at"`
	Error   string `json:"error,omitempty"`
	Since   int64  `json:"since,omitempty"` // of the error
}

// A process that has said nothing for so long does not read any more.
const silentFor = 6 * lagEvery

// present leaves out who is silent.
func (s *state) present(now time.Time) {
	s.Readers = slices.DeleteFunc(s.Readers, func(a account) bool { return now.UnixMicro()-a.At > silentFor.Microseconds() })
}

// trouble sums up what is wrong: the oldest trouble, and how many of the processes
// have one if others work.
func (s *state) trouble() (text string, since int64) {
	troubled := 0
	for _, a := range s.Readers {
		if a.Error == "" {
			continue
		}
		if troubled++; text == "" || a.Since < since {
			text, since = a.Error, a.Since
			if a.Process != "" {
				text = a.Process + ": " + text
			}
		}
	}
	if n := len(s.Readers); troubled > 0 && troubled < n {
		text = fmt.Sprintf("%d of %d processes that read it have trouble, the others go on; %s", troubled, n, text)
	}
	return text, since
}

// outcome is what became of a message.
type outcome int

const (
	taken outcome = iota
	refused
	empty
)

func (o outcome) String() string { return [...]string{"taken", "bad", "empty"}[o] }

// stage is where a stream can be in trouble.
type stage int

const (
	working   stage = iota // on what was read
	reading                // from the brokers
	measuring              // how far behind it is
	stages
)

// tally is what was not yet added to the document. It may be used concurrently.
type tally struct {
	mu       sync.Mutex
	dirty    bool
	counts   [3]int64
	last     int64
	lag      int64
	lagAt    int64
	troubles [stages]string
	since    [stages]int64
}

// read notes that records were read.
func (t *tally) read(records []*kgo.Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dirty = true
	for _, r := range records {
		t.last = max(t.last, r.Timestamp.UnixMicro())
	}
}

// alive has the process say again how it fares.
func (r *reader) alive() {
	r.tally.mu.Lock()
	defer r.tally.mu.Unlock()
	r.tally.dirty = true
}

func (r *reader) count(o outcome) {
	r.s.messages.WithLabelValues(r.name, o.String()).Inc()
	r.tally.mu.Lock()
	defer r.tally.mu.Unlock()
	r.tally.counts[o]++
	r.tally.dirty = true
}

// trouble notes why a stage does not get on; nil: it does.
func (r *reader) trouble(at stage, err error) {
	text := ""
	if err != nil {
		text = inWords(err)
	}
	t := &r.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.troubles[at] == text {
		return
	}
	t.troubles[at], t.since[at], t.dirty = text, r.s.deps.Clock().UnixMicro(), true
	if text != "" {
		r.log.Warn("a stream waits", "error", text)
	}
}

// report keeps the document and the lag up to date, until ctx ends.
func (r *reader) report(ctx context.Context) {
	var client *kgo.Client
	defer func() {
		if client != nil {
			client.Close()
		}
	}()
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	asked := time.Time{}
	for {
		if now := r.s.deps.Clock(); now.Sub(asked) >= lagEvery {
			asked = now
			err := error(nil)
			if client == nil {
				client, err = ask(&r.definition.Load().Kafka, r.log)
			}
			if err == nil {
				err = r.measure(ctx, client)
			}
			if ctx.Err() == nil {
				r.trouble(measuring, err)
				r.alive()
			}
		}
		if err := r.save(ctx, false); err != nil && ctx.Err() == nil {
			r.log.Info("how a stream fares cannot be kept", "error", err)
		}
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), reportEvery)
			defer cancel()
			_ = r.save(last, true) // what is missing are counts
			return
		case <-tick.C:
		}
	}
}

// measure asks how far behind the group is.
func (r *reader) measure(ctx context.Context, client *kgo.Client) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	d := r.definition.Load()
	lag, err := lagOf(ctx, kadm.NewClient(client), d.Topic, r.s.group(d))
	if err != nil {
		return err
	}
	r.s.lag.WithLabelValues(r.name).Set(float64(lag))
	r.tally.mu.Lock()
	defer r.tally.mu.Unlock()
	r.tally.lag, r.tally.lagAt, r.tally.dirty = lag, r.s.deps.Clock().UnixMicro(), true
	return nil
}

// lagOf is how many messages of a topic are behind a group's position.
func lagOf(ctx context.Context, admin *kadm.Client, topic, group string) (int64, error) {
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("topic %q: %w", topic, err)
	}
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("topic %q: %w", topic, err)
	}
	at, err := admin.FetchOffsets(ctx, group)
	if err != nil {
		return 0, fmt.Errorf("the position of group %q: %w", group, err)
	}
	var lag int64
	for p, end := range ends[topic] {
		from := starts[topic][p].Offset
		if placed, ok := at.Lookup(topic, p); ok {
			from = max(from, placed.At)
		}
		lag += max(0, end.Offset-from)
	}
	return lag, nil
}

// save adds what is new to the document. Who is leaving has no trouble any more.
func (r *reader) save(ctx context.Context, leaving bool) error {
	t := &r.tally
	now := r.s.deps.Clock()
	t.mu.Lock()
	if !t.dirty && !leaving {
		t.mu.Unlock()
		return nil
	}
	counts, last, lag, lagAt := t.counts, t.last, t.lag, t.lagAt
	trouble, since := "", int64(0)
	for at := working; at < stages && trouble == ""; at++ {
		trouble, since = t.troubles[at], t.since[at]
	}
	t.counts, t.dirty = [3]int64{}, false
	t.mu.Unlock()

	minute := now.Unix() / 60
	err := change(ctx, r.s.deps.Documents, r.name, func(s *state) {
		read := counts[taken] + counts[refused] + counts[empty]
		s.Taken, s.Bad, s.Empty = s.Taken+counts[taken], s.Bad+counts[refused], s.Empty+counts[empty]
		s.Last = max(s.Last, last)
		s.turn(minute)
		s.Read += read
		if lagAt > s.LagAt {
			s.Lag, s.LagAt = lag, lagAt
		}
		s.present(now)
		own := account{Process: r.s.deps.Process, At: now.UnixMicro(), Error: trouble, Since: since}
		if trouble == "" {
			own.Since = 0 // since when all is well does not matter
		}
		s.Readers = slices.DeleteFunc(s.Readers, func(a account) bool { return a.Process == own.Process })
		if !leaving {
			s.Readers = append(s.Readers, own)
		}
	})
	if err != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		for i := range counts {
			t.counts[i] += counts[i]
		}
		t.dirty = true
	}
	return err
}

// turn begins a minute.
func (s *state) turn(minute int64) {
	switch {
	case minute <= s.Minute:
		return
	case minute == s.Minute+1:
		s.Before = s.Read
	default:
		s.Before = 0
	}
	s.Minute, s.Read = minute, 0
}

// change reads, changes and writes the state of a stream.
func change(ctx context.Context, store documents.Store, name string, do func(*state)) error {
	for {
		var s state
		version := documents.Absent
		d, err := store.Get(ctx, collStates, name)
		if err == nil {
			version, err = d.Version, json.Unmarshal(d.Value, &s)
		} else if errors.Is(err, documents.ErrNotFound) {
			err = nil
		}
		if err != nil {
			return fmt.Errorf("state of stream %s: %w", name, err)
		}
		do(&s)
		value, err := json.Marshal(&s)
		if err == nil {
			err = store.Apply(ctx, documents.Relaxed, documents.Write{Collection: collStates, Key: name, Value: value, Expect: version})
		}
		if !errors.Is(err, documents.ErrConflict) {
			return err
		}
	}
}

// forget removes the states of streams that are not defined any more.
func (s *Streams) forget(ctx context.Context, set *definition.Set) {
	docs, err := s.deps.Documents.List(ctx, documents.Query{Collection: collStates})
	if err != nil {
		return // another time
	}
	for _, d := range docs {
		if set.Streams[d.Key] == nil {
			_ = s.deps.Documents.Apply(ctx, documents.Relaxed, documents.Write{Collection: collStates, Key: d.Key, Expect: documents.Any})
			s.lag.DeleteLabelValues(d.Key)
			s.messages.DeletePartialMatch(map[string]string{"stream": d.Key})
		}
	}
}

// States tells how the streams of a set fare, whichever processes read them.
func States(ctx context.Context, store documents.Store, set *definition.Set, now time.Time) ([]api.StreamState, error) {
	out := []api.StreamState{}
	for _, doc := range set.Documents() {
		d, ok := doc.Spec.(*definition.Stream)
		if !ok {
			continue
		}
		var s state
		kept, err := store.Get(ctx, collStates, d.Name)
		if err == nil {
			err = json.Unmarshal(kept.Value, &s)
		}
		if err != nil && !errors.Is(err, documents.ErrNotFound) {
			return nil, fmt.Errorf("state of stream %s: %w", d.Name, err)
		}
		s.turn(now.Unix() / 60)
		shown := api.StreamState{
			Name: d.Name, Topic: d.Topic, Paused: d.Paused, Taken: s.Taken, Bad: s.Bad, Empty: s.Empty,
			LastMessageAt: api.Time(s.Last), PerMinute: s.Before, Lag: s.Lag, LagAt: api.Time(s.LagAt),
		}
		if !d.Paused {
			s.present(now)
			text, since := s.trouble()
			shown.Error, shown.ErrorAt = text, api.Time(since)
		}
		out = append(out, shown)
	}
	return out, nil
}
