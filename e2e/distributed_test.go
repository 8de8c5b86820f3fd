package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"heed/internal/driver/kafka/kafkatest"
	"heed/internal/driver/mongo/mongotest"
	"heed/internal/driver/redis/redistest"
)

// installation is a set of real engines, and a configuration that names them.
type installation struct {
	t       *testing.T
	config  string
	behind  string // another one: to the brokers by their proxies
	kafka   *kafkatest.Cluster
	redis   *redistest.Server  // nil: sentinels say which one leads
	watched *redistest.Watched // nil: it is one server
	mongo   *mongotest.Server
}

const installationSecret = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

// found starts one server each of Kafka, Redis and MongoDB.
func found(t *testing.T) *installation {
	t.Helper()
	needServers(t)
	i := &installation{t: t, kafka: kafkatest.Start(t, 1), redis: redistest.Start(t), mongo: mongotest.Start(t)}
	i.config = i.configure(i.kafka.Addrs()[0], "replication: 1", fmt.Sprintf("addrs: [%q]", i.redis.Addr()))
	return i
}

// foundReplicated starts as many as are needed to lose one: three brokers, of which
// two have an event before it is acknowledged, and a Redis with a replica.
func foundReplicated(t *testing.T) *installation {
	t.Helper()
	needServers(t)
	i := &installation{t: t, kafka: kafkatest.Start(t, 3), watched: redistest.StartWatched(t, 1), mongo: mongotest.Start(t)}
	const replicated = "replication: 3, min_insync: 2, timeout: 10s"
	sentinel := fmt.Sprintf("sentinel: {master: %s, addrs: [%q]}", redistest.MasterName, i.watched.Sentinels()[0]) // it knows the others
	i.config = i.configure(i.kafka.Addrs()[0], replicated, sentinel)
	i.behind = i.configure(i.kafka.Proxies()[0].Addr(), replicated, sentinel)
	return i
}

func needServers(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts Kafka, Redis and MongoDB")
	}
}

// configure writes a configuration; a start waits for servers that have little of a
// shared machine.
func (i *installation) configure(broker, kafka, redis string) (file string) {
	i.t.Helper()
	file = filepath.Join(i.t.TempDir(), "heed.yaml")
	text := fmt.Sprintf("shape: distributed\nsecret: %s\nkafka: {brokers: [%q], session: 6s, %s}\nredis: {%s}\nmongo: {uri: %q, standalone: %v, timeout: 20s}\n",
		installationSecret, broker, kafka, redis, i.mongo.URI(i.mongo.Addr()), !i.mongo.Replicated())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		i.t.Fatal(err)
	}
	return file
}

// start starts a process with some of the roles.
func (i *installation) start(roles string, args ...string) *server {
	i.t.Helper()
	return i.startWith(i.config, roles, args...)
}

func (i *installation) startWith(config, roles string, args ...string) *server {
	i.t.Helper()
	return start(i.t, i.t.TempDir(), append([]string{"--config", config, "--roles", roles}, args...)...)
}

const scoreDefinitions = `---
kind: collection
name: scores
fields: {next: text}
---
{kind: trigger, name: asked, pattern: [{event: ask}]}
---
{kind: template, name: advice, channel: web, as: popup, body: 'Take {{ pull.scores.next }}'}
---
{kind: campaign, name: advice, when: {trigger: asked}, what: [{channel: web, template: advice}], limits: {holdout: 0%}, status: live}
`

// TestDistributed: the click at one process is answered with what others decided
// and wrote, also after each of them was killed; and a process that does not
// belong to the installation is refused.
func TestDistributed(t *testing.T) {
	i := found(t)
	defs := t.TempDir()
	if err := os.WriteFile(filepath.Join(defs, "flow.yaml"), []byte(flowDefinitions+scoreDefinitions), 0o600); err != nil {
		t.Fatal(err)
	}
	gateway := i.start("gateway", "--definitions", defs)
	decider := i.start("decider")
	engager := i.start("engager")
	others := i.start("analytics,console")

	for range 2 {
		if a := gateway.track("?wait=2s", win("trusting-key", "ada")); len(a.Messages) != 0 {
			t.Fatalf("a message after too few wins: %+v", a)
		}
	}
	decider.kill()
	engager.kill()
	decider, engager = i.start("decider"), i.start("engager")
	a := gateway.track("?wait=2s", win("trusting-key", "ada"))
	if len(a.Messages) != 1 || a.Messages[0].HTML != "<b>You won</b>" || a.Messages[0].Campaign != "winners" {
		t.Fatalf("the third win answered %+v", a)
	}
	if a := gateway.track("?wait=2s", win("trusting-key", "ada")); len(a.Messages) != 0 {
		t.Errorf("the fourth win answered %+v", a)
	}
	// what another program has written is in the next text
	client, err := mongo.Connect(options.Client().ApplyURI(i.mongo.URI(i.mongo.Addr())))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Disconnect(t.Context()) }()
	if _, err := client.Database("heed").Collection("pull.scores").InsertOne(t.Context(), bson.D{{Key: "_id", Value: "bob"}, {Key: "next", Value: "a kettle"}}); err != nil {
		t.Fatal(err)
	}
	a = gateway.track("?wait=2s", map[string]any{"writeKey": "trusting-key", "userId": "bob", "event": "ask"})
	if len(a.Messages) != 1 || a.Messages[0].HTML != "Take a kettle" {
		t.Errorf("with a document of another program the answer is %+v", a)
	}
	var health struct{ Shape string }
	others.admin("GET", "/health", "", &health)
	if health.Shape != "distributed" {
		t.Errorf("the shape is %q", health.Shape)
	}
	for _, s := range []*server{gateway, decider, engager, others} {
		s.stop()
	}

	stranger := exec.Command(must(binary()), "run", "--config", i.config)
	stranger.Env = append(os.Environ(), "HEED_DATA_DIR="+t.TempDir(), "HEED_LISTEN=127.0.0.1:0", "HEED_SECRET="+strings.Repeat("ab", 32))
	if out, err := stranger.CombinedOutput(); err == nil || !strings.Contains(string(out), "the secret is not the installation's") {
		t.Errorf("a process with another secret: %v\n%s", err, out)
	}
}

