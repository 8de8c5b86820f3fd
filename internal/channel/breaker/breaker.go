// Package breaker owns the leaving alone of destinations that fail: one that
// failed often in a row is given a rest, then one attempt finds out whether it is
// back. It also bounds the attempts that are under way at one destination, so
// that a slow one holds nobody else up.
//
// It does not own the attempts (the channels) or when they are made again
// (engager).
package breaker

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"heed/internal/channel"
)

// A destination that failed so often in a row is left alone, at first for so
// long and each time twice as long, up to the longest; then one attempt tells
// whether it is back.
const (
	Tolerated   = 5
	FirstRest   = 5 * time.Second
	LongestRest = 5 * time.Minute
)

// Destinations are those that were tried of late, by name. All methods may be
// called concurrently.
type Destinations struct {
	maxInFlight int
	mu          sync.Mutex
	byName      map[string]*Destination
}

// New makes them; at most maxInFlight attempts are under way at each.
func New(maxInFlight int) *Destinations {
	return &Destinations{maxInFlight: maxInFlight, byName: make(map[string]*Destination)}
}

// Of gives the destination of a name.
func (d *Destinations) Of(name string) *Destination {
	d.mu.Lock()
	defer d.mu.Unlock()
	to := d.byName[name]
	if to == nil {
		to = &Destination{maxInFlight: d.maxInFlight}
		d.byName[name] = to
	}
	return to
}

// Destination is how one server fares.
type Destination struct {
	maxInFlight int
	mu          sync.Mutex
	inFlight    int
	failures    int // in a row
	until       time.Time
	probing     bool // somebody finds out whether it is back
}

// Enter lets an attempt through, or says when to come again: nothing was tried
// then. leave must follow, with what came of the attempt: an answer, even a
// permanent no, says that the destination is there.
func (d *Destination) Enter(now time.Time) (leave func(now time.Time, err error), err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case now.Before(d.until):
		return nil, later(fmt.Errorf("the destination failed %d times in a row and is left alone", d.failures), d.until.Sub(now))
	case d.failures >= Tolerated && d.probing:
		return nil, later(errors.New("it is being found out whether the destination is back"), FirstRest)
	case d.inFlight >= d.maxInFlight:
		return nil, later(fmt.Errorf("%d attempts are under way", d.inFlight), time.Second)
	}
	d.inFlight++
	probe := d.failures >= Tolerated
	d.probing = d.probing || probe
	return func(now time.Time, err error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.inFlight--
		if probe {
			d.probing = false
		}
		if err == nil || channel.Class(err) == channel.Permanent { // it answers
			d.failures, d.until = 0, time.Time{}
			return
		}
		d.failures++
		if over := d.failures - Tolerated; over >= 0 {
			d.until = now.Add(min(LongestRest, FirstRest<<min(over, 16)))
		}
	}, nil
}

func later(err error, after time.Duration) error {
	return &channel.Error{Class: channel.Temporary, Err: err, After: after, Untried: true}
}
