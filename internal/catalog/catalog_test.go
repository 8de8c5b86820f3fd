package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"heed/internal/catalog"
	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/driver/memory"
	"heed/internal/webpush"
)

type house struct {
	*catalog.Catalog
	t         *testing.T
	announced []int64
}

func open(t *testing.T, store documents.Store) *house {
	t.Helper()
	h := &house{t: t}
	var err error
	h.Catalog, err = catalog.Open(t.Context(), catalog.Config{
		Store: store,
		Key:   []byte("0123456789abcdef0123456789abcdef"),
		Now:   func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) },
		Log:   slog.New(slog.DiscardHandler),
		Random: func(b []byte) {
			for i := range b {
				b[i] = byte(rand.IntN(256))
			}
		},
		Getenv:     func(name string) (string, bool) { return "from " + name, name == "SHOP_SECRET" },
		ReadFile:   func(string) ([]byte, error) { return nil, os.ErrNotExist },
		OnRevision: func(_ context.Context, n int64) error { h.announced = append(h.announced, n); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// apply returns "action kind/name@version" for each change, or the error.
func (h *house) apply(text string, o catalog.Options) ([]string, error) {
	h.t.Helper()
	docs, problems := definition.Parse("f.yaml", []byte(text))
	if problems != nil {
		h.t.Fatal(problems)
	}
	o.Author = "ada"
	res, err := h.Apply(h.t.Context(), docs, o)
	var out []string
	for _, c := range res.Changes {
		out = append(out, fmt.Sprintf("%s %s/%s@%d", c.Action, c.Kind, c.Name, c.Version))
	}
	return out, err
}

func (h *house) want(text string, o catalog.Options, want ...string) {
	h.t.Helper()
	got, err := h.apply(text, o)
	if err != nil {
		h.t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		h.t.Error(diff)
	}
}

const source = "kind: source\nname: shop\nwriteKey: k\nsecret: %s\n"

func TestStreamSecrets(t *testing.T) {
	const stream = "kind: stream\nname: crm\ntopic: t\nuserId: key\nevent: e\nkafka: {brokers: ['k:1'], tls: {cert: c, key: hunter1}, sasl: {mechanism: scram-sha-512, user: u, password: %s}}\n" +
		"format: avro\navro: {framing: confluent, registry: 'https://r.example', user: u, password: hunter3}\n"
	h := open(t, memory.Open(memory.Config{}).Documents())
	h.want(fmt.Sprintf(stream, "hunter2"), catalog.Options{}, "created stream/crm@1")
	text, err := h.Export(t.Context())
	if err != nil || strings.Contains(string(text), "hunter") {
		t.Fatalf("%v\n%s", err, text)
	}
	h.want(string(text), catalog.Options{}, "unchanged stream/crm@1")
	draft := func(name, password string) (*definition.Stream, error) {
		docs, problems := definition.Parse("", []byte(strings.Replace(fmt.Sprintf(stream, password), "name: crm", "name: "+name, 1)))
		if err := problems.Err(); err != nil {
			t.Fatal(err)
		}
		spec, err := h.Draft(t.Context(), docs[0])
		if err != nil {
			return nil, err
		}
		return spec.(*definition.Stream), nil
	}
	for name, want := range map[string]string{"'***'": "hunter2", "hunter4": "hunter4"} {
		if d, err := draft("crm", name); err != nil || d.Kafka.SASL.Password != want || d.Kafka.TLS.Key != "hunter1" || d.Avro.Password != "hunter3" {
			t.Errorf("%v %+v", err, d)
		}
	}
	if _, err := draft("other", "'***'"); err == nil {
		t.Error("*** is the secret of another stream")
	}
}

func TestApply(t *testing.T) {
	store := memory.Open(memory.Config{}).Documents()
	h := open(t, store)
	event := "kind: event\nname: win\n"
	h.want(event, catalog.Options{DryRun: true}, "created event/win@1")
	if h.Current().Events["win"] != nil {
		t.Error("a dry run changed something")
	}
	h.want(event, catalog.Options{}, "created event/win@1")
	h.want(event, catalog.Options{}, "unchanged event/win@1")
	h.want(event+"key: true\n", catalog.Options{}, "updated event/win@2")
	if diff := cmp.Diff([]int64{1, 2}, h.announced); diff != "" {
		t.Errorf("announced revisions: %s", diff)
	}
	if !h.Current().Events["win"].Key || h.Current().Revision != 2 {
		t.Errorf("current = %+v", h.Current())
	}
	old, err := h.At(t.Context(), 1)
	if err != nil || old.Events["win"].Key {
		t.Errorf("At(1) = %+v, %v", old, err)
	}
	if _, err := h.At(t.Context(), 9); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("At(9): %v", err)
	}

	h.want("", catalog.Options{Delete: []string{"event/win"}}, "deleted event/win@3")
	if _, err := h.Get(t.Context(), "event", "win"); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("Get of what was deleted: %v", err)
	}
	h.want(event, catalog.Options{}, "created event/win@4")
	versions, err := h.Versions(t.Context(), "event", "win")
	if err != nil || len(versions) != 4 || !versions[2].Deleted || versions[3].Author != "ada" {
		t.Errorf("versions = %+v, %v", versions, err)
	}

	again := open(t, store)
	if diff := cmp.Diff(h.Current(), again.Current()); diff != "" {
		t.Errorf("opened again: %s", diff)
	}
	if err := again.Announce(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int64{4}, again.announced); diff != "" {
		t.Errorf("announced again: %s", diff)
	}
}

