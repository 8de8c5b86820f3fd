package measuretest_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"heed/internal/event"
	"heed/internal/measure"
	"heed/internal/measure/measuretest"
	"heed/internal/period"
)

// past reads histories such as "a0 b10 c20": names with minutes, in the order of
// the log.
func past(t *testing.T, users ...string) *measuretest.History {
	t.Helper()
	h := &measuretest.History{}
	for u, text := range users {
		for one := range strings.FieldsSeq(text) {
			at, err := strconv.ParseFloat(one[1:], 64)
			if err != nil {
				t.Fatal(err)
			}
			h.Events = append(h.Events, event.Event{Name: one[:1], UserID: fmt.Sprintf("u%d", u), Timestamp: int64(at * 60e6)})
		}
	}
	return h
}

// The meaning of a funnel a, b, c in an hour, by examples: reached, stuck and in
// progress per step.
func TestFunnelByExample(t *testing.T) {
	f := func(history string, strict bool, without string, asOf int, want string) {
		t.Helper()
		q := &measure.Query{Funnel: &measure.Funnel{Steps: []measure.Step{{Event: "a"}, {Event: "b"}, {Event: "c"}}, Window: period.Period(time.Hour), Strict: strict}}
		if without != "" {
			q.Funnel.Steps[2].Without = []measure.Match{{Event: without}}
		}
		res, err := past(t, history).Answer(q, int64(asOf)*60e6)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range res.Funnel.Steps {
			got = append(got, fmt.Sprintf("%d/%d/%d", s.Reached, s.Stuck, s.Progress))
		}
		if c := res.Funnel.Convert; c != nil {
			got = append(got, (time.Duration(c.P50) * time.Microsecond).String())
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s: %s, want %s", history, s, want)
		}
	}
	f("a0 b10 c20", false, "", 600, "1/0/0 1/0/0 1/0/0 20m0s")
	f("a0 b10 c60", false, "", 600, "1/0/0 1/1/0 0/0/0")                      // the window is half open
	f("a0 b10 c59.99", false, "", 600, "1/0/0 1/0/0 1/0/0 59m59.4s")          //
	f("a0 b10", false, "", 30, "1/0/0 1/0/1 0/0/0")                           // its window is open
	f("a0 b10", false, "", 60, "1/0/0 1/1/0 0/0/0")                           // closed at this very moment
	f("a0 b10 a100", false, "", 130, "1/0/0 1/0/1 0/0/0")                     // a new attempt is under way
	f("b0 a5 c10", false, "", 600, "1/1/0 0/0/0 0/0/0")                       // least time per step would say all three
	f("a0 a40 b70 c90", false, "", 600, "1/0/0 1/0/0 1/0/0 50m0s")            // the first start alone is too early
	f("a0 b10 a40 b70 c90", false, "", 600, "1/0/0 1/0/0 1/0/0 50m0s")        //
	f("a0 a10 b20 c30", false, "", 600, "1/0/0 1/0/0 1/0/0 20m0s")            // from the latest start
	f("a0 x5 b10 x15 c20", false, "", 600, "1/0/0 1/0/0 1/0/0 20m0s")         // others in between do not matter
	f("a0 x5 b10 x15 c20", true, "", 600, "1/1/0 0/0/0 0/0/0")                // but to strict
	f("a0 b10 c20", true, "", 600, "1/0/0 1/0/0 1/0/0 20m0s")                 //
	f("a0 b10 x15 c20", false, "x", 600, "1/0/0 1/1/0 0/0/0")                 // excluded
	f("a0 x5 b10 c20", false, "x", 600, "1/0/0 1/0/0 1/0/0 20m0s")            // on another edge
	f("a0 b10 x15 b16 c20", false, "x", 600, "1/0/0 1/0/0 1/0/0 20m0s")       // another second step behind it
	f("a0 b10 x15", false, "x", 30, "1/0/0 1/0/1 0/0/0")                      // a second b could still come
	f("a0 b0 c0", false, "", 600, "1/0/0 1/0/0 1/0/0 0s")                     // ties in the order of the log
	f("c0 b0 a0", false, "", 600, "1/1/0 0/0/0 0/0/0")                        //
	f("c20 b10 a0", false, "", 600, "1/0/0 1/0/0 1/0/0 20m0s")                // late ones go to their places
	f("x0 b10 c20", false, "", 600, "0/0/0 0/0/0 0/0/0")                      //
	f("a0 b10 c20", false, "", 20, "1/0/0 1/0/1 0/0/0")                       // what happens at as-of is not yet
	f("a0 b10 c20 a200 b210 c211", false, "", 600, "1/0/0 1/0/0 1/0/0 20m0s") // the first conversion counts
}

