// Package engager owns the way from an intent to a message: it turns intents
// into activations (an intent and a campaign), decides on each, renders, sends
// through a channel, and reports exactly one outcome per activation as an event.
// Its ledger keeps the visible effects of an activation to at most one. Only
// the Engager sends.
//
// It does not match events (decider), own the rules of the decision (policy),
// the language of templates (render) or the ways out (channel).
//
// # How an activation survives
//
// The first write of an activation puts its ledger entry together with a note
// in the collection of open activations; the note is removed once the outcome is
// durable in the log. A restart works off the open notes and then goes on in
// the stream of intents from a position that may be old: an intent whose
// activation has an entry is passed over. So every crash leaves either nothing
// of an activation, and the stream brings it again, or a note that finishes it.
//
//	entry       note     found after a crash means
//	(none)      (none)   not begun: the stream brings it again
//	sending     yes      sent or not: repeat on an idempotent channel, else Config.OnUnknown
//	pending     parked   not sent: decide anew when its time has come
//	pending     waiting  not sent: decide anew when quiet hours, a pause or a stop end
//	done etc.   yes      ended: report (again; the log drops repeats)
//	done etc.   (none)   ended and reported
package engager

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"heed/internal/channel"
	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/engager/halt"
	"heed/internal/eventlog"
	"heed/internal/inbox"
	"heed/internal/profile"
	"heed/internal/reach"
	"heed/internal/render"
	"heed/internal/share"
)

// Config is the settings of the Engager.
type Config struct {
	// Lanes is how many users of a partition are served at the same time.
	Lanes int `yaml:"lanes"`
	// SendTimeout bounds one attempt to send.
	SendTimeout time.Duration `yaml:"send_timeout"`
	// RenderTimeout bounds one rendering.
	RenderTimeout time.Duration `yaml:"render_timeout"`
	// Expires is how long web content without an expiry of its own is worth
	// sending and showing.
	Expires time.Duration `yaml:"expires"`
	// MaxAttempts bounds attempts on a channel that cannot be reached; Backoff
	// is the wait before the second one and doubles up to MaxBackoff.
	MaxAttempts int `yaml:"max_attempts"`
	// GiveUp is how long after its decision a delivery is tried at most.
	GiveUp     time.Duration `yaml:"give_up"`
	Backoff    time.Duration `yaml:"backoff"`
	MaxBackoff time.Duration `yaml:"max_backoff"`
	// OnUnknown says what becomes of an attempt that was interrupted on a
	// channel that is not idempotent: hold (at most once) or retry (at least
	// once).
	OnUnknown string `yaml:"on_unknown"`
	// ReportLinger is how long an outcome may wait for others to share a write
	// to the log, ReportBatch how many may.
	ReportLinger time.Duration `yaml:"report_linger"`
	ReportBatch  int           `yaml:"report_batch"`
	// HoldFor is how long after its time a delivery that a pause or a stop held
	// back is still worth sending, if its content does not say.
	HoldFor time.Duration `yaml:"hold_for"`
	// ScheduleGrace is how late a scheduled run may be made after an outage.
	ScheduleGrace time.Duration `yaml:"schedule_grace"`
	// Poll is how often retries, what waits, schedules and positions are looked
	// after.
	Poll time.Duration `yaml:"poll"`
	// JanitorEvery is how often expired messages are removed, LedgerKeep how
	// long the ledger remembers: longer than the log.
	JanitorEvery time.Duration `yaml:"janitor_every"`
	LedgerKeep   time.Duration `yaml:"ledger_keep"`
	// Grace is how long a shutdown waits for what is in flight.
	Grace time.Duration `yaml:"grace"`
}

// What Config.OnUnknown may say.
const (
	Hold  = "hold"
	Retry = "retry"
)

// Defaults fills what is not set.
func (c *Config) Defaults() {
	for _, n := range []struct {
		field *int
		value int
	}{{&c.Lanes, 4}, {&c.MaxAttempts, 10}, {&c.ReportBatch, 512}} {
		if *n.field == 0 {
			*n.field = n.value
		}
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.SendTimeout, 10 * time.Second},
		{&c.RenderTimeout, 100 * time.Millisecond},
		{&c.Expires, 5 * time.Minute},
		{&c.Backoff, time.Second},
		{&c.MaxBackoff, 5 * time.Minute},
		{&c.GiveUp, 24 * time.Hour},
		{&c.ReportLinger, 20 * time.Millisecond},
		{&c.Poll, 500 * time.Millisecond},
		{&c.HoldFor, 72 * time.Hour},
		{&c.ScheduleGrace, time.Hour},
		{&c.JanitorEvery, 30 * time.Second},
		{&c.LedgerKeep, 35 * 24 * time.Hour},
		{&c.Grace, 10 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if c.OnUnknown == "" {
		c.OnUnknown = Hold
	}
}

// Validate tells what cannot work.
func (c *Config) Validate() error {
	switch {
	case c.Lanes < 1 || c.Lanes > 256:
		return fmt.Errorf("lanes: %d is not from 1 to 256", c.Lanes)
	case c.MaxAttempts < 1 || c.MaxAttempts > 1000:
		return fmt.Errorf("max_attempts: %d is not from 1 to 1000", c.MaxAttempts)
	case c.ReportBatch < 1 || c.ReportBatch > 10_000:
		return fmt.Errorf("report_batch: %d is not from 1 to 10000", c.ReportBatch)
	case c.OnUnknown != Hold && c.OnUnknown != Retry:
		return fmt.Errorf("on_unknown: %q is not hold or retry", c.OnUnknown)
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"send_timeout", c.SendTimeout},
		{"render_timeout", c.RenderTimeout},
		{"expires", c.Expires},
		{"backoff", c.Backoff},
		{"max_backoff", c.MaxBackoff},
		{"give_up", c.GiveUp},
		{"report_linger", c.ReportLinger},
		{"poll", c.Poll},
		{"hold_for", c.HoldFor},
		{"schedule_grace", c.ScheduleGrace},
		{"janitor_every", c.JanitorEvery},
		{"ledger_keep", c.LedgerKeep},
		{"grace", c.Grace},
	} {
		if d.value <= 0 {
			return fmt.Errorf("%s: %v is not a length of time", d.name, d.value)
		}
	}
	return nil
}

