package console_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"heed/internal/console"
	"heed/internal/console/api"
	"heed/internal/event"
	"heed/internal/measure"
	"heed/internal/measure/measuretest"
)

// measures answers by the meaning, over a made-up history whose now is fixed.
type measures struct {
	history *measuretest.History
	now     int64
}

func (m measures) Answer(_ context.Context, q *measure.Query, names measure.Names, _ int64) (measure.Result, error) {
	q, err := measure.Resolve(q, names)
	if err != nil {
		return measure.Result{}, err
	}
	return m.history.Answer(q, m.now)
}

func measured(t *testing.T, seed uint64) (*world, *client) {
	h, now := measuretest.Random(rand.New(rand.NewPCG(seed, 1)))
	w := newWorld(t, func(_ *console.Config, d *console.Deps) { d.Measures = measures{h, now} })
	return w, w.as(adminToken)
}

// What stands at a mark, how many its users are said to be, the pages of them,
// the file of them, and the audience that is left without the time are one.
func TestUsersOfAMark(t *testing.T) {
	marks := 0
	for seed := range uint64(4) {
		_, c := measured(t, seed)
		users := func(q, mark string, rest string) api.MeasureUsers {
			t.Helper()
			return ok[api.MeasureUsers](c.send("POST", "/api/v1/measures:users", fmt.Sprintf(`{"query":%s,"mark":%s%s}`, q, mark, rest)))
		}
		check := func(q, mark string, want float64) {
			t.Helper()
			marks++
			got := users(q, mark, `,"limit":2`)
			if float64(got.Total) != want {
				t.Errorf("seed %d: %s: %s says %g, its users are %d", seed, q, mark, want, got.Total)
			}
			ids := map[string]bool{}
			for page := got; ; page = users(q, mark, fmt.Sprintf(`,"limit":2,"after":%q`, page.Users[len(page.Users)-1].Id)) {
				for _, u := range page.Users {
					ids[u.Id] = true
				}
				if !page.More {
					break
				}
			}
			csv := c.send("POST", "/api/v1/measures:users?format=csv", fmt.Sprintf(`{"query":%s,"mark":%s}`, q, mark))
			lines := strings.Split(strings.TrimSpace(string(csv.body)), "\n")
			if lines[0] != "user" || len(lines)-1 != int(want) || len(ids) != int(want) {
				t.Errorf("seed %d: %s: %s says %g; pages have %d, the file has %q", seed, q, mark, want, len(ids), lines)
			}
			kept := ok[measure.Result](c.send("POST", "/api/v1/measures:query", fmt.Sprintf(`{"audience":%s,"users":{}}`, got.Audience)))
			if float64(kept.Users.Total) != want {
				t.Errorf("seed %d: the audience %s has %d, not %g", seed, got.Audience, kept.Users.Total, want)
			}
		}
		for _, by := range []string{`{"field":"user.country"}`, `{"dimension":"acquisition-month"}`} {
			q := fmt.Sprintf(`{"breakdown":{"by":[%s],"top":2}}`, by)
			res := ok[measure.Result](c.send("POST", "/api/v1/measures:query", q)).Breakdown
			for i, r := range res.Rows {
				values, _ := json.Marshal(r.Values)
				check(q, fmt.Sprintf(`{"row":%d}`, i), r.Count)
				check(q, fmt.Sprintf(`{"values":%s}`, values), r.Count)
			}
			if res.Other != nil {
				check(q, `{"other":true}`, res.Other.Count)
			}
			check(q, `{}`, res.Total)
		}
		q := `{"funnel":{"steps":[{"event":"a"},{"event":"b"}],"window":"1h","by":{"field":"user.country"}}}`
		res := ok[measure.Result](c.send("POST", "/api/v1/measures:query", q)).Funnel
		for i, s := range res.Steps {
			check(q, fmt.Sprintf(`{"step":%d}`, i+1), float64(s.Reached))
			check(q, fmt.Sprintf(`{"step":%d,"state":"stuck"}`, i+1), float64(s.Stuck))
			check(q, fmt.Sprintf(`{"step":%d,"state":"progress"}`, i+1), float64(s.Progress))
			for _, g := range res.Groups {
				if value, _ := json.Marshal(g.Value); !g.Other {
					check(q, fmt.Sprintf(`{"step":%d,"values":[%s]}`, i+1, value), float64(g.Steps[i].Reached))
				}
			}
		}
	}
	if marks < 40 {
		t.Errorf("only %d marks", marks)
	}
}

// A dimension of events by its name: the mark asks the events for it.
func TestUsersOfAnEventsDimension(t *testing.T) {
	_, c := measured(t, 2)
	ok[api.Applied](c.send("POST", "/api/v1/definitions:apply", "kind: dimension\nname: tier\nfield: properties.tier\n"))
	q := `{"breakdown":{"of":{},"count":"users","by":[{"dimension":"tier"}]}}`
	for i, r := range ok[measure.Result](c.send("POST", "/api/v1/measures:query", q)).Breakdown.Rows {
		got := ok[api.MeasureUsers](c.send("POST", "/api/v1/measures:users", fmt.Sprintf(`{"query":%s,"mark":{"row":%d}}`, q, i)))
		if float64(got.Total) != r.Count {
			t.Errorf("row %d says %g, its users are %d", i, r.Count, got.Total)
		}
	}
}

