package measure_test

import (
	"errors"
	"testing"
	"time"

	"heed/internal/measure"
)

func frame(t *testing.T, zone, asOf string) measure.Frame {
	t.Helper()
	at, err := time.Parse(time.RFC3339, asOf)
	if err != nil {
		t.Fatal(err)
	}
	q := measure.Query{Zone: zone}
	f, err := q.Frame(at.UnixMicro())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestDaysOfChangingClocks(t *testing.T) {
	f := func(zone, date string, hours float64, buckets int) {
		t.Helper()
		fr := frame(t, zone, "2030-01-01T00:00:00Z")
		day, err := time.Parse(time.DateOnly, date)
		if err != nil {
			t.Fatal(err)
		}
		s, err := fr.Span(measure.Range{From: date, To: day.AddDate(0, 0, 1).Format(time.DateOnly)})
		if err != nil {
			t.Fatal(err)
		}
		if got := time.Duration(s.To-s.From) * time.Microsecond; got.Hours() != hours {
			t.Errorf("%s in %s has %v, want %v hours", date, zone, got, hours)
		}
		if got, err := fr.Buckets(s, measure.Hour, 100); err != nil || len(got) != buckets {
			t.Errorf("%s in %s has %d buckets of an hour, want %d (%v)", date, zone, len(got), buckets, err)
		}
		if got := fr.Floor(s.To-1, measure.Day); got != s.From {
			t.Errorf("the last moment of %s in %s belongs to %v", date, zone, time.UnixMicro(got))
		}
		if got := fr.Next(s.From, measure.Day); got != s.To {
			t.Errorf("the day after %s in %s begins %v", date, zone, time.UnixMicro(got))
		}
	}
	f("Europe/Berlin", "2026-03-28", 24, 24)
	f("Europe/Berlin", "2026-03-29", 23, 23)
	f("Europe/Berlin", "2026-10-25", 25, 25)
	f("America/New_York", "2026-03-08", 23, 23)
	f("Australia/Lord_Howe", "2026-10-04", 23.5, 24) // half an hour is skipped
	f("Africa/Cairo", "2026-04-24", 23, 23)          // its midnight is skipped
	f("America/Havana", "2026-11-01", 25, 25)        // its midnight comes twice
	f("UTC", "2026-03-29", 24, 24)
	f("Asia/Kathmandu", "2026-03-29", 24, 24)
}

func TestRanges(t *testing.T) {
	f := func(zone, asOf string, r measure.Range, from, to string) {
		t.Helper()
		s, err := frame(t, zone, asOf).Span(r)
		if err != nil {
			t.Fatal(err)
		}
		got := [2]string{time.UnixMicro(s.From).UTC().Format(time.RFC3339), time.UnixMicro(s.To).UTC().Format(time.RFC3339)}
		if got != [2]string{from, to} {
			t.Errorf("%+v at %s in %s is %v, want %s to %s", r, asOf, zone, got, from, to)
		}
	}
	const now = "2026-03-30T10:00:00Z" // a Monday
	f("Europe/Berlin", now, measure.Range{Last: "24h"}, "2026-03-29T10:00:00Z", now)
	f("Europe/Berlin", now, measure.Range{Last: "1d"}, "2026-03-29T22:00:00Z", now)
	f("Europe/Berlin", now, measure.Range{Last: "3d"}, "2026-03-27T23:00:00Z", now)
	f("Europe/Berlin", now, measure.Range{Last: "1w"}, "2026-03-29T22:00:00Z", now)
	f("Europe/Berlin", now, measure.Range{Last: "2w"}, "2026-03-22T23:00:00Z", now)
	f("Europe/Berlin", now, measure.Range{Last: "1mo"}, "2026-02-28T23:00:00Z", now)
	f("Europe/Berlin", now, measure.Range{Last: "4mo"}, "2025-11-30T23:00:00Z", now)
	f("Europe/Berlin", now, measure.Range{Last: "1y"}, "2025-12-31T23:00:00Z", now)
	f("Europe/Berlin", "2026-03-29T22:00:00Z", measure.Range{Last: "1d"}, "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z") // a day that has just ended
	f("", now, measure.Range{}, "1970-01-01T00:00:00Z", now)
	f("", now, measure.Range{From: "2026-03-01", To: "2027-01-01"}, "2026-03-01T00:00:00Z", now)
	f("", now, measure.Range{From: "2027-01-01"}, "2027-01-01T00:00:00Z", "2027-01-01T00:00:00Z")
}

func TestWeeksBeginWhereAsked(t *testing.T) {
	at := time.Date(2026, 3, 29, 12, 0, 0, 0, time.UTC).UnixMicro() // a Sunday
	for day, want := range map[string]string{"": "2026-03-23", "monday": "2026-03-23", "Sunday": "2026-03-29", "saturday": "2026-03-28"} {
		q := measure.Query{WeekStart: day}
		f, err := q.Frame(at)
		if err != nil {
			t.Fatal(err)
		}
		if got := time.UnixMicro(f.Floor(at, measure.Week)).UTC().Format(time.DateOnly); got != want {
			t.Errorf("a week that begins on %q began on %s, want %s", day, got, want)
		}
	}
}

func TestBucketsAreBounded(t *testing.T) {
	f := frame(t, "Europe/Berlin", "2026-03-30T10:00:00Z")
	if _, err := f.Buckets(measure.Span{To: f.AsOf}, measure.Minute, measure.MaxBuckets); !errors.Is(err, measure.ErrBuckets) {
		t.Errorf("minutes of 56 years: %v", err)
	}
	if got, err := f.Buckets(measure.Span{From: 5, To: 5}, measure.Day, 1); len(got) > 0 || err != nil {
		t.Errorf("an empty span: %v, %v", got, err)
	}
}
