package outward

import (
	"cmp"
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
	tolerated   = 5
	firstRest   = 5 * time.Second
	longestRest = 5 * time.Minute
)

// maxDestinations are remembered; how those fare that were asked for the longest
// time ago matters least, and who is well needs no memory.
const maxDestinations = 4096

// defaultInFlight attempts at one destination are made at the same time.
const defaultInFlight = 16

// Destinations are those that were tried of late, by name. Their methods may be
// called concurrently; the zero value is ready.
type Destinations struct {
	// InFlight is how many attempts at one are made at the same time; 0: 16.
	InFlight int

	mu     sync.Mutex
	byName map[string]*destination
}

// Enter lets an attempt at a destination through, or says when to come again:
// nothing was tried then. leave must follow, with how the attempt went.
func (d *Destinations) Enter(name string, now time.Time) (leave func(now time.Time, err error), err error) {
	return d.of(name).enter(now, cmp.Or(d.InFlight, defaultInFlight))
}

func (d *Destinations) of(name string) *destination {
	d.mu.Lock()
	defer d.mu.Unlock()
	to := d.byName[name]
	if to != nil {
		return to
	}
	if d.byName == nil {
		d.byName = map[string]*destination{}
	}
	if len(d.byName) >= maxDestinations {
		for other, o := range d.byName {
			if o.well() {
				delete(d.byName, other)
			}
		}
	}
	to = &destination{}
	d.byName[name] = to
	return to
}

// destination is how one server fares.
type destination struct {
	mu       sync.Mutex
	inFlight int
	failures int // in a row
	until    time.Time
	probing  bool // somebody finds out whether it is back
}

// well tells whether there is nothing to remember.
func (d *destination) well() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.inFlight == 0 && d.failures == 0
}

func (d *destination) enter(now time.Time, most int) (leave func(now time.Time, err error), err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case now.Before(d.until):
		return nil, later(fmt.Errorf("the destination failed %d times in a row and is left alone", d.failures), d.until.Sub(now))
	case d.failures >= tolerated && d.probing:
		return nil, later(errors.New("it is being found out whether the destination is back"), firstRest)
	case d.inFlight >= most:
		return nil, later(fmt.Errorf("%d attempts are under way", d.inFlight), time.Second)
	}
	d.inFlight++
	probe := d.failures >= tolerated
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
		if over := d.failures - tolerated; over >= 0 {
			d.until = now.Add(min(longestRest, firstRest<<min(over, 16)))
		}
	}, nil
}

func later(err error, after time.Duration) error {
	return &channel.Error{Class: channel.Temporary, Err: err, After: after, Untried: true}
}