func TestSessionsByExample(t *testing.T) {
	q := &measure.Query{Sessions: &measure.Sessions{}}
	res, err := past(t, "a0 b29.99 c60 d89.98", "a0 b30").Answer(q, 600*60e6)
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Sessions; got.Sessions != 4 || got.Users != 2 || got.Events != 6 || got.Duration.P95 != 1799400000 {
		t.Errorf("%+v %+v", got, got.Duration)
	}
}

func TestPathsByExample(t *testing.T) {
	q := &measure.Query{Paths: &measure.Paths{From: measure.Match{Event: "a"}, Depth: 2, Window: period.Period(time.Hour), Top: 1}}
	res, err := past(t, "a0 b1 c2 d3", "b0 a1 b2", "a0 c5", "a0 b59 d60", "b7").Answer(q, 600*60e6)
	if err != nil {
		t.Fatal(err)
	}
	first := res.Paths.Depths[0]
	if len(first) != 2 || first[0] != (measure.PathNode{Event: "b", Users: 3}) || first[1] != (measure.PathNode{Other: true, Users: 1}) {
		t.Errorf("depth 1: %+v", first)
	}
	second := res.Paths.Depths[1]
	if len(second) != 2 || second[0] != (measure.PathNode{Event: "c", Users: 1}) || second[1] != (measure.PathNode{End: true, Users: 3}) {
		t.Errorf("depth 2: %+v", second)
	}
}

func TestRetentionByExample(t *testing.T) {
	const day = 1440
	h := past(t, fmt.Sprintf("a0 a%d a%d", day, 3*day), fmt.Sprintf("a5 b%d", 2*day), fmt.Sprintf("a%d", day))
	f := func(unbounded bool, want string) {
		t.Helper()
		q := &measure.Query{
			Range:     measure.Range{From: "1970-01-01", To: "1970-01-03"},
			Retention: &measure.Retention{First: measure.Match{Event: "a"}, Per: measure.Day, Periods: 3, Unbounded: unbounded},
		}
		res, err := h.Answer(q, 3*day*60e6+300e6)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range res.Retention.Cohorts {
			got = append(got, fmt.Sprint(c.Cells, c.Partial))
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("unbounded %t: %s, want %s", unbounded, s, want)
		}
	}
	f(false, "[2 1 1 1] true [1 0 0] true")
	f(true, "[2 2 2 1] true [1 0 0] true")
}

func TestAttributionByExample(t *testing.T) {
	touch := func(e *event.Event, source string) { e.Context.Campaign.Source = source }
	h := past(t, "v0 v100 v200 p300 p301", "p5")
	touch(&h.Events[0], "letter")
	touch(&h.Events[1], "ads")
	h.Events[2].Context.Page.Referrer = "https://www.paypal.com/"
	f := func(model measure.Model, lookback time.Duration, want string) {
		t.Helper()
		q := &measure.Query{Attribution: &measure.Attribution{Goal: measure.Match{Event: "p"}, Model: model, By: measure.BySource, Lookback: period.Period(lookback), Top: 10}}
		res, err := h.Answer(q, 600*60e6)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(res.Attribution.Rows); got != want {
			t.Errorf("%s: %s, want %s", model, got, want)
		}
	}
	f(measure.LastTouch, 1000*time.Minute, "[{ads 2 1 0} {direct 1 1 0}]")
	f(measure.FirstTouch, 1000*time.Minute, "[{letter 2 1 0} {direct 1 1 0}]")
	f(measure.FirstTouch, 201*time.Minute, "[{direct 2 2 0} {ads 1 1 0}]")
}

// Whom a campaign reached and whom it held back, by examples: users treated, held back, of
// both sides.
func TestReturnByExample(t *testing.T) {
	f := func(what, want string, outcomes ...string) {
		t.Helper()
		h := past(t, "a0") // what Heed does makes nobody a user
		for i, o := range outcomes {
			h.Events = append(h.Events, event.Event{
				Name: event.NameDelivery, UserID: "u0", Timestamp: int64(i+1) * 60e6, Properties: []byte(`{"campaign":"k",` + o + `}`),
			})
		}
		q := &measure.Query{Return: &measure.Return{Campaign: "k", Goal: measure.Match{Event: "bought"}, Within: period.Period(time.Hour)}}
		res, err := h.Answer(q, 600*60e6)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(res.Return.Treated.Users, res.Return.Holdout.Users, res.Return.Met); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	const sent, held, capped = `"status":"sent"`, `"status":"refused","reason":"holdout"`, `"status":"refused","reason":"cap"`
	f("sent", "1 0 0", sent, sent)
	f("held back", "0 1 0", held, held)
	f("neither", "0 0 0", capped)
	f("a visitor held back who is a user that got it", "0 0 1", held, sent)
	f("the other way round", "0 0 1", capped, sent, held)
	f("a test is no treatment", "0 1 0", sent+`,"test":true`, held)
}