func TestUsersOfAMarkAreShownWithTheirNames(t *testing.T) {
	w, c := measured(t, 1)
	all := func() api.MeasureUsers {
		return ok[api.MeasureUsers](c.send("POST", "/api/v1/measures:users", `{"query":{"users":{}},"mark":{},"limit":100}`))
	}
	first := all().Users[0].Id
	w.user(first, event.Event{
		Type: event.Identify, Name: event.NameIdentify, UserID: first, Traits: []byte(`{"name":"Ada"}`), Context: event.Context{Country: "FI"},
	})
	if u := all().Users[0]; !u.Known || u.Name != "Ada" || u.Country != "FI" {
		t.Errorf("user: %+v", u)
	}
}

func TestUsersOfAMarkRefused(t *testing.T) {
	_, c := measured(t, 1)
	f := func(body, want string) {
		t.Helper()
		if e := c.send("POST", "/api/v1/measures:users", body).fails(400, "bad_request"); !strings.Contains(e.Message, want) {
			t.Errorf("%s: %q does not say %q", body, e.Message, want)
		}
	}
	f(`{"query":{"breakdown":{"by":[{"field":"user.country"}]}},"mark":{"row":99}}`, "mark.row")
	f(`{"query":{"breakdown":{"by":[{"field":"user.country"}]}},"mark":{"values":[]}}`, "mark.values")
	f(`{"query":{"breakdown":{"by":[{"field":"user.country"}]}},"mark":{"values":["FI","FI"]}}`, "mark.values")
	f(`{"query":{"funnel":{"steps":[{"event":"a"},{"event":"b"}],"window":"1h"}},"mark":{"step":1,"values":["FI"]}}`, "mark.values")
	f(`{"query":{"funnel":{"steps":[{"event":"a"},{"event":"b"}],"window":"1h"}},"mark":{"step":3}}`, "mark.step")
	f(`{"query":{"users":{}},"mark":{},"limit":10001}`, "limit")
	f(`{"query":{"users":{}},"mark":{},"after":"`+strings.Repeat("x", 5000)+`"}`, "after")
	f(`{"query":{"users":{}},"mark":{"rwo":1}}`, "rwo")
	f(`{"query":{},"mark":{}}`, "query")
	f(`{"mark":{}}`, "query")
	f(`[]`, "")
	c.send("POST", "/api/v1/measures:users?format=xml", `{"query":{"users":{}},"mark":{}}`).fails(400, "bad_request")
	c.w.as("").send("POST", "/api/v1/measures:users", `{"query":{"users":{}},"mark":{}}`).fails(401, "not_signed_in")
}

// A saved funnel is asked for by its name, and is not deleted while somebody
// names it.
func TestSavedFunnels(t *testing.T) {
	_, c := measured(t, 1)
	ok[api.Applied](c.send("POST", "/api/v1/definitions:apply", `kind: funnel
name: walk
steps: [{event: a}, {event: b}]
window: 1h
---
kind: board
name: shop
charts: [{title: Walk, query: {funnel: {funnel: walk}}}]
---
kind: audience
name: walkers
funnel: {funnel: {funnel: walk}, level: 1, state: reached}
`))
	ask := func(q, format string) answer { return c.send("POST", "/api/v1/measures:query?format="+format, q) }
	written, saved := `{"funnel":{"steps":[{"event":"a"},{"event":"b"}],"window":"1h"}}`, `{"funnel":{"funnel":"walk"}}`
	want, got := ok[measure.Result](ask(written, "json")).Funnel, ok[measure.Result](ask(saved, "json")).Funnel
	if diff := cmp.Diff(want, got); diff != "" || want.Steps[0].Reached == 0 {
		t.Errorf("%+v\n%s", want, diff)
	}
	if diff := cmp.Diff(string(ask(written, "csv").body), string(ask(saved, "csv").body)); diff != "" {
		t.Error(diff)
	}
	users := ok[api.MeasureUsers](c.send("POST", "/api/v1/measures:users", `{"query":`+saved+`,"mark":{"step":1},"limit":1}`))
	named := ok[measure.Result](ask(`{"audience":{"audience":"walkers"},"users":{}}`, "json")).Users
	if users.Total != got.Steps[0].Reached || named.Total != users.Total {
		t.Errorf("%d in the drawer, %d in the audience, %d at the step", users.Total, named.Total, got.Steps[0].Reached)
	}
	if !strings.Contains(string(users.Audience), `"funnel":"walk"`) {
		t.Errorf("the audience of a mark names no funnel: %s", users.Audience)
	}
	ask(`{"funnel":{"funnel":"wlak"}}`, "json").fails(400, "bad_request")
	e := c.send("DELETE", "/api/v1/definitions/funnel/walk", nil).fails(422, "invalid")
	if len(e.Problems) != 2 {
		t.Errorf("who names the funnel: %+v", e.Problems)
	}
}
