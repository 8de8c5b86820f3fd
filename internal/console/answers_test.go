package console_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hamba/avro/v2/ocf"

	"heed/internal/console"
	"heed/internal/console/api"
	"heed/internal/documents"
	"heed/internal/event"
	"heed/internal/profile"
)

func mustURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func query(coll string) documents.Query { return documents.Query{Collection: coll} }

const definitions = `
kind: source
name: shop
writeKey: shop-key
serverKey: very-secret-key
---
kind: trigger
name: three-wins
pattern: [{event: win, times: 3}]
within: 10m
---
kind: audience
name: vip
where: {field: traits.vip, op: eq, value: true}
---
kind: template
name: wow
channel: outbox
body: "<b>hi</b>"
---
kind: campaign
name: winners
when: {trigger: three-wins}
who: [vip]
what: [{channel: outbox, template: wow}]
status: live
`

func TestDefinitions(t *testing.T) {
	w := newWorld(t)
	c := w.as(adminToken)
	apply := func(text, args string) answer {
		t.Helper()
		return c.send("POST", "/api/v1/definitions:apply"+args, text)
	}

	if r := ok[api.Applied](apply(definitions, "?dryRun=true")); !r.DryRun || r.Created != 5 {
		t.Errorf("dry run: %+v", r)
	}
	if l := ok[api.DefinitionList](c.get("/definitions")); len(l.Definitions) != 0 {
		t.Errorf("a dry run stored %+v", l)
	}
	if r := ok[api.Applied](apply(definitions, "")); r.Created != 5 || r.Revision != 1 {
		t.Errorf("apply: %+v", r)
	}
	if r := ok[api.Applied](apply(definitions, "")); r.Unchanged != 5 || r.Revision != 1 {
		t.Errorf("again: %+v", r)
	}
	export := c.get("/definitions:export")
	if !strings.Contains(string(export.body), "***") || strings.Contains(string(export.body), "very-secret-key") || export.head.Get("Content-Type") != "text/yaml; charset=utf-8" {
		t.Errorf("export: %v %s", export.head, export.body)
	}
	if r := ok[api.Applied](apply(string(export.body), "")); r.Unchanged != 5 {
		t.Errorf("the export applied: %+v", r)
	}
	l := ok[api.DefinitionList](c.get("/definitions"))
	if len(l.Definitions) != 5 || l.Revision != 1 || bytes.Contains(c.get("/definitions").body, []byte("very-secret")) {
		t.Errorf("list: %+v", l)
	}
	if l := ok[api.DefinitionList](c.get("/definitions/trigger")); len(l.Definitions) != 1 {
		t.Errorf("list of triggers: %+v", l)
	}

	// Problems say where.
	e := apply("kind: trigger\nname: x\npattern: [{event: win}]\nwithn: 10m\n", "?file=x.yaml").fails(422, "invalid")
	if len(e.Problems) != 1 || e.Problems[0].Line != 4 || e.Problems[0].File != "x.yaml" || !strings.Contains(e.Problems[0].Hint, "within") {
		t.Errorf("problems: %+v", e.Problems)
	}
	c.send("POST", "/api/v1/definitions:apply", `[{"kind":"campaign","name":"x","when":{"trigger":"nothing"},"what":[{"channel":"web","template":"no"}],"status":"live"}]`).fails(422, "invalid")
	c.send("PUT", "/api/v1/definitions/trigger/x", "{\n\t\"pattern\": [{\"event\": \"win\"}],\n\t\"within\": \"x\"}").fails(422, "invalid")

	// An editor asks before it saves.
	check := func(spec string) []api.Problem {
		t.Helper()
		return ok[api.Checked](c.send("POST", "/api/v1/definitions:check", `{"kind": "trigger", "name": "x", "spec": `+spec+`}`)).Problems
	}
	if p := check(`{"pattern": [{"event": "win"}]}`); len(p) != 0 {
		t.Errorf("a good one: %+v", p)
	}
	if p := check(`{"pattern": [{"event": "win", "times": 2}]}`); len(p) != 1 || p[0].Path != "within" {
		t.Errorf("no window: %+v", p)
	}
	if p := check(`{"pattern": [{"event": "win"}], "audience": "nobody"}`); len(p) != 1 || p[0].Path != "audience" {
		t.Errorf("no such audience: %+v", p)
	}
	if p := check(`{"pattern": [{"event": "win"}], "withn": "1m"}`); len(p) != 1 {
		t.Errorf("an unknown key: %+v", p)
	}
	c.get("/definitions/trigger/x").fails(404, "not_found")

	// One at a time, with versions.
	spec := "{\n\t\"pattern\": [{\"event\": \"win\", \"times\": 2}], \"within\": \"10m\"}"
	put := c.with("If-Match", `"1"`).send("PUT", "/api/v1/definitions/trigger/three-wins", spec)
	if r := ok[api.Applied](put); r.Updated != 1 || put.head.Get("ETag") != `"2"` {
		t.Errorf("put: %+v %v", r, put.head)
	}
	c.with("If-Match", `"1"`).send("PUT", "/api/v1/definitions/trigger/three-wins", spec).fails(412, "conflict")
	c.with("If-None-Match", "*").send("PUT", "/api/v1/definitions/trigger/three-wins", spec).fails(412, "conflict")
	c.with("If-Match", "x").send("PUT", "/api/v1/definitions/trigger/three-wins", spec).fails(400, "bad_request")
	got := c.get("/definitions/trigger/three-wins")
	if d := ok[api.Definition](got); d.Version != 2 || d.Author != "admin-token" || !strings.Contains(string(d.Spec), `"times":2`) || got.head.Get("ETag") != `"2"` {
		t.Errorf("get: %+v", d)
	}
	if v := ok[api.VersionList](c.get("/definitions/trigger/three-wins/versions")); len(v.Versions) != 2 || v.Versions[0].Version != 2 {
		t.Errorf("versions: %+v", v)
	}
	c.send("DELETE", "/api/v1/definitions/trigger/three-wins", nil).fails(422, "invalid") // winners refers to it
	c.with("If-Match", `"9"`).send("DELETE", "/api/v1/definitions/campaign/winners", nil).fails(412, "conflict")
	ok[api.Applied](c.send("DELETE", "/api/v1/definitions/campaign/winners", nil))
	c.get("/definitions/campaign/winners").fails(404, "not_found")
	c.send("DELETE", "/api/v1/definitions/campaign/winners", nil).fails(404, "not_found")
	c.get("/definitions/trigger/none").fails(404, "not_found")
	c.get("/definitions/nonsense").fails(404, "not_found")
	what := []string{}
	for _, e := range ok[api.AuditList](c.get("/audit?limit=3")).Entries {
		what = append(what, e.Who+" "+e.What+" "+e.Subject)
	}
	want := []string{"admin-token delete campaign/winners", "admin-token apply trigger/three-wins"}
	if d := cmp.Diff(want, what[:2]); d != "" {
		t.Errorf("audit: -want +got\n%s", d)
	}
}

