// Package alerts owns what is out of the ordinary: a key event that falls
// silent, refused events that jump, a channel that fails. It has no settings:
// each is compared with its own past, and what is too rare to tell says nothing.
//
// It is pure: who counts, and who shows it, is not its business. Times are µs
// since the Unix epoch. All functions may be called concurrently.
package alerts

import (
	"slices"
	"time"
)

// What it takes to be told. A quiet demo must not cry wolf.
const (
	// BaselineDays is how many days an event is compared with.
	BaselineDays = 7
	// leastDays is how long an event must have been known.
	leastDays = 3
	// leastMissed is how many events of a name are usual in a silence that counts:
	// were they independent of each other, chance would bring it about once in 500
	// million times.
	leastMissed  = 20
	leastSilence = 10 * time.Minute

	// RefusedWindow is the time in which refused events are counted.
	RefusedWindow = 10 * time.Minute
	refusedPast   = 24 * time.Hour
	leastRefused  = 20
	refusedTimes  = 5 // as many as usual

	// FailingMinutes is the time in which a channel's outcomes are counted.
	FailingMinutes = 15
	leastFailed    = 5
	failedShare    = 0.2
)

const hour = int64(time.Hour / time.Microsecond)

// History is how often an event was counted: Hours begin at From, and the last
// of them is not over.
type History struct {
	From  int64
	Hours []int64
	// Last is when the newest one came, 0 if that is not known.
	Last int64
}

// Silence is an event that does not come any more.
type Silence struct {
	Since  int64
	Missed float64 // how many are usual in that time
}

// Silent tells whether the event should have come.
func Silent(h *History, now int64) (s Silence, ok bool) {
	last := len(h.Hours) - 1
	for last >= 0 && h.Hours[last] == 0 {
		last--
	}
	if last < 0 {
		return Silence{}, false
	}
	s.Since = h.From + int64(last+1)*hour
	if h.Last >= s.Since-hour {
		s.Since = h.Last
	}
	if now-s.Since < leastSilence.Microseconds() {
		return Silence{}, false
	}
	first := slices.IndexFunc(h.Hours, func(n int64) bool { return n > 0 })
	for i := range h.Hours {
		begin := max(h.From+int64(i)*hour, s.Since)
		end := min(h.From+int64(i+1)*hour, now)
		if end <= begin {
			continue
		}
		usual, known := usual(h.Hours, first, i)
		if !known {
			return Silence{}, false
		}
		s.Missed += usual * float64(end-begin) / float64(hour)
	}
	return s, s.Missed >= leastMissed
}

// usual is how often the event comes in an hour: the median of that hour on the
// days before, and no more than a week before, since a Sunday is no Monday.
func usual(hours []int64, first, i int) (n float64, known bool) {
	var past []int64
	for day := 1; day <= BaselineDays && i-24*day >= first; day++ {
		past = append(past, hours[i-24*day])
	}
	if len(past) < leastDays {
		return 0, false
	}
	n = float64(past[len(past)-1])
	week := len(past) == BaselineDays
	slices.Sort(past)
	median := float64(past[(len(past)-1)/2])
	if week {
		return min(n, median), true
	}
	return median, true
}

// Jump is refused events that are many more than before.
type Jump struct {
	Since int64 // of the first one in the window
	Count int64
	Usual float64 // in as much time
}

// Refused tells whether there are many more of late: times are of refused
// events, newest first, all there are of the last day if complete.
func Refused(times []int64, complete bool, now int64) (j Jump, ok bool) {
	window, past := RefusedWindow.Microseconds(), refusedPast.Microseconds()
	oldest := now - past
	if !complete && len(times) > 0 {
		oldest = max(oldest, times[len(times)-1])
	}
	var before int64
	for _, t := range times {
		switch {
		case t >= now-window:
			j.Count++
			j.Since = t
		case t >= oldest:
			before++
		}
	}
	if span := now - window - oldest; span >= window {
		j.Usual = float64(before) * float64(window) / float64(span)
	}
	return j, j.Count >= leastRefused && float64(j.Count) >= refusedTimes*j.Usual
}

// Minute is what came of a channel's messages in one minute.
type Minute struct{ Sent, Failed int64 }

// Failure is a channel of whose messages many fail.
type Failure struct {
	Since        int64 // of the first minute with one
	Failed, Sent int64
}

// Failing tells whether too many messages fail: minutes are the newest ones, the
// current one last.
func Failing(minutes []Minute, now int64) (f Failure, ok bool) {
	minutes = minutes[max(0, len(minutes)-FailingMinutes):]
	begin := now - now%time.Minute.Microseconds()
	for i, m := range minutes {
		if m.Failed > 0 && f.Since == 0 {
			f.Since = begin - int64(len(minutes)-1-i)*time.Minute.Microseconds()
		}
		f.Failed += m.Failed
		f.Sent += m.Sent
	}
	return f, f.Failed >= leastFailed && float64(f.Failed) >= failedShare*float64(f.Failed+f.Sent)
}
