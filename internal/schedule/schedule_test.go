package schedule_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"heed/internal/schedule"
)

const stamp = "2006-01-02T15:04Z07:00"

// The scripts: `next` lists due times after a moment, `quiet` says until when it
// is quiet at moments.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var name, from, to, after string
			count := 4
			d.MaybeScanArgs(t, "zone", &name)
			d.MaybeScanArgs(t, "from", &from)
			d.MaybeScanArgs(t, "to", &to)
			d.MaybeScanArgs(t, "after", &after)
			d.MaybeScanArgs(t, "count", &count)
			zone, err := time.LoadLocation(name)
			if err != nil {
				t.Fatal(err)
			}
			moment := func(s string) time.Time {
				at, err := time.Parse(stamp, s)
				if err != nil {
					t.Fatal(err)
				}
				return at.In(zone)
			}
			var out strings.Builder
			switch d.Cmd {
			case "next":
				s, err := schedule.Parse(strings.TrimSpace(d.Input), zone)
				if err != nil {
					return err.Error() + "\n"
				}
				at := moment(after)
				for range count {
					at = s.Next(at)
					fmt.Fprintln(&out, at.Format(stamp))
				}
			case "quiet":
				q, err := schedule.ParseQuiet(from, to)
				if err != nil {
					return err.Error() + "\n"
				}
				for line := range strings.Lines(d.Input) {
					until := q.Until(moment(strings.TrimSpace(line)))
					if until.IsZero() {
						fmt.Fprintln(&out, "not quiet")
					} else {
						fmt.Fprintln(&out, until.Format(stamp))
					}
				}
			}
			return out.String()
		})
	})
}

// Over years in many zones, a schedule's times grow, and a day's 02:30 comes once
// a day.
func TestOnceADay(t *testing.T) {
	for _, name := range []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Casablanca", "Asia/Kathmandu", "UTC"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, expr := range []string{"30 2 * * *", "0 0 * * *", "15 1 * * *"} {
			s, err := schedule.Parse(expr, zone)
			if err != nil {
				t.Fatal(err)
			}
			at := time.Date(2025, 1, 1, 12, 0, 0, 0, zone)
			for day := 1; day <= 800; day++ {
				next := s.Next(at)
				want := time.Date(2025, 1, 1+day, 12, 0, 0, 0, zone)
				if !next.After(at) || next.YearDay() != want.YearDay() {
					t.Fatalf("%s in %s: %s comes after %s", expr, name, next, at)
				}
				at = next
			}
		}
	}
}

// Minute by minute around the changes of the clock: what Until names as the end
// is the first minute that is not quiet.
func TestQuietEnds(t *testing.T) {
	for _, name := range []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, hours := range [][2]string{{"21:00", "08:00"}, {"22:00", "02:30"}, {"01:30", "02:15"}, {"02:10", "02:50"}, {"00:00", "23:59"}} {
			q, err := schedule.ParseQuiet(hours[0], hours[1])
			if err != nil {
				t.Fatal(err)
			}
			for _, day := range []time.Time{
				time.Date(2026, 3, 28, 12, 0, 0, 0, zone), time.Date(2026, 10, 24, 12, 0, 0, 0, zone), time.Date(2026, 3, 7, 12, 0, 0, 0, zone),
				time.Date(2026, 10, 31, 12, 0, 0, 0, zone), time.Date(2026, 4, 4, 12, 0, 0, 0, zone), time.Date(2026, 10, 3, 12, 0, 0, 0, zone),
			} {
				var first time.Time // the next minute that is not quiet
				for at := day.Add(30 * time.Hour); at.After(day); at = at.Add(-time.Minute) {
					until := q.Until(at)
					if until.IsZero() {
						first = at
					} else if !first.IsZero() && !until.Equal(first) {
						t.Fatalf("%s %v at %s: until %s, but %s is not quiet", name, hours, at, until, first)
					}
				}
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"0 9 * * *", "*/5 8-18 * * mon-fri", "0 0 30 2 *", "@daily", "@every 1s", "TZ=UTC 0 9 * * *", "* * * *", "61 * * * *"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		s, err := schedule.Parse(expr, time.UTC)
		if err != nil {
			return
		}
		at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
		for range 5 {
			next := s.Next(at)
			if next.IsZero() {
				return // beyond the five years
			}
			if !next.After(at) {
				t.Fatalf("%q: %s after %s", expr, next, at)
			}
			at = next
		}
	})
}