func win(user string, i int) event.Event {
	return event.Event{MessageID: fmt.Sprint(user, "-", i), Name: "win", UserID: user, Properties: fmt.Appendf(nil, `{"i":%d}`, i)}
}

func TestHome(t *testing.T) {
	w := newWorld(t)
	c := w.as(adminToken)
	done := func() (ids []string) {
		for _, s := range ok[api.Home](c.get("/home")).Checklist {
			if s.Evidence == "" || s.Href == "" {
				t.Errorf("step without evidence or page: %+v", s)
			}
			if s.Done {
				ids = append(ids, string(s.Id))
			}
		}
		return ids
	}
	if d := cmp.Diff([]string{"connect_channel"}, done()); d != "" {
		t.Errorf("at first: -want +got\n%s", d)
	}
	ok[api.Applied](c.send("POST", "/api/v1/definitions:apply", definitions))
	w.add(win("u1", 1))
	w.user("u1", win("u1", 1))
	w.message(1)
	want := []string{"send_event", "see_user", "build_audience", "connect_channel", "test", "launch"}
	if d := cmp.Diff(want, done()); d != "" {
		t.Errorf("at last: -want +got\n%s", d)
	}
	h := ok[api.Home](c.get("/home"))
	if h.Source.WriteKey != "shop-key" || !strings.Contains(h.Source.Curl, "shop-key") || !strings.Contains(h.Source.Snippet, w.server.URL+"/heed.js") {
		t.Errorf("source: %+v", h.Source)
	}
	if !h.Demo || len(h.Tour) != 1 || h.Figures.LiveCampaigns != 1 || h.Figures.Newest.IsZero() {
		t.Errorf("home: %+v", h)
	}
	eventually(t, "the active user", func() bool { return ok[api.Home](c.get("/home")).Figures.ActiveUsers == 1 })

	// what somebody sent once stays live for its receipts, and is no live campaign
	ok[api.Applied](c.send("POST", "/api/v1/definitions:apply",
		"{kind: campaign, name: sent, when: {once: order-1}, what: [{channel: outbox, template: wow}], status: live}"))
	if n := ok[api.Home](c.get("/home")).Figures.LiveCampaigns; n != 1 {
		t.Errorf("%d live campaigns beside one that was sent once", n)
	}
}

