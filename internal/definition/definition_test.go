package definition

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

const shop = `kind: source
name: shop
writeKey: shop-key
origins: ["https://shop.example"]
trustUserIds: true
---
kind: trigger
name: three-wins
pattern:
  - event: win
    times: 3
    consecutive: true
scope: [win, loss]
within: 10m
reentry: {cooldown: 1d}
---
kind: audience
name: vip
where: {all: [{field: traits.plan, op: eq, value: gold}]}
---
kind: template
name: wow
channel: web
as: popup
body: |
  <h2>{{ profile.traits.firstName | default: 'You' }}: +50 %</h2>
  <p>now</p>
---
kind: campaign
name: winners
when: {trigger: three-wins}
who: [vip]
what: [{channel: web, template: wow, weight: 1}]
limits: {cap: {count: 1, per: 24h}, holdout: 10%}
goal: {event: purchase, within: 3d, value: properties.revenue}
status: live
`

func mustParse(t *testing.T, text string) []Document {
	t.Helper()
	docs, problems := Parse("shop.yaml", []byte(text))
	if problems != nil {
		t.Fatalf("Parse: %v", problems)
	}
	return docs
}

func TestSet(t *testing.T) {
	set, problems := NewSet(7, mustParse(t, shop))
	if problems != nil {
		t.Fatal(problems)
	}
	if got := set.CampaignsOn("three-wins"); len(got) != 1 || got[0].Name != "winners" {
		t.Errorf("CampaignsOn = %v", got)
	}
	if got := set.Triggers["three-wins"].Reentry.Cooldown.String(); got != "24h" {
		t.Errorf("cooldown = %s", got)
	}
	if share, err := set.Campaigns["winners"].HoldoutShare(); share != 0.1 || err != nil {
		t.Errorf("holdout = %v, %v", share, err)
	}
}

