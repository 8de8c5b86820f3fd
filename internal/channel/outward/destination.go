package outward

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
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
	longestRest = 5 * time.Minute
)

// maxDestinations are remembered; how those fare that were asked for the longest
// time ago matters least, and who is well needs no memory.
const maxDestinations = 4096

// defaultInFlight attempts at one destination are made at the same time.
const defaultInFlight = 16

// Destinations are those that were tried of late. Their methods may be
// called concurrently; the zero value is ready.
type Destinations struct {
	// InFlight is how many attempts at one are made at the same time; 0: 16.
	InFlight int

	mu  sync.Mutex
	all map[route]*destination
}

// route is how a channel reaches a destination: others may reach it with another
// account, and fare better.
type route struct{ channel, address string }

// Enter lets an attempt of a channel at an address through, or says when to come
// again: nothing was tried then. leave must follow, with how the attempt went.
func (d *Destinations) Enter(channel, address string, now time.Time) (leave func(now time.Time, err error), err error) {
	return d.of(route{channel, address}).enter(now, cmp.Or(d.InFlight, defaultInFlight))
}

func (d *Destinations) of(r route) *destination {
	d.mu.Lock()
	defer d.mu.Unlock()
	to := d.all[r]
	if to != nil {
		return to
	}
	if d.all == nil {
		d.all = map[route]*destination{}
	}
	if len(d.all) >= maxDestinations {
		for other, o := range d.all {
			if o.well() {
				delete(d.all, other)
			}
		}
	}
	to = &destination{}
	d.all[r] = to
	return to
}

// Outages are the destinations that are left alone, or were until a moment ago:
// one that nobody has tried since then may be back, or be no address of the
// channel any more. They come in no order.
func (d *Destinations) Outages(now time.Time) []channel.Outage {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []channel.Outage
	for r, to := range d.all {
		if o, failing := to.outage(now); failing {
			o.Channel, o.Destination = r.channel, hostOf(r.address)
			out = append(out, o)
		}
	}
	return out
}

// hostOf is all that is told of an address: the rest of it may be a secret.
func hostOf(address string) string {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		return u.Host
	}
	return address
}

// destination is how one server fares.
type destination struct {
	mu       sync.Mutex
	inFlight int
	failures int // in a row
	since    time.Time
	last     error
	until    time.Time
	probing  bool // somebody finds out whether it is back
}

func (d *destination) outage(now time.Time) (o channel.Outage, failing bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failures < Tolerated || now.After(d.until.Add(longestRest)) {
		return channel.Outage{}, false
	}
	return channel.Outage{Since: d.since, Failures: d.failures, Reason: reasonOf(d.last)}, true
}

// reasonOf is an error without its class, and without the address that the
// request was for.
func reasonOf(err error) string {
	if c, ok := errors.AsType[*channel.Error](err); ok {
		err = c.Err
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return err.Error()
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
	case d.failures >= Tolerated && d.probing:
		return nil, later(errors.New("it is being found out whether the destination is back"), FirstRest)
	case d.inFlight >= most:
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
			d.failures, d.until, d.last = 0, time.Time{}, nil
			return
		}
		if d.failures == 0 {
			d.since = now
		}
		d.failures++
		d.last = err
		if over := d.failures - Tolerated; over >= 0 {
			d.until = now.Add(min(longestRest, FirstRest<<min(over, 16)))
		}
	}, nil
}

func later(err error, after time.Duration) error {
	return &channel.Error{Class: channel.Temporary, Err: err, After: after, Untried: true}
}
