package app

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// How often the servers are asked whether they answer, and how long they may take.
const (
	pingEvery   = 2 * time.Second
	pingTimeout = 3 * time.Second
)

// server is one of those that the process stands on. It is asked now and then, so
// that a process that was cut off from it says so even if it has nothing to do.
type server struct {
	part string // of the process
	name string // for people
	ping func(context.Context) error

	mu    sync.Mutex
	err   error
	since time.Time // of err
}

// run asks until ctx ends.
func (s *server) run(ctx context.Context) error {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		short, cancel := context.WithTimeout(ctx, pingTimeout)
		err := s.ping(short)
		cancel()
		if ctx.Err() == nil {
			s.note(err, time.Now())
		}
	}
}

func (s *server) note(err error, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.since = now
	}
	s.err = err
}

// ready tells why the server does not answer.
func (s *server) ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		return nil
	}
	return fmt.Errorf("%s has not answered since %s: %w", s.name, s.since.UTC().Format("15:04:05 MST"), s.err)
}