// lines opens a stream and passes its lines on.
func (w *world) lines(path string) (next func() string, end func()) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), "GET", w.server.URL+"/api/v1"+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+adminToken)
	res, err := w.server.Client().Do(req) //nolint:bodyclose // end closes it
	if err != nil {
		w.t.Fatal(err)
	}
	if res.StatusCode != 200 {
		w.t.Fatalf("%s: %d", path, res.StatusCode)
	}
	s := bufio.NewScanner(res.Body)
	s.Buffer(nil, 1<<20)
	return func() string {
		if !s.Scan() {
			return ""
		}
		return s.Text()
	}, func() { _ = res.Body.Close() }
}

func TestLive(t *testing.T) {
	w := newWorld(t)
	w.add(win("u0", 0))
	next, end := w.lines("/live")
	defer end()
	user, endUser := w.lines("/live?user=u2")
	defer endUser()
	// until reads events until one is of that name and satisfies.
	until := func(next func() string, name string, enough func(data string) bool) {
		t.Helper()
		for event := ""; ; {
			line := next()
			if line == "" && event == "end" {
				t.Fatalf("no %s came", name)
			}
			if e, ok := strings.CutPrefix(line, "event: "); ok {
				event = e
			}
			if data, ok := strings.CutPrefix(line, "data: "); ok && event == name && enough(data) {
				return
			}
		}
	}
	var seen []string
	sees := func(name string) func(string) bool {
		return func(data string) bool {
			var v api.LiveEvents
			if err := json.Unmarshal([]byte(data), &v); err != nil {
				t.Fatal(err)
			}
			for _, e := range v.Events {
				seen = append(seen, e.Event+" "+e.User)
			}
			return slices.Contains(seen, name)
		}
	}
	until(next, "stats", func(string) bool { return true })
	until(next, "triggers", func(data string) bool { return strings.Contains(data, "three-wins") })
	w.add(win("u1", 1), win("u2", 1))
	w.add(event.Event{Name: event.NameDelivery, UserID: "u2", Source: event.SourceHeed, Properties: []byte(`{"status":"refused","reason":"cap","campaign":"winners"}`)})
	until(next, "events", sees("win u2"))
	until(next, "deliveries", func(data string) bool { return strings.Contains(data, `"cap"`) })
	until(next, "stats", func(data string) bool {
		return strings.Contains(data, `"eventsPerSecond"`) && strings.Contains(data, `"win"`)
	})
	seen = nil
	until(user, "events", sees("win u2"))
	if slices.ContainsFunc(seen, func(s string) bool { return !strings.HasSuffix(s, "u2") }) {
		t.Errorf("u2's view shows %v", seen)
	}
}

func TestEvents(t *testing.T) {
	w := newWorld(t)
	c := w.as(adminToken)
	for i := range 30 {
		w.add(win(fmt.Sprint("u", i%5), i))
	}
	w.add(event.Event{Type: event.System, Name: event.NameTick, UserID: "u1"}, event.Event{Name: "loss", UserID: "u1", MessageID: "l"})
	f := func(args string, want int) []string {
		t.Helper()
		a := c.get("/events" + args)
		lines := strings.FieldsFunc(string(a.body), func(r rune) bool { return r == '\n' })
		if a.status != 200 || len(lines) != want {
			t.Errorf("%s: %d, %d lines, want %d", args, a.status, len(lines), want)
		}
		for _, line := range lines {
			var v map[string]any
			if err := json.Unmarshal([]byte(line), &v); err != nil || v["messageId"] == nil && v["type"] != "system" || v["source"] != "shop" {
				t.Fatalf("%s: %v in %s", args, err, line)
			}
		}
		return lines
	}
	f("", 31)
	f("?internal=true", 32)
	f("?limit=7", 7)
	f("?user=u1", 7)
	f("?user=u1&name=win", 6)
	f("?name=loss", 1)
	f("?from=now", 0)
	f("?from=1h", 31)
	f("?from=2100-01-01T00:00:00Z", 0)
	f("?until=2000-01-01T00:00:00Z", 0)
	f("?from=earliest&until=2100-01-01T00:00:00Z", 31)
	var order []string
	for _, line := range f("?user=u2", 6) {
		var v struct{ MessageID string }
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		order = append(order, v.MessageID)
	}
	if d := cmp.Diff([]string{"u2-2", "u2-7", "u2-12", "u2-17", "u2-22", "u2-27"}, order); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	next, end := w.lines("/events?follow=true&user=u3")
	defer end()
	w.add(win("u2", 99), win("u3", 100))
	if line := next(); !strings.Contains(line, "u3-100") {
		t.Errorf("followed: %q", line)
	}
}

