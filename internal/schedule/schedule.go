// Package schedule owns rules by the clock on the wall of a time zone: when a
// cron expression is due, and when it is quiet. It is pure, and right on the days
// on which clocks are put forward or back. Its values may be used concurrently.
//
// It does not own which zone counts (engager) or what happens when a time has
// come.
package schedule

import (
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// maxExpr bounds a cron expression, in bytes.
const maxExpr = 200

// Schedule is a cron expression in a zone.
type Schedule struct {
	cron cron.Schedule
	zone *time.Location
}

// Parse reads five cron fields (minute, hour, day of the month, month, day of the
// week), or @hourly, @daily, @weekly, @monthly or @yearly.
func Parse(expr string, zone *time.Location) (*Schedule, error) {
	text := strings.TrimSpace(expr)
	switch {
	case len(text) > maxExpr:
		return nil, fmt.Errorf("schedule is longer than %d bytes", maxExpr)
	case strings.HasPrefix(text, "@every"), strings.Contains(text, "TZ="):
		return nil, fmt.Errorf("schedule %q: give five fields, like 0 9 * * *, and the zone by itself", expr)
	}
	c, err := cron.ParseStandard(text)
	if err != nil {
		return nil, fmt.Errorf("schedule %q: %w", expr, err)
	}
	s := &Schedule{c, zone}
	// Some day of any eight years is in each combination that exists.
	if s.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return nil, fmt.Errorf("schedule %q never comes: there is no such day", expr)
	}
	return s, nil
}

// Next is the first due time after t; zero if there is none within five years.
// A time that the clock leaves out is due when the clock has moved on, once
// however many were left out; one that it shows twice is due the first time.
func (s *Schedule) Next(t time.Time) time.Time {
	// The expression is asked about clocks, not about instants: each reading of
	// the clock comes once there.
	for reading := onWall(t.In(s.zone)).Add(-longestShift); ; {
		reading = s.cron.Next(reading)
		if reading.IsZero() {
			return time.Time{}
		}
		if at, _ := instants(reading, s.zone); at.After(t) {
			return at
		}
	}
}

// longestShift is more than a clock is ever put forward or back.
const longestShift = 3 * time.Hour

// onWall is the reading of a clock, as if it were one in UTC.
func onWall(t time.Time) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// instants are those at which the clock of a zone shows a reading: one twice, or
// two. A reading that is left out stands for the moment at which the clock moved
// on.
func instants(reading time.Time, zone *time.Location) (first, last time.Time) {
	before, after := reading.Add(-24*time.Hour).In(zone), reading.Add(24*time.Hour).In(zone)
	_, early := before.Zone()
	_, late := after.Zone()
	first = reading.Add(-time.Duration(early) * time.Second).In(zone)
	last = reading.Add(-time.Duration(late) * time.Second).In(zone)
	if first.After(last) {
		// The clock is put forward around it: only one of the two can be true, and
		// neither is if the reading is left out.
		switch {
		case onWall(first).Equal(reading):
			return first, first
		case onWall(last).Equal(reading):
			return last, last
		}
		begin, _ := first.ZoneBounds()
		return begin.In(zone), begin.In(zone)
	}
	if !onWall(first).Equal(reading) {
		first = last
	}
	if !onWall(last).Equal(reading) {
		last = first
	}
	return first, last
}
