package app

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestServer: a server that does not answer, and one that takes too long, is told with
// the time since when, until it answers.
func TestServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var answer atomic.Pointer[func(context.Context) error]
		set := func(f func(context.Context) error) { answer.Store(&f) }
		set(func(context.Context) error { return nil })
		s := &server{name: "Kafka", ping: func(ctx context.Context) error { return (*answer.Load())(ctx) }}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.run(ctx) }()
		after := func(d time.Duration, want string) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if err := s.ready(); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("at %s: %v, want %q", time.Now().UTC().Format(time.TimeOnly), err, want)
			}
		}
		after(pingEvery, "")
		set(func(context.Context) error { return errors.New("it is cut off") })
		after(pingEvery, "Kafka has not answered since 00:00:04 UTC: it is cut off")
		set(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		after(pingEvery+pingTimeout, "since 00:00:04 UTC: context deadline exceeded")
		set(func(context.Context) error { return nil })
		after(pingTimeout, "") // one that takes too long is under way
		set(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		time.Sleep(pingEvery)
		synctest.Wait()
		stop()
		if err := <-ended; err != nil || s.ready() != nil {
			t.Errorf("ended with %v; the end is no failure of the server: %v", err, s.ready())
		}
	})
}