// A revision knows what its triggers were before the last edit of their pattern,
// whoever loads it.
func TestPrevious(t *testing.T) {
	store := memory.Open(memory.Config{}).Documents()
	h := open(t, store)
	trigger := func(event, more string) string {
		return "kind: trigger\nname: t\npattern: [{event: " + event + "}]\n" + more
	}
	for i, step := range []struct{ text, want string }{
		{trigger("a", ""), ""},
		{trigger("a", "description: still a\n"), ""},
		{trigger("b", ""), "a"},
		{trigger("b", "reentry: once\n"), "a"},
		{"kind: event\nname: win\n", "a"},
		{trigger("c", ""), "b"},
		{trigger("b", ""), "c"},
		{"", ""},
		{trigger("c", ""), ""}, // it was deleted
		{trigger("d", ""), "c"},
	} {
		o := catalog.Options{}
		if step.text == "" {
			o.Delete = []string{"trigger/t"}
		}
		if _, err := h.apply(step.text, o); err != nil {
			t.Fatal(err)
		}
		of := func(set *definition.Set) string {
			if d := set.Previous["t"]; d != nil {
				return d.Pattern[0].Event
			}
			return ""
		}
		if got := of(h.Current()); got != step.want {
			t.Errorf("step %d: previous is %q, want %q", i, got, step.want)
		}
		if got := of(open(t, store).Current()); got != step.want {
			t.Errorf("step %d, opened again: previous is %q, want %q", i, got, step.want)
		}
	}
}

// All of it, or nothing.
func TestTransaction(t *testing.T) {
	h := open(t, memory.Open(memory.Config{}).Documents())
	_, err := h.apply("kind: event\nname: a\n---\nkind: campaign\nname: c\nwhen: {trigger: gone}\nwhat: []\nstatus: live\n", catalog.Options{})
	var problems definition.Problems
	if !errors.As(err, &problems) || len(problems) != 2 || problems[0].Line != 6 {
		t.Errorf("err = %v", err)
	}
	if h.Current().Revision != 0 || len(h.Current().Events) != 0 {
		t.Errorf("something was applied: %+v", h.Current())
	}

	_, err = h.apply("kind: event\nname: a\n---\nkind: event\nname: a\n", catalog.Options{})
	if !errors.As(err, &problems) || len(problems) != 1 || problems[0].Line != 5 || problems[0].Message != "is defined twice" {
		t.Errorf("a definition given twice: %v", err)
	}

	h.want("kind: trigger\nname: t\npattern: [{event: a}]\n---\nkind: template\nname: m\nchannel: outbox\nbody: x\n---\n"+
		"kind: campaign\nname: c\nwhen: {trigger: t}\nwhat: [{channel: outbox, template: m}]\nstatus: live\n", catalog.Options{},
		"created trigger/t@1", "created template/m@1", "created campaign/c@1")
	if _, err := h.apply("", catalog.Options{Delete: []string{"trigger/t"}}); err == nil || err.Error() != "trigger t: is used by campaign c (change or delete that first)" {
		t.Errorf("deleting what is referenced: %v", err)
	}
	h.want("", catalog.Options{Delete: []string{"trigger/t", "campaign/c"}}, "deleted trigger/t@2", "deleted campaign/c@2")
}

func TestConflict(t *testing.T) {
	h := open(t, memory.Open(memory.Config{}).Documents())
	event := "kind: event\nname: win\ndescription: %s\n"
	h.want(fmt.Sprintf(event, "one"), catalog.Options{Expect: map[string]int64{"event/win": 0}}, "created event/win@1")
	for _, expect := range []int64{0, 2} {
		if _, err := h.apply(fmt.Sprintf(event, "two"), catalog.Options{Expect: map[string]int64{"event/win": expect}}); !errors.Is(err, catalog.ErrConflict) {
			t.Errorf("expecting version %d: %v", expect, err)
		}
	}
	h.want(fmt.Sprintf(event, "two"), catalog.Options{Expect: map[string]int64{"event/win": 1}}, "updated event/win@2")
}

