package alerts_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"heed/internal/analytics/alerts"
)

// TestGolden asks for each line of input, at 10:30 of a Monday:
//
//	silent   days=N usual=N [weekend=N] [until=M] [last=M] an event that came usual times an hour for so many days
//	         (weekend times on Saturdays and Sundays), until so many minutes ago; last: the feed saw it so many minutes ago
//	refused  N*M ...      N refused events, evenly over the minutes before M minutes ago; "cut": there are older ones
//	failing  S/F ...      minutes of S sent and F failed, the newest last; *N repeats
func TestGolden(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 30, 0, 0, time.UTC)
	ago := func(at int64) string { return now.Sub(time.UnixMicro(at)).String() + " ago" }
	datadriven.RunTest(t, "testdata/alerts", func(t *testing.T, d *datadriven.TestData) string {
		var out strings.Builder
		for line := range strings.Lines(d.Input) {
			words := strings.Fields(line)
			switch d.Cmd {
			case "silent":
				s, ok := alerts.Silent(history(t, words, now), now.UnixMicro())
				if !ok {
					fmt.Fprintln(&out, "all is well")
					continue
				}
				fmt.Fprintf(&out, "silent since %s, %.1f missed\n", ago(s.Since), s.Missed)
			case "refused":
				times, complete := refused(t, words, now)
				j, ok := alerts.Refused(times, complete, now.UnixMicro())
				if !ok {
					fmt.Fprintln(&out, "all is well")
					continue
				}
				fmt.Fprintf(&out, "%d refused since %s, usual %.1f\n", j.Count, ago(j.Since), j.Usual)
			case "failing":
				f, ok := alerts.Failing(minutes(t, words), now.UnixMicro())
				if !ok {
					fmt.Fprintln(&out, "all is well")
					continue
				}
				fmt.Fprintf(&out, "%d of %d failed since %s\n", f.Failed, f.Failed+f.Sent, ago(f.Since))
			}
		}
		return out.String()
	})
}

func number(t *testing.T, text string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func history(t *testing.T, words []string, now time.Time) *alerts.History {
	said := map[string]int64{"until": 0, "days": 8, "weekend": -1}
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		said[key] = number(t, value)
	}
	const hours = (alerts.BaselineDays+1)*24 + 1
	from := now.Truncate(time.Hour).Add(-(hours - 1) * time.Hour)
	end := now.Add(-time.Duration(said["until"]) * time.Minute)
	h := &alerts.History{From: from.UnixMicro(), Hours: make([]int64, hours)}
	for i := range h.Hours {
		begin := from.Add(time.Duration(i) * time.Hour)
		if now.Sub(begin) > time.Duration(said["days"])*24*time.Hour || !begin.Before(end) {
			continue
		}
		n := said["usual"]
		if day := begin.Weekday(); said["weekend"] >= 0 && (day == time.Saturday || day == time.Sunday) {
			n = said["weekend"]
		}
		h.Hours[i] = n
		if left := end.Sub(begin); left < time.Hour && n > 0 {
			h.Hours[i] = max(1, n*int64(left)/int64(time.Hour))
		}
	}
	if at, ok := said["last"]; ok {
		h.Last = now.Add(-time.Duration(at) * time.Minute).UnixMicro()
	}
	return h
}

func refused(t *testing.T, words []string, now time.Time) (times []int64, complete bool) {
	at := now
	complete = true
	for _, w := range words {
		many, until, found := strings.Cut(w, "*")
		if !found {
			complete = false
			continue
		}
		n, before := number(t, many), now.Add(-time.Duration(number(t, until))*time.Minute)
		for i := range n {
			times = append(times, at.Add(before.Sub(at)*time.Duration(i+1)/time.Duration(n)).UnixMicro())
		}
		at = before
	}
	return times, complete
}

func minutes(t *testing.T, words []string) (out []alerts.Minute) {
	for _, w := range words {
		w, times, repeated := strings.Cut(w, "*")
		sent, failed, _ := strings.Cut(w, "/")
		n := int64(1)
		if repeated {
			n = number(t, times)
		}
		for range n {
			out = append(out, alerts.Minute{Sent: number(t, sent), Failed: number(t, failed)})
		}
	}
	return out
}
