package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"heed/internal/driver/kafka/kafkatest"
	"heed/internal/driver/mongo/mongotest"
	"heed/internal/driver/redis/redistest"
)

// installation is a set of real engines, and a configuration that names them.
type installation struct {
	t      *testing.T
	config string
	kafka  *kafkatest.Cluster
	redis  *redistest.Server
	mongo  *mongotest.Server
}

const installationSecret = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

// found starts Kafka, Redis and MongoDB.
func found(t *testing.T) *installation {
	t.Helper()
	if testing.Short() {
		t.Skip("starts Kafka, Redis and MongoDB")
	}
	i := &installation{t: t, kafka: kafkatest.Start(t, 1), redis: redistest.Start(t), mongo: mongotest.Start(t)}
	i.config = filepath.Join(t.TempDir(), "heed.yaml")
	text := fmt.Sprintf("shape: distributed\nsecret: %s\nkafka: {brokers: [%q], replication: 1, session: 6s}\nredis: {addrs: [%q]}\nmongo: {uri: %q, standalone: %v}\n",
		installationSecret, i.kafka.Addrs()[0], i.redis.Addr(), i.mongo.URI(i.mongo.Addr()), !i.mongo.Replicated())
	if err := os.WriteFile(i.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return i
}

// start starts a process with some of the roles.
func (i *installation) start(roles string, args ...string) *server {
	i.t.Helper()
	return start(i.t, i.t.TempDir(), append([]string{"--config", i.config, "--roles", roles}, args...)...)
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

func must(path string, err error) string {
	if err != nil {
		panic(err)
	}
	return path
}
