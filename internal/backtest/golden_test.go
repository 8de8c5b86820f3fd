package backtest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"heed/internal/backtest"
	"heed/internal/definition"
	"heed/internal/event"
	"heed/internal/period"
)

// TestGolden plays the scripts of testdata/golden against a Decider's log:
//
//	define                   definitions come into force
//	event                    a line an event of one request: USER NAME [at=-5s] [traits={...}] [props={...}] [historical]
//	raw user=U               a record that nobody can read, in the partition of U
//	at 90s                   the clock, since the start
//	backtest trigger=NAME [days=N] [user=U] [who=(A,B)] [cap=N/PERIOD] [held=USER]
func TestGolden(t *testing.T) {
	t.Parallel()
	datadriven.Walk(t, "testdata/golden", func(t *testing.T, path string) {
		l := newLive(t)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			l.t = t
			switch d.Cmd {
			case "define":
				l.define(d.Input)
			case "event":
				var events []event.Event
				for line := range strings.Lines(d.Input) {
					events = append(events, l.parse(d, strings.Fields(line)))
				}
				l.send(events...)
			case "raw":
				var user string
				d.ScanArgs(t, "user", &user)
				l.damage(user)
			case "at":
				l.decided() // what the Decider appends of sessions gets the time at which it was made
				l.now.Store(epoch + duration(t, d.CmdArgs[0].Key))
			case "backtest":
				return l.golden(d)
			default:
				d.Fatalf(t, "unknown command %s", d.Cmd)
			}
			return ""
		})
	})
}

func duration(t testing.TB, text string) int64 {
	t.Helper()
	p, err := period.Parse(strings.TrimPrefix(text, "-"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(text, "-") {
		return -p.Micros()
	}
	return p.Micros()
}

func (l *live) parse(d *datadriven.TestData, words []string) event.Event {
	e := event.Event{Type: event.Track, UserID: words[0], Name: words[1]}
	if e.Name == event.NameIdentify {
		e.Type = event.Identify
	}
	for _, w := range words[2:] {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "at":
			e.Timestamp = l.now.Load() + duration(l.t, value)
		case "traits":
			e.Traits = []byte(value)
		case "props":
			e.Properties = []byte(value)
		case "historical":
			e.Context.Historical = true
		default:
			d.Fatalf(l.t, "unknown %s", w)
		}
	}
	return e
}

func (l *live) golden(d *datadriven.TestData) string {
	l.t.Helper()
	l.decided()
	var name string
	d.ScanArgs(l.t, "trigger", &name)
	req := backtest.Request{Trigger: l.defs.Current().Triggers[name], Days: 7, Examples: 10}
	var held string
	for _, arg := range d.CmdArgs {
		switch arg.Key {
		case "days":
			d.ScanArgs(l.t, "days", &req.Days)
		case "user":
			req.User = arg.Vals[0]
		case "held":
			held = arg.Vals[0]
		case "who", "cap":
			if req.Campaign == nil {
				req.Campaign = &backtest.Campaign{Name: "c", Holdout: 0.5}
			}
			if arg.Key == "who" {
				req.Campaign.Who = arg.Vals
				continue
			}
			count, per, _ := strings.Cut(arg.Vals[0], "/")
			req.Campaign.Cap = &definition.Cap{Per: period.Period(time.Duration(duration(l.t, per)) * time.Microsecond)}
			if _, err := fmt.Sscan(count, &req.Campaign.Cap.Count); err != nil {
				d.Fatalf(l.t, "%v", err)
			}
		}
	}
	b, err := backtest.New(backtest.Config{}, backtest.Deps{
		Log: l.db.Log(), State: l.db.UserState(), Definitions: l.defs, Clock: l.clock,
		HeldOut: func(_, user string, _ float64) bool { return user == held },
	})
	if err != nil {
		l.t.Fatal(err)
	}
	res, err := b.Run(l.t.Context(), req, func(backtest.Progress) {})
	if err != nil {
		return err.Error() + "\n"
	}
	since := func(t int64) string { return time.Duration((t - epoch) * 1000).String() }
	var out strings.Builder
	fmt.Fprintf(&out, "%d firings of %d users, from %s, warmed from %s", res.Firings, res.Users, since(res.From), since(res.WarmedFrom))
	if res.Short {
		out.WriteString(", short")
	}
	if res.Profiles {
		out.WriteString(", profiles rebuilt")
	}
	out.WriteString("\n")
	for _, day := range res.Days {
		if day.Firings > 0 {
			fmt.Fprintf(&out, "%s: %d\n", time.UnixMicro(day.Day).UTC().Format("01-02"), day.Firings)
		}
	}
	if res.Refused != (backtest.Refused{}) {
		fmt.Fprintf(&out, "refused %+v\n", res.Refused)
	}
	if res.Campaign != nil {
		fmt.Fprintf(&out, "campaign %+v\n", *res.Campaign)
	}
	fmt.Fprintf(&out, "counts %+v\n", res.Counts)
	for _, e := range res.Examples {
		fmt.Fprintf(&out, "%s %s", since(e.At), e.User)
		if e.Key != "" {
			fmt.Fprintf(&out, " key=%s", e.Key)
		}
		if e.Timer {
			out.WriteString(" timer")
		}
		for _, s := range e.Steps {
			var ev event.Event
			if err := event.DecodeAvro(s.Record, &ev); err != nil {
				l.t.Fatal(err)
			}
			fmt.Fprintf(&out, " %s@%s", ev.Name, since(ev.Timestamp))
		}
		out.WriteString("\n")
	}
	return out.String()
}
