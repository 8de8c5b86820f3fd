package measuretest

import (
	"fmt"
	"testing"

	"heed/internal/event"
	"heed/internal/measure"
)

// CheckImports checks that people whom only a list told of exist with what it said,
// and were never active.
func CheckImports(t *testing.T, ask func(h *History, q *measure.Query, now int64) (measure.Result, error)) {
	t.Helper()
	const day = int64(86400e6)
	now := 1000 * day
	h := &History{}
	add := func(user string, at int64, typ event.Type, name, traits string) {
		e := event.Event{MessageID: fmt.Sprint(len(h.Events)), Type: typ, Name: name, UserID: user, Timestamp: at, Source: "web"}
		if traits != "" {
			e.Traits = []byte(traits)
		}
		h.Events = append(h.Events, e)
	}
	for i, user := range []string{"both", "listed"} {
		add(user, now-day-int64(i), event.Identify, event.NameImported, `{"plan":"gold"}`)
	}
	add("both", now-2*day, event.Track, "click", "")
	add("both", now-3*day, event.Track, "click", "")
	add("visitor", now-3*day, event.Track, "click", "")

	type answer = func(*History, *measure.Query, int64) (measure.Result, error)
	oracle := func(h *History, q *measure.Query, now int64) (measure.Result, error) { return h.Answer(q, now) }
	f := func(want string, q measure.Query) {
		t.Helper()
		for who, ask := range map[string]answer{"the oracle": oracle, "it": ask} {
			res, err := ask(h, &q, now)
			if err != nil {
				t.Fatalf("%s: %v", want, err)
			}
			got := ""
			if res.Users != nil {
				got = fmt.Sprint(res.Users.IDs)
			}
			if res.Breakdown != nil {
				for _, row := range res.Breakdown.Rows {
					bucket := "never"
					if v := row.Values[0]; v != nil {
						bucket = *v
					}
					got += fmt.Sprint(bucket, " ", row.Count, "; ")
				}
			}
			if got != want {
				t.Errorf("%s says %s, want %s", who, got, want)
			}
		}
	}
	gold := "gold"
	users := func(a measure.Audience) measure.Query {
		return measure.Query{Audience: &a, Users: &measure.Users{Limit: 10}}
	}
	f("[both listed visitor]", users(measure.Audience{}))
	f("[both listed]", users(measure.Audience{Is: &measure.Is{Dimension: measure.Dimension{Field: "traits.plan"}, Values: []*string{&gold}}}))
	f("[both visitor]", users(measure.Audience{Did: &measure.Did{}}))
	f("[both listed]", users(measure.Audience{Did: &measure.Did{Event: event.NameImported}}))
	f("low 1; medium 1; never 1; ", measure.Query{Breakdown: &measure.Breakdown{Count: measure.CountUsers, By: []measure.Dimension{measure.Engagement()}, Top: 10}})
}
