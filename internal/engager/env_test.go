package engager_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"heed/internal/channel"
	"heed/internal/channel/outbox"
	"heed/internal/channel/web"
	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/driver/memory"
	"heed/internal/engager"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/inbox"
	"heed/internal/profile"
	"heed/internal/reach"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type profiles map[string]*profile.Profile

func (p profiles) Profile(_ context.Context, user string) (*profile.Profile, error) {
	return p[user], nil
}

// members are users with an audience that records have put them into.
type members map[string][]string

// known is what the Decider would know.
type known struct {
	profiles
	members
}

func (k known) In(_ context.Context, user, audience string) (bool, error) {
	return slices.Contains(k.members[user], audience), nil
}

// scripted is a channel that answers as told, and remembers what it was asked.
type scripted struct {
	mu         sync.Mutex
	kind       string // its type
	idempotent bool
	answers    []error // nil when they are used up
	seen       []channel.Delivery
}

func (s *scripted) Type() string     { return s.kind }
func (s *scripted) Idempotent() bool { return s.idempotent }

func (s *scripted) Send(_ context.Context, d *channel.Delivery) (channel.Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, *d)
	if len(s.answers) == 0 {
		return channel.Receipt{Fresh: true}, nil
	}
	err := s.answers[0]
	s.answers = s.answers[1:]
	return channel.Receipt{}, err
}

// stores is a driver's.
type stores interface {
	Log() eventlog.Log
	Inbox() inbox.Inbox
	Documents() documents.Store
}

// env is an Engager on a driver, the memory one if nothing else is said.
type env struct {
	t     testing.TB
	db    stores
	set   *definition.Set
	cfg   engager.Config
	users profiles
	in    members
	sms   *scripted
	fires int
	defs  *revised
	list  func(context.Context, []string) ([]string, error) // who is in audiences
	clock func() time.Time                                  // nil: the machine's
	e     *engager.Engager
	book  *reach.Book
	stop  func()
}

func newEnv(t testing.TB) *env {
	var cfg engager.Config
	cfg.Backoff, cfg.Poll, cfg.ReportLinger, cfg.Grace = time.Millisecond, 2*time.Millisecond, time.Millisecond, time.Second
	return &env{
		t: t, db: memory.Open(memory.Config{}), cfg: cfg, sms: &scripted{kind: "script"}, users: profiles{}, in: members{},
		set: &definition.Set{
			Revision: 1, Audiences: map[string]*definition.Audience{}, Templates: map[string]*definition.Template{}, Campaigns: map[string]*definition.Campaign{},
			Channels: map[string]*definition.Channel{"sms": {Name: "sms", Type: "script"}, "web": {Name: "web", Type: "web"}, "outbox": {Name: "outbox", Type: "outbox"}},
		},
	}
}

// campaign adds a live campaign on trigger "t" with a template of its own.
func (v *env) campaign(name, ch, body string, change ...func(*definition.Campaign, *definition.Template)) {
	tpl := &definition.Template{Name: name, Channel: ch, Text: definition.Text{Body: body}}
	c := &definition.Campaign{
		Name: name, When: definition.When{Trigger: "t"}, Status: definition.Live,
		What: []definition.Variant{{Channel: ch, Template: name}}, Limits: definition.CampaignLimits{Holdout: "0%"},
	}
	for _, f := range change {
		f(c, tpl)
	}
	v.set.Templates[name], v.set.Campaigns[name] = tpl, c
}

func (v *env) start() {
	v.t.Helper()
	v.defs = &revised{}
	v.defs.set.Store(v.set)
	book, err := reach.New(reach.Deps{
		Documents: v.db.Documents(), Log: v.db.Log(), Secret: []byte(secret), PublicURL: "https://heed.shop.example", Definitions: v.defs, Clock: time.Now,
	})
	if err != nil {
		v.t.Fatal(err)
	}
	v.book = book
	e, err := engager.New(v.cfg, engager.Deps{
		Book: book, Log: v.db.Log(), Documents: v.db.Documents(), Inbox: v.db.Inbox(), Definitions: v.defs, Members: v.list, Clock: v.clock, Profiles: known{v.users, v.in},
		Channels:   []channel.Channel{web.New(v.db.Inbox()), outbox.New(v.db.Documents()), v.sms},
		Secret:     []byte(secret),
		Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		v.t.Fatal(err)
	}
	v.e = e
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	v.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			v.t.Errorf("run: %v", err)
		}
	})
	v.t.Cleanup(func() { v.stop() })
}