// What Marshal writes, Parse reads as the same.
func TestRoundTrip(t *testing.T) {
	docs := mustParse(t, shop+"---\n"+greeting+`---
kind: trigger
name: browsing
pattern:
  - all: [search, {event: view, where: {field: properties.kind, op: eq, value: shoe}}]
  - {event: view, distinct: properties.id, times: 3, without: [purchase]}
  - {absent: purchase, for: 1h}
within: 1h
by: {search: properties.shop, view: properties.shop}
delay: 5m
cancel: [purchase]
`)
	out, err := Marshal(docs)
	if err != nil {
		t.Fatal(err)
	}
	again, problems := Parse("again.yaml", out)
	if problems != nil {
		t.Fatalf("%v\n%s", problems, out)
	}
	specs := func(ds []Document) (s []any) {
		for _, d := range ds {
			s = append(s, d.Spec)
		}
		return s
	}
	if diff := cmp.Diff(specs(docs), specs(again)); diff != "" {
		t.Errorf("%s\n%s", diff, out)
	}
	for _, d := range docs {
		b, err := MarshalSpec(d.Spec)
		if err != nil {
			t.Fatal(err)
		}
		back, err := DecodeSpec(d.Kind, b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(d.Spec, back); diff != "" {
			t.Errorf("%s as JSON: %s\n%s", d.Ref(), diff, b)
		}
	}
}

// Every mistake is one message with its place and, where one helps, a hint.
func TestProblems(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		docs, problems := Parse("f.yaml", []byte(text))
		if problems == nil {
			_, problems = NewSet(1, docs)
		}
		if got := problems.Error(); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
	f("name: x", "f.yaml:1:5: kind is missing (one of source, event, dimension, audience, trigger, template, channel, campaign, collection, stream, settings, funnel, board)")
	f("kind: tirgger\nname: x", `f.yaml:1:5: kind "tirgger" is not known (one of source, event, dimension, audience, trigger, template, channel, campaign, collection, stream, settings, funnel, board)`)
	f("kind: source\nname: s\nwritekey: k", `f.yaml:3:1: source s: unknown field "writekey" (did you mean writeKey?)`)
	f("kind: source\nname: s\nwriteKey: a\nwriteKey: b", `f.yaml:4:1: mapping key "writeKey" already defined at [3:1]`)
	f("kind: source\nname: a b", `f.yaml:1:5: source a b: name "a b" cannot be used (1 to 64 letters, digits, - _ and ., beginning with a letter or digit)`)
	f("- a", "f.yaml:1:1: a definition is a map that begins with its kind (kind: trigger)")
	f("kind: event\nname: heed.x", "f.yaml:2:7: event heed.x: name: names beginning with heed. are Heed's own")
	f("kind: source\nname: heed", "f.yaml:2:7: source heed: name: is the source of Heed's own events")
	f("kind: source\nname: a\nwriteKey: x\n---\nkind: source\nname: b\nserverKey: x", "f.yaml:7:12: source b: serverKey: is a key of source a too (keys are unique)")
	f("kind: event\nname: x\n---\nkind: event\nname: x", "f.yaml:5:7: event x: name: is defined twice (first in f.yaml)")
	f("kind: template\nname: t\nchannel: web\nas: pop-up\nbody: x", `f.yaml:4:5: template t: as: "pop-up" is not a way to show web content (popup, banner, slot:<name> or inline)`)
	f("kind: template\nname: t\nchannel: web\nas: popup\nbody: '{{ evnt.name }}'", `f.yaml:5:7: template t: body: line 1: nothing is called "evnt" here: templates read event, profile, pull, campaign, activation, unsubscribe_url and confirm_url`)
	f("kind: template\nname: t\nchannel: wbe\nas: popup\nbody: x", `f.yaml:3:10: template t: channel: channel "wbe" does not exist (did you mean web?)`)
	f("kind: campaign\nname: c\nwhen: {trigger: x}\nwhat:\n  - {channel: outbox, template: t}\nstatus: live\n",
		"f.yaml:3:17: campaign c: when.trigger: trigger \"x\" does not exist (there is no trigger yet)\n"+
			"f.yaml:5:33: campaign c: what[0].template: template \"t\" does not exist (there is no template yet)")
	f("kind: event\nname: &a x\n", "f.yaml:2:7: event x: anchors, aliases and merge keys are not supported: write it out")
	f("kind: trigger\nname: t\npattern: [{event: a}]\nreentry: never", `f.yaml:4:10: trigger t: "never": write every, once or {cooldown: 24h}`)
	f("kind: trigger\nname: t\npattern: [{event: a}]\nwithin: 10", `f.yaml:4:9: trigger t: period "10": write it like 90s, 10m, 24h or 3d`)
}

// What one row cannot answer exactly, and every mistake in a trigger, is one
// message with its place.
func TestTriggerProblems(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		docs, problems := Parse("f.yaml", []byte("kind: trigger\nname: t\n"+body))
		if problems == nil {
			_, problems = NewSet(1, docs)
		}
		if len(problems) != 1 || !strings.HasPrefix(problems.Error(), "f.yaml:"+want) || strings.Contains(problems.Error(), "\n") {
			t.Errorf("%s\ngot  %v\nwant f.yaml:%s", body, problems, want)
		}
	}
	f("pattern:\n  - event: a\n  - event: b\n    min_gap: 5m\nwithin: 1h", "6:5: trigger t: min_gap: a minimum gap cannot be said: a row keeps the newest time")
	f("pattern:\n  - event: a\n  - {event: b, after: 5m}\nwithin: 1h", "5:16: trigger t: after: a minimum gap cannot be said")
	f("pattern: [{event: a, times: 3, sum: {field: properties.price, op: gt, value: 100}}]\nwithin: 1h", "3:32: trigger t: sum: a sum over a sliding window cannot be said")
	f("pattern: [{event: a}]\ncollect: [a]", "4:1: trigger t: collect: the contents of all matched events are not kept")
	f("pattern: [{event: a}]\npayloads: all", "4:1: trigger t: payloads: the contents of all matched events")
	f("pattern: [{event: a}, {event: b, where: {field: properties.price, op: gt, value: {step: 1, field: properties.price}}}]\nwithin: 1h",
		"3:82: trigger t: pattern[1].where.value: is a map: a condition compares with a fixed text, number, true or false. It cannot refer to another step")
	f("pattern: [{event: a}, {event: b, where: {field: properties.price, op: gt, step: 1}}]\nwithin: 1h", "3:75: trigger t: step: steps cannot be compared")
	f("pattern: [{event: a}, {event: b}]", "1:5: trigger t: within: is missing")
	f("pattern: [{event: a}, {event: b}]\nwithin: 31d", "4:9: trigger t: within: must be between 1µs and 30d")
	f("pattern: [{event: a}, {event: b}]\nwithin: soon", "4:9: trigger t: period \"soon\"")
	f("pattern: [{event: a, tims: 3}]", "3:22: trigger t: unknown field \"tims\" (did you mean times?)")
	f("pattern: [{event: a, times: x}]", "3:29: trigger t: ")
	f("pattern: {event: a}", "3:10: trigger t: ")
	f("pattern: []", "3:10: trigger t: pattern: has no step")
	f("pattern: [{event: a, where: {field: properties.a, op: is, value: 1}}]", "3:55: trigger t: pattern[0].where.op: \"is\" is unknown")
	f("pattern: [{event: a, where: {field: properties.a, op: in, value: 1}}]", "3:66: trigger t: pattern[0].where.value: in takes a list")
	f("pattern: [{event: a, where: {field: properties.a, op: eq, value: [1]}}]", "3:66: trigger t: pattern[0].where.value: is a list: only in")
	f("pattern: [{event: a, where: {field: properties.a, op: matches, value: '('}}]", "3:71: trigger t: pattern[0].where.value: is not a regular expression")
	f("pattern: [{event: a, where: {all: [{field: a, op: eq, value: 1}]}}]", "3:44: trigger t: pattern[0].where.all[0].field: \"a\": write event.*")
	f("pattern: [{all: [a, {event: b, were: 1}]}]\nwithin: 1h", "3:32: trigger t: unknown field \"were\" (did you mean where?)")
	f("pattern: [{all: [a, 3]}]\nwithin: 1h\nreset: [a]", "5:9: trigger t: reset[0]: \"a\" is a step too")
	f("pattern: [{all: [a, {event: b, where: {field: x, op: eq, value: 1}}]}]\nwithin: 1h", "3:47: trigger t: pattern[0].all[1].where.field: ")
	f("pattern: [{all: [a, a]}]\nwithin: 1h", "3:21: trigger t: pattern[0].all[1]: \"a\" is there twice")
	f("pattern: [{event: a, distinct: properties.x}]\nwithin: 1h", "3:11: trigger t: pattern[0].times: is missing: distinct takes")
	f("pattern: [{event: a}, {all: [b, c], strict: true}]\nwithin: 1h", "3:45: trigger t: pattern[1].strict: does not go with all")
	f("pattern: [{event: a}]\naudience: vip", "4:11: trigger t: audience: audience \"vip\" does not exist")
	f("pattern: [{event: a}]\nby: {a: id}", "4:9: trigger t: by.a: \"id\": write event.*")
	f("pattern: [{event: a}]\nreentry: sometimes", "4:10: trigger t: \"sometimes\": write every, once")
	f("pattern: [{event: a}]\nlimit: {count: 0, per: 1h}", "4:16: trigger t: limit.count: must be between")
	f("pattern: [{event: a}]\ndelay: -5m", "4:8: trigger t: ")
}