// TestSameFirings: the same history fires the same on the embedded engines, with 8
// partitions, and on Kafka and Redis, with 16 that two processes share and of which
// one is killed in the middle.
func TestSameFirings(t *testing.T) {
	i := found(t)
	defs := t.TempDir()
	if err := os.WriteFile(filepath.Join(defs, "flow.yaml"), []byte(flowDefinitions+historyDefinitions), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HEED_SECRET", installationSecret)
	begin := time.Now().Add(-5 * time.Minute)
	alone := start(t, t.TempDir(), "--definitions", defs)
	want := fired(t, alone, alone, begin, func() {})
	alone.stop()

	gateway := i.start("gateway", "--definitions", defs)
	deciders := []*server{i.start("decider"), i.start("decider")}
	i.start("engager")
	console := i.start("analytics,console")
	got := fired(t, gateway, console, begin, func() { deciders[0].kill() })
	if !slices.Equal(got, want) {
		t.Errorf("embedded %d activations, on Kafka and Redis %d, or others", len(want), len(got))
	}
	t.Logf("%d activations, the same on both", len(want))
}

const historyDefinitions = `---
{kind: trigger, name: same-thing, pattern: [{event: view, times: 2}, {event: buy}], by: properties.product, within: 1h}
---
{kind: campaign, name: bought, when: {trigger: same-thing}, what: [{channel: web, template: wow}], limits: {holdout: 0%}, status: live}
`

// fired sends a history, and tells which activations came of it.
func fired(t *testing.T, gateway, console *server, begin time.Time, middle func()) (activations []string) {
	t.Helper()
	rng := rand.New(rand.NewPCG(3, 4))
	const events, users = 600, 25
	send := func(n int, user, name string) {
		t.Helper()
		e := map[string]any{
			"writeKey": "trusting-key", "userId": user, "event": name, "messageId": fmt.Sprint("h", n),
			"timestamp":  begin.Add(time.Duration(n) * 100 * time.Millisecond).UTC().Format(time.RFC3339Nano),
			"properties": map[string]any{"product": fmt.Sprint("p", rng.IntN(3))},
		}
		eventually(t, time.Minute, "an acknowledgement", func() bool { // of the same event, sent again
			status, err := gateway.post("/v1/track", e, nil)
			return status == 200 && err == nil
		})
	}
	for n := range events {
		if n == events/2 {
			middle()
		}
		send(n, fmt.Sprint("u", rng.IntN(users)), []string{"win", "win", "loss", "view", "view", "buy"}[rng.IntN(6)])
	}
	for u := range users { // who comes last tells that everything before is decided
		user := fmt.Sprint("u", u)
		for k := range 4 {
			name := "win"
			if k == 0 {
				name = "loss"
			}
			send(events+4*u+k, user, name)
		}
	}
	seen := map[string]bool{}
	eventually(t, 2*time.Minute, "the last firing of each user", func() bool {
		last := 0
		clear(seen)
		for line := range strings.Lines(heed(t, console.dir, "events", "--name", "heed.delivery")) {
			var e struct {
				Properties struct{ Activation, Status, Cause string }
			}
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatal(err)
			}
			seen[e.Properties.Activation] = true
			if n, err := strconv.Atoi(strings.TrimPrefix(e.Properties.Cause, "h")); err == nil && n >= events {
				last++
			}
		}
		return last >= users
	})
	return slices.Sorted(maps.Keys(seen))
}

func must(path string, err error) string {
	if err != nil {
		panic(err)
	}
	return path
}