// Definitions gives the definitions in force.
type Definitions interface{ Current() *definition.Set }

// Profiles reads what the Decider knows of a user.
type Profiles interface {
	// Profile is nil if nothing is known.
	Profile(ctx context.Context, user string) (*profile.Profile, error)
	// In tells whether the membership records have put the user into an audience.
	In(ctx context.Context, user, audience string) (bool, error)
}

// Pull looks up the user's document in a collection of the pull store: a JSON
// object, nil if there is none.
type Pull interface {
	Fields(ctx context.Context, collection, user string) ([]byte, error)
}

// Inbox is the part of the inbox that the Engager uses besides the web channel.
type Inbox interface {
	Settle(ctx context.Context, token string, s inbox.Settlement)
	Expire(ctx context.Context, now int64, limit int) (int, error)
}

// Book answers who can be reached at which address, and keeps what is needed when
// something comes back about a message: a reach.Book.
type Book interface {
	Ask(ctx context.Context, q *reach.Question) (reach.Answer, error)
	Writes(r reach.Record, to string) ([]documents.Write, error)
	Unsubscribe(l reach.Link, to string) string
	ConfirmLink(l reach.Link, to string, at int64) string
}

// Deps is what the Engager works with.
type Deps struct {
	Log         eventlog.Log
	Documents   documents.Store
	Inbox       Inbox
	Definitions Definitions
	Profiles    Profiles
	Book        Book
	Pull        Pull              // nil: templates pull nothing
	Channels    []channel.Channel // at most one of a type
	Share       share.Dealer      // nil: all partitions are this process's
	// Members lists who is in one of the audiences now (none: everybody), for
	// scheduled runs; nil: this process does not know.
	Members func(ctx context.Context, audiences []string) ([]string, error)
	// Zone is that of users whose own is not known, and of schedules that name
	// none; nil: UTC.
	Zone *time.Location
	// Secret of the installation: delivery ids are HMACs under it, and the
	// choice of who is held back is salted with it.
	Secret []byte

	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Clock      func() time.Time // nil: time.Now
}

// Engager is the role.
type Engager struct {
	cfg      Config
	deps     Deps
	channels map[string]channel.Channel
	salt     string
	log      *slog.Logger
	metrics  *metrics
	cache    *render.Cache
	reports  chan report

	planMu sync.Mutex
	plan   atomic.Pointer[plan]

	halt  *halt.Switch  // over all sending
	pace  *rate.Limiter // of what leaves after it had to wait
	zones sync.Map      // name -> *time.Location

	share      *share.Holder
	starting   atomic.Int32 // partitions that are not served yet
	recovering atomic.Int32 // those in which something of an earlier process is open
	fatal      atomic.Pointer[error]
}

// New makes the role.
func New(cfg Config, deps Deps) (*Engager, error) {
	cfg.Defaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("engager: %w", err)
	}
	if deps.Log == nil || deps.Documents == nil || deps.Inbox == nil || deps.Definitions == nil || deps.Profiles == nil || deps.Book == nil {
		return nil, errors.New("engager: a store is missing")
	}
	if len(deps.Secret) < 16 {
		return nil, errors.New("engager: the installation's secret must have at least 16 bytes")
	}
	if deps.Clock == nil {
		deps.Clock = time.Now
	}
	if deps.Zone == nil {
		deps.Zone = time.UTC
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	e := &Engager{
		cfg: cfg, deps: deps, channels: make(map[string]channel.Channel, len(deps.Channels)),
		salt: mac(deps.Secret, saltPurpose), log: deps.Logger, metrics: newMetrics(deps.Registerer),
		cache: render.NewCache(1024), reports: make(chan report, 4*cfg.ReportBatch),
		pace: rate.NewLimiter(definition.DefaultRelease, 1),
	}
	e.halt = halt.New(deps.Documents, e.log, e.now)
	for _, c := range deps.Channels {
		if _, doubled := e.channels[c.Type()]; doubled {
			return nil, fmt.Errorf("engager: two channels of type %s", c.Type())
		}
		e.channels[c.Type()] = c
	}
	e.share = share.New(deps.Share, "engager", deps.Log.Partitions())
	return e, nil
}

