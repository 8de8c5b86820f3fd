// Package period owns lengths of time as people write them in definitions:
// 250ms, 90s, 10m, 24h, 3d. It does not own clocks or time zones.
package period

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Period is a length of time, in nanoseconds like time.Duration, that reads
// and writes days ("3d") and is text in YAML and JSON.
type Period time.Duration

// Parse reads a period: numbers with the units of time.ParseDuration or d
// (24 h), joined without spaces. A bare number is refused: it has no unit.
func Parse(s string) (Period, error) {
	rest := s
	var total time.Duration
	if days, after, ok := strings.Cut(rest, "d"); ok {
		n, err := strconv.ParseFloat(days, 64)
		if err != nil || n < 0 || n > 36500 {
			return 0, fmt.Errorf("period %q: write it like 90s, 10m, 24h or 3d", s)
		}
		total, rest = time.Duration(n*24*float64(time.Hour)), after
	}
	if rest != "" {
		d, err := time.ParseDuration(rest)
		if err != nil {
			return 0, fmt.Errorf("period %q: write it like 90s, 10m, 24h or 3d", s)
		}
		total += d
	} else if s == "" {
		return 0, fmt.Errorf("period is empty: write it like 90s, 10m, 24h or 3d")
	}
	if total < 0 {
		return 0, fmt.Errorf("period %q is negative", s)
	}
	return Period(total), nil
}

// Duration is p as a time.Duration.
func (p Period) Duration() time.Duration { return time.Duration(p) }

// Micros is p in µs, the unit of event times.
func (p Period) Micros() int64 { return time.Duration(p).Microseconds() }

// String writes whole days as 3d, else the shortest form of time.Duration.
func (p Period) String() string {
	d := time.Duration(p)
	if d > 0 && d%(24*time.Hour) == 0 && d > 24*time.Hour {
		return strconv.FormatInt(int64(d/(24*time.Hour)), 10) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// MarshalText implements encoding.TextMarshaler.
func (p Period) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Period) UnmarshalText(b []byte) error {
	v, err := Parse(string(b))
	if err != nil {
		return err
	}
	*p = v
	return nil
}

// UnmarshalYAML reads it as UnmarshalText does. Given a text, the library would
// go over the whole file for each.
func (p *Period) UnmarshalYAML(unmarshal func(any) error) error {
	var text string
	if err := unmarshal(&text); err != nil {
		return err
	}
	return p.UnmarshalText([]byte(text))
}