// Two processes on one store: both changes are kept, and each learns of the
// other's.
func TestTwoWriters(t *testing.T) {
	store := memory.Open(memory.Config{}).Documents()
	a, b := open(t, store), open(t, store)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	wake, cancel := b.Changed()
	defer cancel()
	go func() { done <- b.Run(ctx) }()
	a.want("kind: event\nname: a\n", catalog.Options{}, "created event/a@1")
	for b.Current().Revision != 1 {
		select {
		case <-wake:
		case <-time.After(10 * time.Second):
			t.Fatal("the other process did not learn of the change")
		}
	}
	b.want("kind: event\nname: b\n", catalog.Options{}, "created event/b@1")
	a.want("kind: event\nname: c\n", catalog.Options{}, "created event/c@1")
	if got := len(a.Current().Events); got != 3 {
		t.Errorf("%d events, want 3", got)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestSecrets(t *testing.T) {
	store := memory.Open(memory.Config{}).Documents()
	h := open(t, store)
	secret := func(want string) {
		t.Helper()
		for _, c := range []*house{h, open(t, store)} {
			if got := c.Current().Sources["shop"].Secret; got != want {
				t.Errorf("secret in use = %q, want %q", got, want)
			}
		}
	}
	h.want(fmt.Sprintf(source, "hunter2"), catalog.Options{}, "created source/shop@1")
	secret("hunter2")
	h.want(fmt.Sprintf(source, "hunter2"), catalog.Options{}, "unchanged source/shop@1")
	h.want(fmt.Sprintf(source, "'***'"), catalog.Options{}, "unchanged source/shop@1")
	h.want(fmt.Sprintf(source, "'***'")+"trustUserIds: true\n", catalog.Options{}, "updated source/shop@2")
	secret("hunter2")
	text, err := h.Export(t.Context())
	if err != nil || strings.Contains(string(text), "hunter2") || !strings.Contains(string(text), "***") {
		t.Errorf("export: %v\n%s", err, text)
	}
	raw, err := store.List(t.Context(), documents.Query{Collection: "definition_versions"})
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(raw, func(d documents.Document) bool { return strings.Contains(string(d.Value), "hunter2") }) {
		t.Error("the secret is stored as it is")
	}
	h.want(fmt.Sprintf(source, "${env:SHOP_SECRET}"), catalog.Options{}, "updated source/shop@3")
	secret("from SHOP_SECRET")
	if text, err = h.Export(t.Context()); err != nil || !strings.Contains(string(text), "${env:SHOP_SECRET}") {
		t.Errorf("export: %v\n%s", err, text)
	}
	for _, bad := range []string{"${env:GONE}", "${file:/gone}", "${x}"} {
		if _, err := h.apply(fmt.Sprintf(source, bad), catalog.Options{}); err == nil {
			t.Errorf("%s was applied", bad)
		}
	}
	if _, err := h.apply("kind: source\nname: new\nsecret: '***'\n", catalog.Options{}); err == nil {
		t.Error("*** was applied to what has no secret")
	}
}

// What was exported can be applied, also with several secrets; and keys differ
// even where they are not shown.
func TestServerKeys(t *testing.T) {
	h := open(t, memory.Open(memory.Config{}).Documents())
	h.want("kind: source\nname: a\nwriteKey: wa\nserverKey: sa\n---\nkind: source\nname: b\nwriteKey: wb\nserverKey: sb\n", catalog.Options{},
		"created source/a@1", "created source/b@1")
	text, err := h.Export(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.want(string(text), catalog.Options{}, "unchanged source/a@1", "unchanged source/b@1")
	for _, key := range []string{"writeKey: sa", "serverKey: sa", "serverKey: wa"} {
		if _, err := h.apply("kind: source\nname: c\n"+key+"\n", catalog.Options{}); err == nil || !strings.Contains(err.Error(), "is a key of source a too") {
			t.Errorf("%s of another source: %v", key, err)
		}
	}
}

func TestWriteKeyIsMade(t *testing.T) {
	h := open(t, memory.Open(memory.Config{}).Documents())
	h.want("kind: source\nname: site\n", catalog.Options{}, "created source/site@1")
	key := h.Current().Sources["site"].WriteKey
	if !strings.HasPrefix(key, "wk_") || len(key) < 20 {
		t.Errorf("write key = %q", key)
	}
	h.want("kind: source\nname: site\norigins: ['https://a.example']\n", catalog.Options{}, "updated source/site@2")
	if again := h.Current().Sources["site"].WriteKey; again != key {
		t.Errorf("the write key changed from %q to %q", key, again)
	}
}

func TestReadOnly(t *testing.T) {
	h := open(t, memory.Open(memory.Config{}).Documents())
	h.want("kind: event\nname: win\n", catalog.Options{ReadOnly: true}, "created event/win@1")
	if _, err := h.apply("kind: event\nname: win\nkey: true\n", catalog.Options{}); err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("err = %v", err)
	}
	if r, err := h.Get(t.Context(), "event", "win"); err != nil || !r.ReadOnly {
		t.Errorf("%+v, %v", r, err)
	}
}

// A secret inside of a part that a channel may lack keeps its place.
func TestSecretsOfAChannel(t *testing.T) {
	h := open(t, memory.Open(memory.Config{}).Documents())
	const channel = "kind: channel\nname: news\ntype: email\nsmtp: {host: smtp.example, from: news@shop.example, user: heed, password: %s}\n"
	h.want(fmt.Sprintf(channel, "hunter2"), catalog.Options{}, "created channel/news@1")
	text, err := h.Export(t.Context())
	if err != nil || strings.Contains(string(text), "hunter2") || !strings.Contains(string(text), "***") {
		t.Errorf("export: %v\n%s", err, text)
	}
	h.want(string(text), catalog.Options{}, "unchanged channel/news@1")
	h.want(fmt.Sprintf(channel, "'***'")+"tracking: none\n", catalog.Options{}, "updated channel/news@2")
	if got := h.Current().Channels["news"].SMTP.Password; got != "hunter2" {
		t.Errorf("the password in use is %q", got)
	}
	if _, err := h.apply(fmt.Sprintf(channel, "'***'")+"dkim: {domain: shop.example, selector: heed, key: '***'}\n", catalog.Options{}); err == nil {
		t.Error("*** was applied to a key that there is not")
	}
}

// Of a Kafka the password and the key are secret, and kept where they are not given.
func TestSecretsOfAKafkaChannel(t *testing.T) {
	h := open(t, memory.Open(memory.Config{}).Documents())
	const channel = "kind: channel\nname: out\ntype: kafka\ntopic: out\nkafka: {brokers: ['k:1'], tls: {ca: ca.pem, cert: c.pem, key: %[1]s-key}, sasl: {mechanism: plain, user: heed, password: %[1]s}}\n"
	h.want(fmt.Sprintf(channel, "hunter2"), catalog.Options{}, "created channel/out@1")
	text, err := h.Export(t.Context())
	if err != nil || strings.Contains(string(text), "hunter2") || !strings.Contains(string(text), "ca.pem") {
		t.Errorf("export: %v\n%s", err, text)
	}
	h.want(string(text), catalog.Options{}, "unchanged channel/out@1")
	h.want(strings.Replace(string(text), "topic: out", "topic: elsewhere", 1), catalog.Options{}, "updated channel/out@2")
	if got := h.Current().Channels["out"].Kafka; got.SASL.Password != "hunter2" || got.TLS.Key != "hunter2-key" {
		t.Errorf("in use are %+v, %+v", got.SASL, got.TLS)
	}
}

// A push channel's key is made once, kept sealed, and stays: every subscription
// is bound to it.
func TestPushKeyIsMade(t *testing.T) {
	store := memory.Open(memory.Config{}).Documents()
	h := open(t, store)
	const push = "kind: channel\nname: push\ntype: push\npush: {subject: 'mailto:a@b.example'%s}\n"
	h.want(fmt.Sprintf(push, ""), catalog.Options{}, "created channel/push@1")
	made := h.Current().Channels["push"].Push.PrivateKey
	if _, err := webpush.ParseKey(made); err != nil {
		t.Fatalf("%q: %v", made, err)
	}
	h.want(fmt.Sprintf(push, ""), catalog.Options{}, "unchanged channel/push@1")
	h.want(fmt.Sprintf(push, ", ttl: 1h"), catalog.Options{}, "updated channel/push@2")
	text, err := h.Export(t.Context())
	if err != nil || strings.Contains(string(text), made) || !strings.Contains(string(text), `privateKey: "***"`) {
		t.Errorf("export: %v\n%s", err, text)
	}
	h.want(string(text), catalog.Options{}, "unchanged channel/push@2")
	if got := open(t, store).Current().Channels["push"].Push.PrivateKey; got != made {
		t.Errorf("after a restart the key is %q, was %q", got, made)
	}
	raw, err := store.List(t.Context(), documents.Query{Collection: "definition_versions"})
	if err != nil || slices.ContainsFunc(raw, func(d documents.Document) bool { return strings.Contains(string(d.Value), made) }) {
		t.Errorf("the key is stored as it is (%v)", err)
	}
}