// A time is found whatever gaps the log has.
func TestEventsFromATime(t *testing.T) {
	w := newWorld(t)
	var times []time.Time
	for i := range 40 {
		times = append(times, time.Now())
		w.add(win("u1", i))
		time.Sleep(time.Millisecond)
	}
	for i := 0; i < 40; i += 3 {
		a := w.as(adminToken).get("/events?from=" + times[i].UTC().Format("2006-01-02T15:04:05.999999Z"))
		if n := bytes.Count(a.body, []byte("\n")); n != 40-i {
			t.Errorf("from before event %d: %d events, want %d", i, n, 40-i)
		}
	}
}

func TestExportEvents(t *testing.T) {
	w := newWorld(t)
	for i := range 100 {
		w.add(win(fmt.Sprint("u", i%5), i))
	}
	c := w.as(adminToken)
	a := c.get("/events:export?format=avro")
	d, err := ocf.NewDecoder(bytes.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for d.HasNext() {
		var v map[string]any
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 100 || d.Error() != nil || a.head.Get("Content-Type") != "application/avro" {
		t.Errorf("%d events, %v, %v", n, d.Error(), a.head)
	}
	if lines := bytes.Count(c.get("/events:export?format=jsonl").body, []byte("\n")); lines != 100 {
		t.Errorf("%d lines", lines)
	}
	w.as("").get("/events:export").fails(401, "not_signed_in")
}

func TestUsers(t *testing.T) {
	w := newWorld(t)
	c := w.as(adminToken)
	if l := ok[api.UserList](c.get("/users")); len(l.Users) != 0 || l.Users == nil || !l.Complete {
		t.Errorf("nobody: %+v", l)
	}
	ok[api.Applied](c.send("POST", "/api/v1/definitions:apply", definitions))
	for i := range 20 {
		id := fmt.Sprintf("user-%02d", i)
		w.user(id, event.Event{
			Type: event.Identify, Name: event.NameIdentify, UserID: id, AnonymousID: fmt.Sprint("anon-", i),
			Traits: fmt.Appendf(nil, `{"email":"u%d@example.com","name":"Name %d","vip":%t}`, i, i, i == 3),
			Context: event.Context{
				Verified: true, Country: "FI", Consent: []byte(`{"marketing":true}`), Campaign: event.CampaignContext{Source: "letter", Name: "autumn"},
			},
		})
	}
	f := func(q string, want ...string) {
		t.Helper()
		var got []string
		for _, u := range ok[api.UserList](c.get("/users?q=" + url.QueryEscape(q))).Users {
			got = append(got, u.Id)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q: -want +got\n%s", q, d)
		}
	}
	f("user-1", "user-10", "user-11", "user-12", "user-13", "user-14", "user-15", "user-16", "user-17", "user-18", "user-19")
	f("U7@example.com", "user-07")
	f("name 8", "user-08")
	f("anon-9", "user-09")
	f("nobody")
	if l := ok[api.UserList](c.get("/users?limit=5")); len(l.Users) != 5 || !l.More {
		t.Errorf("5 of 20: %+v", l)
	}
	u := ok[api.User](c.get("/users/user-03"))
	if !u.Known || u.Email.Value != "u3@example.com" || !u.Email.Verified || u.Country != "FI" || len(u.Traits) != 3 || len(u.Triggers) != 1 ||
		!slices.Equal(u.Audiences, []string{"vip"}) || !slices.Equal(u.AnonymousIds, []string{"anon-3"}) || len(u.Consent) != 1 {
		t.Errorf("user: %+v", u)
	}
	if l := u.LastTouch; l.Source != "letter" || l.Campaign != "autumn" || l.At.IsZero() {
		t.Errorf("last touch: %+v", l)
	}
	if u := ok[api.User](c.get("/users/user-04")); len(u.Audiences) != 0 {
		t.Errorf("user-04 is in %v", u.Audiences)
	}
	c.get("/users/nobody").fails(404, "not_found")

	// An id that turned out to be somebody's leads there; and there is shown what
	// happened under it.
	w.profile("anon-3", &profile.Profile{FirstSeen: 5, LastSeen: 5, Moved: profile.Move{To: "user-03", At: 9_000_000}})
	if u := ok[api.User](c.get("/users/anon-3")); u.MovedTo != "user-03" || u.MovedAt.Unix() != 9 {
		t.Errorf("moved to %q at %s", u.MovedTo, u.MovedAt)
	}
	if l := ok[api.UserList](c.get("/users?q=anon-3")); len(l.Users) != 2 || l.Users[0].MovedTo != "user-03" || l.Users[1].Id != "user-03" {
		t.Errorf("searched for the id: %+v", l.Users)
	}
	w.add(
		event.Event{Name: "before", AnonymousID: "anon-3", MessageID: "b"},
		event.Event{Name: "after", AnonymousID: "anon-3", UserID: "user-03", MessageID: "a"},
		event.Event{Name: "other", AnonymousID: "anon-4", MessageID: "o"},
	)
	var got []string
	for _, item := range ok[api.Timeline](c.get("/users/user-03/timeline")).Items {
		got = append(got, item.Event.Event)
	}
	slices.Sort(got)
	if d := cmp.Diff([]string{"after", "before"}, got); d != "" {
		t.Errorf("timeline: -want +got\n%s", d)
	}
}

// Pages backwards over everything are complete, ordered and without repeats,
// also with gaps in the offsets and records shown again.
func TestTimelineAndDeliveries(t *testing.T) {
	w := newWorld(t, func(c *console.Config, _ *console.Deps) { c.ScanBudget = 30 * time.Second })
	h := hostile()
	w.db.SetHostile(h)
	var wantU1, wantAll []string
	for i := range 700 {
		user := fmt.Sprint("u", i%7)
		w.add(win(user, i))
		if user == "u1" {
			wantU1 = append(wantU1, fmt.Sprint(user, "-", i))
		}
		if i%10 == 0 {
			w.add(event.Event{
				Name: event.NameDelivery, UserID: user, Source: event.SourceHeed, MessageID: fmt.Sprint("d", i),
				Properties: fmt.Appendf(nil, `{"status":"sent","campaign":"c%d","delivery":"d%d"}`, i%20/10, i),
			})
			wantAll = append(wantAll, fmt.Sprint("d", i))
			if user == "u1" {
				wantU1 = append(wantU1, fmt.Sprint("d", i))
			}
		}
	}
	slices.Reverse(wantU1)
	c := w.as(adminToken)
	for _, limit := range []int{1000, 37, 1} {
		var got []string
		for before, pages := "", 0; ; pages++ {
			page := ok[api.Timeline](c.get(fmt.Sprintf("/users/u1/timeline?limit=%d&before=%s", limit, before)))
			for _, item := range page.Items {
				if item.Kind == api.TimelineDelivery {
					got = append(got, item.Delivery.Delivery)
				} else {
					got = append(got, item.Event.MessageId)
				}
			}
			if before = page.Next; before == "" {
				if !page.Complete {
					t.Error("the last page is not complete")
				}
				break
			}
			if page.Complete || page.SearchedTo.IsZero() || pages > 300 {
				t.Fatalf("page %d: %+v", pages, page)
			}
		}
		if d := cmp.Diff(wantU1, got); d != "" {
			t.Errorf("limit %d: -want +got\n%s", limit, d)
		}
	}
	for _, limit := range []int{1000, 9} {
		var got []string
		last := time.Time{}
		for before := ""; ; {
			page := ok[api.DeliveryList](c.get(fmt.Sprintf("/deliveries?limit=%d&before=%s", limit, before)))
			for _, d := range page.Deliveries {
				got = append(got, d.Delivery)
				if !last.IsZero() && d.At.Sub(last) > 50*time.Millisecond {
					t.Errorf("%s at %s comes behind one at %s", d.Delivery, d.At, last)
				}
				last = d.At
			}
			if before = page.Next; before == "" {
				break
			}
		}
		slices.Sort(got)
		slices.Sort(wantAll)
		if d := cmp.Diff(wantAll, got); d != "" {
			t.Errorf("limit %d: -want +got\n%s", limit, d)
		}
	}
	if l := ok[api.DeliveryList](c.get("/deliveries?campaign=c1&limit=1000")); len(l.Deliveries) != 35 {
		t.Errorf("%d deliveries of c1, want 35", len(l.Deliveries))
	}
	if l := ok[api.DeliveryList](c.get("/deliveries?status=refused")); len(l.Deliveries) != 0 || !l.Complete {
		t.Errorf("refused: %+v", l)
	}
	if l := ok[api.DeliveryList](c.get("/deliveries?user=u1&limit=1000")); len(l.Deliveries) != 10 {
		t.Errorf("%d deliveries of u1, want 10", len(l.Deliveries))
	}
}

// A budget that is too short gives a page that says so, and a way on.
func TestTimelineBudget(t *testing.T) {
	w := newWorld(t, func(c *console.Config, d *console.Deps) {
		c.ScanBudget = 10 * time.Millisecond
		d.Clock = steps(4 * time.Millisecond)
	})
	for i := range 4000 {
		w.add(win("u1", i))
	}
	c := w.as(adminToken)
	got, pages := 0, 0
	for before := ""; ; pages++ {
		page := ok[api.Timeline](c.get("/users/u1/timeline?limit=1000&before=" + before))
		got += len(page.Items)
		if before = page.Next; before == "" {
			break
		}
	}
	if got != 4000 || pages < 2 {
		t.Errorf("%d events on %d pages", got, pages+1)
	}
}

func TestOutbox(t *testing.T) {
	w := newWorld(t)
	c := w.as(adminToken)
	var want []string
	for i := range 25 {
		want = append(want, w.message(i))
	}
	slices.Reverse(want)
	var got []string
	for before := ""; ; {
		page := ok[api.OutboxList](c.get("/outbox?limit=10&before=" + before))
		for _, m := range page.Messages {
			got = append(got, m.Id)
		}
		if before = page.Next; before == "" {
			break
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if m := ok[api.OutboxMessage](c.get("/outbox/" + want[0])); m.Html != "<b>hi</b>" || m.User != "u1" || m.Campaign != "winners" {
		t.Errorf("message: %+v", m)
	}
	m := ok[api.OutboxMessage](c.get("/outbox/" + w.message(25, "sms")))
	if m.As != "sms" || m.Text != "<b>hi</b>" || m.Html != "" || m.Sms != (api.SmsCount{Encoding: "GSM-7", Units: 9, Segments: 1}) {
		t.Errorf("as a text message: %+v", m)
	}
	c.get("/outbox/none").fails(404, "not_found")
}

func TestReportAndNames(t *testing.T) {
	w := newWorld(t)
	c := w.as(adminToken)
	ok[api.Applied](c.send("POST", "/api/v1/definitions:apply", definitions+"---\nkind: event\nname: deposit\nkey: true\n"))
	if r := ok[api.CampaignReport](c.get("/campaigns/winners/report")); r.Activations != 0 || r.Outcomes == nil {
		t.Errorf("report: %+v", r)
	}
	for i := range 3 {
		w.add(event.Event{
			Name: event.NameDelivery, UserID: fmt.Sprint("u", i), Source: event.SourceHeed,
			Properties: fmt.Appendf(nil, `{"status":%q,"campaign":"winners"}`, []string{"sent", "sent", "refused"}[i]),
		})
	}
	eventually(t, "the report", func() bool {
		r := ok[api.CampaignReport](c.get("/campaigns/winners/report"))
		return r.Activations == 3 && r.Sent == 2
	})
	c.get("/campaigns/none/report").fails(404, "not_found")
	w.add(win("u1", 1))
	eventually(t, "the names", func() bool {
		names := ok[api.EventNameList](c.get("/event-names")).Names
		return slices.ContainsFunc(names, func(n api.EventName) bool { return n.Name == "win" && n.Count == 1 && !n.Declared }) &&
			slices.ContainsFunc(names, func(n api.EventName) bool { return n.Name == "deposit" && n.Declared && n.Key })
	})
	if b := ok[api.BadEventList](c.get("/bad-events")); len(b.Events) != 1 {
		t.Errorf("bad events: %+v", b)
	}
	if x := ok[api.TriggerExplanation](c.get("/users/a%2Fb/triggers/t")); x.User != "a/b" || x.Trigger != "t" {
		t.Errorf("explanation: %+v", x)
	}
	if p := ok[api.TriggerProgressList](c.get("/triggers/progress")); len(p.Triggers) != 1 {
		t.Errorf("progress: %+v", p)
	}
}

func TestOperation(t *testing.T) {
	w := newWorld(t)
	c := w.as(adminToken)
	if h := ok[api.Health](c.get("/health")); h.Status != api.HealthOK || h.Version != "test" || h.Roles == nil || h.Lags == nil {
		t.Errorf("health: %+v", h)
	}
	if d := ok[api.Demo](c.send("POST", "/api/v1/demo/crowd", `{"running":true}`)); !d.Crowd.Running {
		t.Errorf("crowd: %+v", d)
	}
	if d := ok[api.Demo](c.get("/demo")); !d.Enabled || !d.Crowd.Running {
		t.Errorf("demo: %+v", d)
	}
}

// Without the optional parts the answers say so.
func TestWithoutTheOptionalParts(t *testing.T) {
	w := newWorld(t, func(_ *console.Config, d *console.Deps) {
		d.Live, d.Progress, d.BadEvents, d.Demo, d.Pages = nil, nil, nil, nil, nil
	})
	c := w.as(adminToken)
	for _, path := range []string{"/home", "/event-names", "/bad-events", "/triggers/progress", "/health", "/demo", "/users"} {
		if a := c.get(path); a.status != 200 || bytes.Contains(a.body, []byte(":null")) {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	c.get("/live").fails(503, "unavailable")
	c.get("/campaigns/x/report").fails(503, "unavailable")
	c.send("POST", "/api/v1/demo/crowd", `{"running":true}`).fails(404, "no_demo")
}

func TestPages(t *testing.T) {
	w := newWorld(t)
	c := w.as("")
	plain := c.with("Accept-Encoding", "identity")
	for _, path := range []string{"/", "/explore", "/users/some.body@example.com"} {
		a := plain.with("Accept", "text/html").send("GET", path, nil)
		if a.status != 200 || !strings.Contains(string(a.body), "<title>Heed") || a.head.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %d %v", path, a.status, a.head)
		}
		csp := a.head.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self';", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: policy %q lacks %s", path, csp, want)
			}
		}
	}
	a := c.with("Accept-Encoding", "br, gzip").send("GET", "/assets/app-1234.js", nil)
	if a.head.Get("Content-Encoding") != "gzip" || !strings.Contains(a.head.Get("Cache-Control"), "immutable") || a.head.Get("Content-Type") != "text/javascript; charset=utf-8" {
		t.Errorf("asset: %v", a.head)
	}
	tag := a.head.Get("ETag")
	if b := c.with("Accept-Encoding", "gzip").with("If-None-Match", tag).send("GET", "/assets/app-1234.js", nil); b.status != 304 || len(b.body) != 0 {
		t.Errorf("with its tag: %d", b.status)
	}
	if b := plain.send("GET", "/assets/app-1234.js", nil); b.head.Get("Content-Encoding") != "" || b.head.Get("ETag") == tag || len(b.body) != 7500 {
		t.Errorf("plain: %v", b.head)
	}
	if b := c.with("Accept-Encoding", "gzip").send("GET", "/assets/f-1234.woff2", nil); b.head.Get("Content-Encoding") != "" {
		t.Error("a font was compressed again")
	}
	for _, path := range []string{"/assets/none.js", "/none.png", "/.keep"} {
		if b := plain.send("GET", path, nil); b.status != 404 {
			t.Errorf("%s: %d", path, b.status)
		}
	}
	if b := plain.send("POST", "/", nil); b.status != 405 {
		t.Errorf("POST /: %d", b.status)
	}
	if b := plain.send("GET", "/v1/track", nil); b.status != 404 {
		t.Errorf("another role's address: %d", b.status)
	}
}

// The committed code is what the generator makes of the committed spec.
func TestGeneratedCodeIsCurrent(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the generator")
	}
	dir := t.TempDir()
	out := filepath.Join(dir, "api.gen.go")
	cmd := exec.Command("go", "tool", "oapi-codegen", "-config", "codegen.yaml", "-o", out, "../../../api/openapi.yaml")
	cmd.Dir = "api"
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("the generator is not available: %v\n%s", err, text)
	}
	want, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("api/api.gen.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Error("api/openapi.yaml has changed: run go generate ./internal/console/api")
	}
}
