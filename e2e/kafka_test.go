package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"heed/internal/driver/kafka/kafkatest"
)

// record is what kcat shows of one.
type record struct{ key, headers, value string }

// kcat reads a topic from its beginning to its end.
func kcat(t *testing.T, broker, topic string) (out []record) {
	t.Helper()
	said, err := exec.Command("kcat", "-C", "-b", broker, "-t", topic, "-o", "beginning", "-e", "-q", "-f", "%k\t%h\t%s\n").Output()
	if err != nil {
		t.Fatalf("kcat: %v", err)
	}
	for line := range strings.Lines(string(said)) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 3)
		if len(parts) != 3 {
			t.Fatalf("kcat: %q", line)
		}
		out = append(out, record{parts[0], parts[1], parts[2]})
	}
	return out
}

// Campaigns write to somebody's Kafka, once although the broker was away and Heed
// was killed, and every event is a record for others; kcat reads both.
func TestKafkaOut(t *testing.T) {
	if _, err := exec.LookPath("kcat"); err != nil {
		if os.Getenv("HEED_REQUIRE_SERVICES") == "1" {
			t.Fatalf("HEED_REQUIRE_SERVICES=1, and there is no kcat: %v", err)
		}
		t.Skip("COULD NOT RUN: needs kcat (on Debian: apt-get install kcat)")
	}
	cluster := kafkatest.Start(t, 1)
	broker, secure := cluster.Addrs()[0], cluster.Secure()
	client, err := kgo.NewClient(kgo.SeedBrokers(broker))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopics(t.Context(), 3, 1, nil, "deliveries", "warehouse", "shop.events"); err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(secure.CA)
	if err != nil {
		t.Fatal(err)
	}

	dir, config := t.TempDir(), filepath.Join(t.TempDir(), "heed.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "events_out: {brokers: [%q], topic: shop.events}\n", broker), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, dir, "--config", config)
	s.admin(http.MethodPost, "/definitions:apply", `
kind: source
name: site
writeKey: site-key
---
kind: channel
name: deliveries
type: kafka
kafka:
  brokers: [`+secure.Addrs[0]+`]
  tls:
    ca: |
      `+strings.ReplaceAll(strings.TrimSpace(string(ca)), "\n", "\n      ")+`
  sasl: {mechanism: scram-sha-512, user: `+secure.User+`, password: `+secure.Password+`}
topic: deliveries
headers: {team: growth}
---
kind: channel
name: warehouse
type: kafka
kafka: {brokers: ["`+broker+`"]}
topic: warehouse
key: value.order.number
timeout: 1s
---
kind: trigger
name: won
pattern: [{event: win}]
---
kind: template
name: order
channel: warehouse
body: '{"order": {"number": {{ event.properties.order | json }}, "activation": {{ activation.id | json }}}}'
---
{kind: campaign, name: tell, when: {trigger: won}, what: [{channel: deliveries}], limits: {holdout: 0%}, status: live}
---
{kind: campaign, name: ship, when: {trigger: won}, what: [{channel: warehouse, template: order}], limits: {holdout: 0%}, status: live}
`, nil)
	text := s.admin(http.MethodGet, "/definitions:export", "", nil)
	if strings.Contains(text, secure.Password) || !strings.Contains(text, "BEGIN CERTIFICATE") {
		t.Errorf("the password of a channel is exported, or its certificate is not: %s", text)
	}
	won := func(user string, order int) {
		t.Helper()
		s.track("", map[string]any{"writeKey": "site-key", "userId": user, "event": "win", "properties": map[string]any{"order": order, "prize": "ä \"kettle\""}})
	}
	sent := func(campaign string) (n int) {
		var r struct{ Sent int }
		s.admin(http.MethodGet, "/campaigns/"+campaign+"/report", "", &r)
		return r.Sent
	}

	won("ann", 7)
	eventually(t, 30*time.Second, "both campaigns have written", func() bool { return sent("tell") == 1 && sent("ship") == 1 })
	tell, ship := kcat(t, broker, "deliveries"), kcat(t, broker, "warehouse")
	var document struct {
		Activation, Campaign, User string
		At                         time.Time
		Event                      struct {
			ID, Name   string
			Time       time.Time
			Properties struct{ Prize string }
		}
	}
	if err := json.Unmarshal([]byte(tell[0].value), &document); err != nil || document.Activation == "" || document.At.IsZero() || document.Campaign != "tell" || document.User != "ann" ||
		document.Event.ID == "" || document.Event.Name != "win" || document.Event.Time.IsZero() || document.Event.Properties.Prize != `ä "kettle"` {
		t.Errorf("without a template: %s, %v", tell[0].value, err)
	}
	if want := "heed-activation=" + document.Activation + ",heed-campaign=tell,team=growth"; tell[0].key != "ann" || tell[0].headers != want {
		t.Errorf("key %q, headers %q, want %q", tell[0].key, tell[0].headers, want)
	}
	var order struct{ Order struct{ Activation string } }
	if err := json.Unmarshal([]byte(ship[0].value), &order); err != nil || ship[0].key != "7" || ship[0].headers != "heed-activation="+order.Order.Activation+",heed-campaign=ship" {
		t.Errorf("by a template: %+v, %v", ship[0], err)
	}

	cluster.Kill(0)
	users := []string{"bob", "cid", "dan"}
	for i, u := range users {
		won(u, 10+i)
	}
	eventually(t, 30*time.Second, "the broker is missed", func() bool { return s.metric("heed_engager_retries_total", "") > 0 })
	s.kill()
	cluster.Restart(0)
	s = start(t, dir, "--config", config)
	eventually(t, time.Minute, "the broker is back and has everything", func() bool { return sent("tell") == 4 && sent("ship") == 4 })
	for _, topic := range []string{"deliveries", "warehouse"} {
		seen := map[string]int{}
		for _, r := range kcat(t, broker, topic) {
			activation, _, _ := strings.Cut(strings.TrimPrefix(r.headers, "heed-activation="), ",")
			seen[activation]++
		}
		if len(seen) != 4 || slices.Max(slices.Collect(maps.Values(seen))) != 1 {
			t.Errorf("%s has the activations %v, want 4, each once", topic, seen)
		}
	}
	events := func() map[string]bool {
		out := map[string]bool{}
		for _, r := range kcat(t, broker, "shop.events") {
			var e struct{ Event, UserID string }
			if err := json.Unmarshal([]byte(r.value), &e); err != nil || r.key != e.UserID && !strings.Contains(r.headers, "heed-source=heed") {
				t.Errorf("an event for others: %+v, %v", r, err)
			}
			out[e.Event+" "+e.UserID] = true
		}
		return out
	}
	eventually(t, 30*time.Second, "others have the events", func() bool {
		got := events()
		return got["win ann"] && got["win bob"] && got["win cid"] && got["win dan"] && got["heed.delivery ann"]
	})
}
