package sms_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"heed/internal/channel"
	"heed/internal/channel/outbox"
	"heed/internal/channel/sms"
	"heed/internal/channel/sms/smstest"
	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/driver/memory"
)

// patience is how long a test waits for what must happen.
const patience = smstest.Patience

// definitions are a set that can change.
type definitions struct {
	mu    sync.Mutex
	set   *definition.Set
	wakes []chan struct{}
}

func (d *definitions) Current() *definition.Set {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.set
}

func (d *definitions) Changed() (<-chan struct{}, func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	wake := make(chan struct{}, 1)
	d.wakes = append(d.wakes, wake)
	return wake, func() {}
}

func (d *definitions) define(list ...*definition.Channel) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.set = &definition.Set{Channels: map[string]*definition.Channel{}}
	for _, c := range list {
		d.set.Channels[c.Name] = c
	}
	for _, w := range d.wakes {
		select {
		case w <- struct{}{}:
		default:
		}
	}
}

// world is the channel with what it needs.
type world struct {
	*sms.Channel
	t        *testing.T
	store    documents.Store
	defs     *definitions
	feedback chan channel.Feedback
	now      time.Time

	mu     sync.Mutex
	refuse error // what Inbound answers

	metrics prometheus.Registerer // nil: none
}

func newWorld(t *testing.T, public string, list ...*definition.Channel) *world {
	t.Helper()
	w := &world{t: t, store: memory.Open(memory.Config{}).Documents(), defs: &definitions{}, feedback: make(chan channel.Feedback, 1000), now: time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)}
	w.defs.define(list...)
	w.Channel = w.open(public)
	return w
}

// open makes the channel anew on the same store, as after a restart.
func (w *world) open(public string) *sms.Channel {
	return sms.New(sms.Deps{
		Documents: w.store, Definitions: w.defs, Secret: []byte("secret"), PublicURL: public,
		Local: outbox.New(w.store), Now: w.clock, Logger: slog.New(slog.DiscardHandler), Registerer: w.metrics,
		Inbound: func(_ context.Context, f channel.Feedback) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.refuse == nil {
				w.feedback <- f
			}
			return w.refuse
		},
	})
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// run runs the channel until the test, or stop, ends.
func (w *world) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-done:
				if err != nil {
					w.t.Errorf("run: %v", err)
				}
			case <-time.After(patience):
				w.t.Error("the channel does not end")
			}
		})
	}
	w.t.Cleanup(stop)
	return stop
}

func (w *world) inbound(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refuse = err
}

// said is the next feedback.
func (w *world) said() channel.Feedback {
	w.t.Helper()
	select {
	case f := <-w.feedback:
		return f
	case <-time.After(patience):
		w.t.Fatal("there was no feedback")
		return channel.Feedback{}
	}
}

// silent checks that there is no more feedback.
func (w *world) silent() {
	w.t.Helper()
	select {
	case f := <-w.feedback:
		w.t.Errorf("feedback %+v", f)
	default:
	}
}

// send sends a text, again as long as the channel says that nothing was tried.
func (w *world) send(def *definition.Channel, id, to, body string) (channel.Receipt, error) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) { // as the Engager does
		ctx, cancel := context.WithTimeout(w.t.Context(), patience)
		r, err := w.Send(ctx, &channel.Delivery{ID: id, To: to, Body: body, Channel: def})
		cancel()
		e, ok := errors.AsType[*channel.Error](err)
		if !ok || !e.Untried || time.Now().After(deadline) {
			return r, err
		}
	}
}

// failure is the class of an error.
func failure(t *testing.T, err error) *channel.Error {
	t.Helper()
	e, ok := errors.AsType[*channel.Error](err)
	if !ok {
		t.Fatalf("%v has no class", err)
	}
	return e
}

// provider stands for Twilio on the wire.
type provider struct {
	*httptest.Server
	mu     sync.Mutex
	got    []*http.Request // with their forms parsed
	answer func(http.ResponseWriter)
}

func startProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		p.mu.Lock()
		p.got = append(p.got, r)
		answer := p.answer
		p.mu.Unlock()
		if answer != nil {
			answer(w)
			return
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"sid": "SM1", "status": "queued"}`)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) requests() []*http.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*http.Request(nil), p.got...)
}