// Ready tells whether all partitions that are this process's are served.
func (e *Engager) Ready() error {
	if err := e.fatal.Load(); err != nil {
		return *err
	}
	if _, dealt := e.share.Own(); !dealt {
		return errors.New("engager: it is not known yet which partitions are this process's")
	}
	if n := e.starting.Load(); n > 0 {
		return fmt.Errorf("engager: %d partitions are starting", n)
	}
	return nil
}

// Run serves all partitions until ctx ends; then it finishes what is in flight
// and returns nil. Another error means that it cannot go on.
func (e *Engager) Run(ctx context.Context) error {
	soft, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	// hard outlives soft by the grace: what is in flight may still end.
	hard, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	defer context.AfterFunc(soft, func() { time.AfterFunc(e.cfg.Grace, kill) })()

	// Nothing is sent before it is known whether anything may be.
	if !e.insist(soft, "read whether sending is stopped", func() error { return e.halt.Read(soft) }) {
		return nil
	}
	var others sync.WaitGroup
	others.Go(func() { e.reporter(hard) })
	others.Go(func() { e.halt.Follow(soft) })
	err := e.share.Run(soft, func(soft context.Context, partition int) error { return e.serve(soft, hard, partition) })
	if err != nil && ctx.Err() == nil {
		e.fatal.CompareAndSwap(nil, &err)
		stop(err)
	}
	close(e.reports) // nobody sends any more
	others.Wait()
	if err := e.fatal.Load(); err != nil {
		return *err
	}
	return nil
}

// serve serves a partition until soft ends, and finishes within the grace what is
// in flight. What is to be done once in the installation is done where the first
// partition is.
func (e *Engager) serve(soft, hard context.Context, partition int) error {
	hard, kill := context.WithCancel(hard)
	defer kill()
	defer context.AfterFunc(soft, func() { time.AfterFunc(e.cfg.Grace, kill) })()
	e.starting.Add(1)
	e.recovering.Add(1)
	served, recovered := sync.OnceFunc(func() { e.starting.Add(-1) }), sync.OnceFunc(func() { e.recovering.Add(-1) })
	defer served()
	var once sync.WaitGroup
	defer once.Wait()
	soft, stop := context.WithCancel(soft)
	defer stop()
	if partition == 0 {
		for _, do := range []func(context.Context){e.janitor, e.orders, e.schedules} {
			once.Go(func() { do(soft) })
		}
	}
	if err := newWorker(e, partition).run(soft, hard, served, recovered); err != nil && soft.Err() == nil {
		e.log.Error("engager stops", "partition", partition, "error", err)
		return fmt.Errorf("engager: partition %d: %w", partition, err)
	}
	return nil
}

// afterlife is how long a message stays when it has expired.
const afterlife = time.Hour

// janitor removes what is not needed any more, but no messages while something
// that a crash interrupted is open here, nor soon, as it may be elsewhere: until
// then an expired one tells that its delivery had been made.
func (e *Engager) janitor(ctx context.Context) {
	ledger := time.NewTicker(time.Hour)
	defer ledger.Stop()
	messages := time.NewTicker(e.cfg.JanitorEvery)
	defer messages.Stop()
	const limit = 1000
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-messages.C:
			if e.recovering.Load() > 0 {
				continue
			}
			for n := limit; n == limit && err == nil; {
				n, err = e.deps.Inbox.Expire(ctx, e.now()-afterlife.Microseconds(), limit)
			}
			if err == nil {
				err = e.expireTrials(ctx)
			}
		case <-ledger.C:
			_, err = e.ExpireLedger(ctx, e.deps.Clock().Add(-e.cfg.LedgerKeep))
			if err == nil {
				_, err = e.ExpireCaps(ctx, e.deps.Clock().Add(-max(e.cfg.LedgerKeep, e.longestCap())))
			}
			if err == nil {
				_, err = e.ExpireGoals(ctx, e.deps.Clock().Add(-e.cfg.LedgerKeep))
			}
			if err == nil {
				_, err = e.ExpireStandings(ctx)
			}
		}
		if err != nil && ctx.Err() == nil {
			e.log.Warn("engager cannot tidy up", "error", err)
		}
	}
}

// longestCap is the longest period that a cap counts over.
func (e *Engager) longestCap() (longest time.Duration) {
	set := e.deps.Definitions.Current()
	add := func(k *definition.Cap) {
		if k != nil {
			longest = max(longest, k.Per.Duration())
		}
	}
	for _, c := range set.Campaigns {
		add(c.Limits.Cap)
	}
	for _, ch := range set.Channels {
		add(ch.Cap)
	}
	if set.Sending != nil {
		add(set.Sending.Cap)
	}
	return longest
}

// now is the clock in µs.
func (e *Engager) now() int64 { return e.deps.Clock().UnixMicro() }

// wait pauses before another try; it is false once ctx is over.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