func TestHostileInput(t *testing.T) {
	f := func(name, text, want string) {
		t.Helper()
		_, problems := Parse("f.yaml", []byte(text))
		if !strings.Contains(problems.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, problems, want)
		}
	}
	f("deep", "kind: event\nname: "+strings.Repeat("[", 100_000), "nested too deeply")
	f("large", strings.Repeat("# comment\n", MaxBytes/10+1), "larger than")
	f("many", strings.Repeat("kind: event\nname: x\n---\n", MaxDocuments+1), "more than")
	// The parser would take minutes for these.
	keys := func(n int) string {
		var b strings.Builder
		b.WriteString("kind: event\nname: x\n")
		for i := range n {
			fmt.Fprintf(&b, "k%d: 1\n", i)
		}
		return b.String()
	}
	f("keys", keys(300_000), "too many keys in one document")
	f("documents of keys", strings.Repeat(keys(2_000)+"---\n", 20), "too many keys")
	f("dashes", "kind: trigger\npattern: "+strings.Repeat("- ", 1_000_000), "nested too deeply")
	f("dashes below", "kind: trigger\npattern:\n  "+strings.Repeat("- ", 1_000_000), "nested too deeply")
	f("nested", "kind: audience\nname: x\nwhere: "+strings.Repeat("{not: ", 100)+"{}"+strings.Repeat("}", 100), "nested too deeply")
}

func TestLoadDir(t *testing.T) {
	fsys := fstest.MapFS{
		"a/wow.yaml":   {Data: []byte("kind: template\nname: wow\nchannel: web\nas: popup\nbodyFile: wow.html\n")},
		"a/wow.html":   {Data: []byte("<b>wow</b>")},
		"b.yml":        {Data: []byte("kind: template\nname: out\nchannel: web\nas: popup\nbodyFile: ../secret\n")},
		"c.json":       {Data: []byte(`{"kind": "event", "name": "win"}`)},
		".git/x.yaml":  {Data: []byte("garbage: [")},
		"readme.md":    {Data: []byte("not a definition")},
		"missing.yaml": {Data: []byte("kind: template\nname: gone\nchannel: web\nas: popup\nbodyFile: gone.html\n")},
	}
	docs, problems := LoadDir(fsys, ".")
	var refs []string
	for _, d := range docs {
		refs = append(refs, d.Ref())
	}
	if diff := cmp.Diff([]string{"template/wow", "event/win"}, refs); diff != "" {
		t.Error(diff)
	}
	if body := docs[0].Spec.(*Template).Body; body != "<b>wow</b>" {
		t.Errorf("body = %q", body)
	}
	want := "b.yml:5:11: template out: bodyFile: \"../secret\" is outside the folder (a path beside the YAML file)\n" +
		"missing.yaml:5:11: template gone: bodyFile: gone.html does not exist"
	if got := problems.Error(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(shop))
	f.Add([]byte(`{"kind": "event", "name": "x"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		docs, problems := Parse("f.yaml", data)
		if problems == nil {
			_, problems = NewSet(1, docs)
		}
		_ = fmt.Sprint(problems)
	})
}
