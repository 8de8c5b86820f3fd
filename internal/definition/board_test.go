package definition

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"heed/internal/measure"
)

const boarded = `kind: funnel
name: checkout
description: From the cart to the order
steps:
- event: cart_add
- event: purchase
  where: {field: properties.revenue, op: gt, value: 10}
  without: [{event: cart_remove}]
window: 1d
by: {dimension: country}
---
kind: audience
name: nearly
funnel:
  funnel: {funnel: checkout}
  level: 1
  state: stuck
---
kind: board
name: shop
title: The shop today
charts:
- title: Orders
  query:
    zone: Europe/Berlin
    range: {last: 28d}
    series: {of: [{event: purchase}], count: users, per: day, by: {dimension: device}}
  width: full
- title: Nearly buyers
  query: {audience: {audience: nearly}, users: {}}
- title: From the cart to the order
  query: {range: {last: 7d}, funnel: {funnel: checkout}}
- title: Countries
  query: {breakdown: {by: [{dimension: country}]}}
  as: table
`

func TestBoards(t *testing.T) {
	set, problems := NewSet(1, mustParse(t, boarded))
	if problems != nil {
		t.Fatal(problems)
	}
	again, err := Marshal(set.Documents())
	if err != nil {
		t.Fatal(err)
	}
	read, problems := NewSet(1, mustParse(t, string(again)))
	if problems != nil {
		t.Fatalf("%v in\n%s", problems, again)
	}
	if diff := cmp.Diff(set.Boards, read.Boards); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(set.Funnels, read.Funnels); diff != "" {
		t.Error(diff)
	}
	q, err := measure.Resolve(&set.Boards["shop"].Charts[2].Query, set)
	if err != nil {
		t.Fatal(err)
	}
	if f := q.Funnel; len(f.Steps) != 2 || f.By == nil || f.By.Dimension != "" || f.Funnel != "" {
		t.Errorf("the saved funnel is not in the place of its name: %+v", f)
	}
	if q, err = measure.Resolve(set.Audiences["nearly"].Query(), set); err != nil {
		t.Fatal(err)
	}
	if in := q.Audience.Funnel; len(in.Funnel.Steps) != 2 || in.Funnel.By != nil {
		t.Errorf("the place in a saved funnel: %+v", in)
	}
}

func TestBoardsRefused(t *testing.T) {
	refuse := func(text, want string) {
		t.Helper()
		docs, problems := Parse("x.yaml", []byte(text))
		if problems == nil {
			_, problems = NewSet(1, docs)
		}
		if problems == nil || !strings.Contains(problems.Error(), want) {
			t.Errorf("%s\n got %v, want %q", text, problems, want)
		}
	}
	refuse("kind: funnel\nname: f\nwindow: 1h\n", "has 0 steps")
	refuse("kind: funnel\nname: f\nsteps: [{event: a}]\n", "window")
	refuse("kind: funnel\nname: f\nfunnel: g\n", "only refers to another one")
	refuse("kind: funnel\nname: f\nwindow: 1h\nsteps:\n- event: a\n- event: b\n  wher: {}\n", "x.yaml:7:3")
	refuse("kind: funnel\nname: f\nwindow: 1h\nsteps: [{event: a}]\nby: {dimension: contry}\n", "did you mean country?")
	refuse("kind: audience\nname: a\nfunnel: {funnel: {funnel: f}, level: 1, state: stuck}\n", `funnel "f" does not exist`)
	refuse("kind: audience\nname: a\nfunnel: {funnel: {funnel: f}, level: 3, state: stuck}\n---\nkind: funnel\nname: f\nwindow: 1h\nsteps: [{event: a}]\n", "3 is not from 1 to 1")
	refuse("kind: audience\nname: a\nfunnel: {funnel: {funnel: f, window: 1h}, level: 1, state: stuck}\n", "leave out its steps")

	chart := func(query, rest string) string {
		return "kind: board\nname: b\ncharts:\n- title: t\n  query: " + query + "\n" + rest
	}
	refuse(chart(`{users: {}}`, "  as: bars\n"), `"bars" does not show users`)
	refuse(chart(`{users: {}}`, "  width: third\n"), "is not a width")
	refuse(chart(`{users: {}, live: {minutes: 5}}`, ""), "x.yaml:5")
	refuse(chart(`{live: {minutes: 5}}`, ""), "a board does not show live")
	refuse(chart(`{asOf: "2026-05-01T00:00:00Z", users: {}}`, ""), "charts[0].query.asOf")
	refuse(chart(`{audience: {audience: vip}, users: {}}`, ""), `audience "vip" does not exist`)
	refuse(chart(`{funnel: {funnel: f}}`, ""), `funnel "f" does not exist`)
	refuse(chart(`{breakdown: {by: [{dimension: contry}]}}`, ""), "did you mean country?")
	refuse(chart(`{series: {of: [{event: x}], per: fortnight}}`, ""), "charts[0].query.series.per")
	refuse(chart(`{userz: {}}`, ""), `unknown field "userz"`)
	refuse("kind: board\nname: b\ncharts:\n- query: {users: {}}\n", "charts[0].title")
	refuse("kind: board\nname: b\ncharts:\n"+strings.Repeat("- {title: t, query: {users: {}}}\n", 25), "more than 24")
}
