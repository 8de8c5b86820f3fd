package schedule

import (
	"fmt"
	"time"
)

// Quiet is a part of each day in which nobody is disturbed: minutes of the clock
// from From until before To, over midnight if To is smaller. The zero Quiet is
// never.
type Quiet struct{ From, To int }

// ParseQuiet reads two times of the clock like 21:00 and 08:00.
func ParseQuiet(from, to string) (Quiet, error) {
	var q Quiet
	for _, part := range []struct {
		text string
		into *int
	}{{from, &q.From}, {to, &q.To}} {
		t, err := time.Parse("15:04", part.text)
		if err != nil {
			return Quiet{}, fmt.Errorf("%q is not a time like 21:00", part.text)
		}
		*part.into = t.Hour()*60 + t.Minute()
	}
	if q.From == q.To {
		return Quiet{}, fmt.Errorf("from %s to %s is no time at all", from, to)
	}
	return q, nil
}

// holds tells whether the clock shows a quiet minute.
func (q Quiet) holds(t time.Time) bool {
	minute := t.Hour()*60 + t.Minute()
	if q.From <= q.To {
		return q.From <= minute && minute < q.To
	}
	return minute >= q.From || minute < q.To
}

// Until is when the quiet time ends that t, in the user's zone, lies in; zero if
// t is not quiet. Where the clock is put back, it may be quiet again later.
func (q Quiet) Until(t time.Time) time.Time {
	if !q.holds(t) {
		return time.Time{}
	}
	// The clock may be put to a minute that is not quiet, before its end comes.
	_, change := t.ZoneBounds()
	change = change.In(t.Location())
	y, m, d := t.Date()
	for day := range 3 {
		reading := time.Date(y, m, d+day, q.To/60, q.To%60, 0, 0, time.UTC)
		first, last := instants(reading, t.Location())
		for _, end := range [...]time.Time{first, last} {
			if end.After(t) && !q.holds(end) {
				if change.After(t) && change.Before(end) && !q.holds(change) {
					return change
				}
				return end
			}
		}
	}
	return t.Add(time.Minute) // no zone that is known comes here: look again
}