// fire appends an event and an intent that it completes.
func (v *env) fire(user string, change ...func(*event.Intent)) event.Intent {
	v.t.Helper()
	in := v.prepare(user, change...)
	v.intent(in)
	return in
}

func (v *env) prepare(user string, change ...func(*event.Intent)) event.Intent {
	v.t.Helper()
	v.fires++
	e := event.Event{
		MessageID: fmt.Sprintf("m%d", v.fires), Name: "win", UserID: user, AnonymousID: "anon", Source: "shop", Timestamp: v.now().UnixMicro(),
		Properties: []byte(`{"product":"<Bike>"}`), Context: event.Context{Page: event.PageContext{Path: "/game"}},
	}
	data := event.AppendEvent(nil, &e)
	b := &eventlog.Batch{
		Partition: eventlog.PartitionOf(user, v.db.Log().Partitions()), Data: data, Ends: []int{len(data)},
		Keys: []eventlog.Key{eventlog.Key(event.KeyOf(e.Source, e.MessageID))},
	}
	v.append(eventlog.Events, b)
	in := event.Intent{FireID: fmt.Sprintf("%032x", v.fires), User: user, Trigger: "t", At: e.Timestamp, Offset: b.Base, CauseID: e.MessageID}
	for _, f := range change {
		f(&in)
	}
	return in
}

func (v *env) intent(in event.Intent) {
	v.t.Helper()
	data := event.AppendIntent(nil, &in)
	v.append(eventlog.Intents, &eventlog.Batch{
		Partition: eventlog.PartitionOf(in.User, v.db.Log().Partitions()), Data: data, Ends: []int{len(data)},
	})
}

func (v *env) append(s eventlog.Stream, b *eventlog.Batch) {
	v.t.Helper()
	for {
		err := v.db.Log().Append(v.t.Context(), s, []*eventlog.Batch{b})
		if err == nil {
			return
		}
		if s == eventlog.Intents || !errors.Is(err, eventlog.ErrUnavailable) {
			v.t.Fatal(err)
		}
	}
}

type outcome struct {
	Status, Reason, Campaign, Template, Locale, Channel, Delivery, Activation, Fire, Trigger, Cause, Detail string
	Variant, Attempts                                                                                       int
	Missing                                                                                                 []string
	Test                                                                                                    bool
	event                                                                                                   event.Event
}

// outcomes waits for n outcomes of a user.
func (v *env) outcomes(user string, n int) []outcome {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), 10*time.Second)
	defer cancel()
	r, err := v.db.Log().Read(ctx, eventlog.Events, eventlog.PartitionOf(user, v.db.Log().Partitions()), 0)
	if err != nil {
		v.t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	var out []outcome
	for len(out) < n {
		c, err := r.Next(ctx)
		if err != nil {
			v.t.Fatalf("%d of %d outcomes: %v", len(out), n, err)
		}
		out = append(out, outcomesIn(v.t, c.Data, user)...)
	}
	return out
}

// outcomesIn decodes those among events, of one user or ("") of all.
func outcomesIn(t testing.TB, data []byte, user string) (out []outcome) {
	t.Helper()
	d := event.NewDecoder(data)
	for {
		var o outcome
		if ok, err := d.Next(&o.event); err != nil || !ok {
			return out
		}
		if o.event.Name != event.NameDelivery || user != "" && o.event.User() != user {
			continue
		}
		if err := json.Unmarshal(o.event.Properties, &o); err != nil {
			t.Fatal(err)
		}
		out = append(out, o)
	}
}

// one fires for a user and gives the only outcome.
func (v *env) one(user string, change ...func(*event.Intent)) outcome {
	v.t.Helper()
	v.fire(user, change...)
	return v.outcomes(user, 1)[0]
}
