package e2e

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"heed/internal/driver/kafka/kafkatest"
)

// somebodys is a Kafka of other people with a topic.
type somebodys struct {
	t        *testing.T
	broker   string
	producer *kgo.Client
}

func somebodysKafka(t *testing.T, topics ...string) *somebodys {
	t.Helper()
	if testing.Short() {
		t.Skip("starts Kafka")
	}
	k := &somebodys{t: t, broker: kafkatest.Start(t, 1).Addrs()[0]}
	var err error
	if k.producer, err = kgo.NewClient(kgo.SeedBrokers(k.broker)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.producer.Close)
	if _, err := kadm.NewClient(k.producer).CreateTopics(t.Context(), 3, 1, nil, topics...); err != nil {
		t.Fatal(err)
	}
	return k
}

// kcat writes as an operator does by hand.
func (k *somebodys) kcat(topic, key, value string) {
	k.t.Helper()
	if _, err := exec.LookPath("kcat"); err != nil {
		if os.Getenv("HEED_REQUIRE_SERVICES") == "1" {
			k.t.Fatalf("HEED_REQUIRE_SERVICES=1, and there is no kcat: %v", err)
		}
		k.write(topic, key, []byte(value))
		return
	}
	cmd := exec.CommandContext(k.t.Context(), "kcat", "-P", "-b", k.broker, "-t", topic, "-K", "|")
	cmd.Stdin = strings.NewReader(key + "|" + value + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		k.t.Fatalf("kcat: %v\n%s", err, out)
	}
}

func (k *somebodys) write(topic, key string, value []byte) {
	k.t.Helper()
	r := &kgo.Record{Topic: topic, Key: []byte(key), Value: value}
	if err := k.producer.ProduceSync(k.t.Context(), r).FirstErr(); err != nil {
		k.t.Fatal(err)
	}
}

// streamState is a part of what the admin API says of a stream.
type streamState struct {
	Name              string
	Taken, Bad, Empty int
	Lag               int
	LagAt             time.Time
	Error             string
}

func (s *server) streamState(name string) (state streamState) {
	s.t.Helper()
	var list struct{ Streams []streamState }
	s.admin("GET", "/streams", "", &list)
	for _, x := range list.Streams {
		if x.Name == name {
			state = x
		}
	}
	return state
}

// wait waits for what should come.
func (s *server) wait(what string, holds func() bool) {
	s.t.Helper()
	eventually(s.t, 2*time.Minute, what, holds)
}

// letters are the bodies of those in the outbox that go to a user.
func (s *server) letters(user string) (bodies []string) {
	s.t.Helper()
	var page struct {
		Messages []struct{ ID, User string }
	}
	s.admin("GET", "/outbox", "", &page)
	for _, m := range page.Messages {
		if m.User != user {
			continue
		}
		var letter struct{ Text string }
		s.admin("GET", "/outbox/"+m.ID, "", &letter)
		bodies = append(bodies, letter.Text)
	}
	return bodies
}

const streamDefinitions = `kind: stream
name: registrations
kafka: {brokers: ["BROKER"]}
topic: crm.registrations
userId: value.customer.id
event: registered
traits: {firstName: value.customer.first}
---
kind: stream
name: contracts
kafka: {brokers: ["BROKER"]}
topic: crm.contracts
format: avro
avro:
  schema: 'SCHEMA'
userId: value.customer.id
event: signed
time: value.at
---
kind: trigger
name: gold
pattern: [{event: signed, where: {field: properties.plan, op: eq, value: gold}}]
max_age: 3650d
---
kind: audience
name: registered
did: {event: registered, where: {field: event.source, op: eq, value: registrations}}
---
kind: template
name: welcome
channel: outbox
as: email
subject: Welcome
body: "Welcome {{ profile.traits.firstName }}, your code is {{ event.properties.code }}"
---
kind: template
name: thanks
channel: outbox
as: email
subject: Thanks
body: "{{ event.properties.customer.email }}: {{ event.properties.price }}"
---
kind: campaign
name: welcome
purpose: transactional
when: {stream: registrations}
what: [{channel: outbox, template: welcome}]
status: live
---
kind: campaign
name: gold
purpose: transactional
when: {trigger: gold}
what: [{channel: outbox, template: thanks}]
status: live
`

// TestStreams: somebody whom nobody knew registers elsewhere, and gets a message
// with what was written there; triggers and audiences use the events as any.
func TestStreams(t *testing.T) {
	k := somebodysKafka(t, "crm.registrations", "crm.contracts")
	schema, err := os.ReadFile("../internal/intake/message/testdata/registration.avsc")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../internal/intake/message/testdata/registration.hex")
	if err != nil {
		t.Fatal(err)
	}
	data, err := hex.DecodeString("c301e348d0488cd255df" + strings.TrimSpace(string(text))) // as fastavro has it
	if err != nil {
		t.Fatal(err)
	}
	yaml := strings.NewReplacer("BROKER", k.broker, "SCHEMA", strings.ReplaceAll(string(schema), "\n", " ")).Replace(streamDefinitions)
	s := start(t, t.TempDir(), "--definitions", definitions(t, yaml))
	for _, name := range []string{"registrations", "contracts"} {
		s.wait(name+" is followed", func() bool {
			members, err := kadm.NewClient(k.producer).DescribeGroups(context.Background())
			if err != nil {
				return false
			}
			for group, d := range members {
				if strings.HasSuffix(group, "-"+name) && d.State == "Stable" {
					return s.streamState(name).Error == ""
				}
			}
			return false
		})
	}

	began := time.Now()
	k.kcat("crm.registrations", "1", `{"customer":{"id":"new-1","first":"Ada"},"code":"X-42"}`)
	s.wait("the message of the stream", func() bool { return len(s.letters("new-1")) == 1 })
	t.Logf("from the topic to the outbox: %s", time.Since(began).Round(time.Millisecond))
	if got := s.letters("new-1"); got[0] != "Welcome Ada, your code is X-42" {
		t.Errorf("%q", got)
	}
	k.write("crm.contracts", "", data)
	s.wait("the message of the trigger", func() bool { return len(s.letters("u-1")) == 1 })
	if got := s.letters("u-1"); got[0] != "ada@example.org: -12.5" {
		t.Errorf("%q", got)
	}
	s.wait("the new one is in the audience", func() bool {
		var a struct{ Size *int64 }
		s.admin("GET", "/audiences/registered", "", &a)
		return a.Size != nil && *a.Size == 1
	})

	k.write("crm.registrations", "2", []byte("garbage"))
	k.write("crm.registrations", "3", nil)
	s.wait("what is bad is said", func() bool {
		var bad struct {
			Events []struct{ Source, Reason, Sample string }
		}
		s.admin("GET", "/bad-events", "", &bad)
		return len(bad.Events) == 1 && bad.Events[0].Source == "registrations" && bad.Events[0].Reason == "is not a JSON object" && bad.Events[0].Sample == "garbage"
	})
	s.wait("and counted", func() bool {
		x := s.streamState("registrations")
		return x.Taken == 1 && x.Bad == 1 && x.Empty == 1 && x.Lag == 0
	})
	var sample struct {
		Messages []struct{ Events []struct{ User string } }
		Problems []struct{ Message string }
	}
	s.admin("POST", "/streams:sample", fmt.Sprintf(`{"spec": {"kafka": {"brokers": [%q]}, "topic": "crm.registrations", "userId": "value.customer.id", "event": "x"}}`, k.broker), &sample)
	if len(sample.Messages) != 3 || len(sample.Problems) != 0 || len(sample.Messages[2].Events) != 1 || sample.Messages[2].Events[0].User != "new-1" {
		t.Errorf("%+v", sample)
	}
}

// TestStreamKilled: each of 10,000 messages is in the log once, although the
// process is killed while it reads them.
func TestStreamKilled(t *testing.T) {
	const all, kills = 10_000, 4
	k := somebodysKafka(t, "orders")
	dir := t.TempDir()
	defs := definitions(t, "kind: stream\nname: orders\nkafka: {brokers: [\""+k.broker+"\"]}\ntopic: orders\nstart: earliest\nuserId: key\nevent: ordered\n")
	produced := make(chan error, 1)
	go func() {
		for n := range all {
			k.producer.Produce(context.Background(), &kgo.Record{Topic: "orders", Key: fmt.Appendf(nil, "u%d", n%97), Value: fmt.Appendf(nil, `{"n":%d}`, n)}, nil)
			if n%100 == 0 { // over some time
				time.Sleep(10 * time.Millisecond)
			}
		}
		produced <- k.producer.Flush(context.Background())
	}()
	for round := 1; round <= kills; round++ {
		s := start(t, dir, "--definitions", defs)
		s.wait("some are read", func() bool { return s.metric("heed_stream_messages_total", `outcome="taken"`) > 100 })
		s.kill()
	}
	if err := <-produced; err != nil {
		t.Fatal(err)
	}
	s := start(t, dir, "--definitions", defs)
	s.wait("all are read", func() bool {
		x := s.streamState("orders")
		return x.Lag == 0 && x.LagAt.After(time.Now().Add(-time.Minute)) && x.Error == "" && s.metric("heed_stream_lag", "orders") == 0
	})
	s.stop()
	seen := map[string]int{}
	exported(t, dir, func(name, _ string, p map[string]any) {
		if name == "ordered" {
			seen[fmt.Sprint(p["n"])]++
		}
	})
	lost, doubled := all-len(seen), 0
	for _, n := range seen {
		if n > 1 {
			doubled++
		}
	}
	t.Logf("written %d, in the log %d, killed %d times: lost %d, doubled %d", all, len(seen), kills, lost, doubled)
	if lost != 0 || doubled != 0 {
		t.Fail()
	}
}

// TestStreamsDistributed: the gateway of several processes reads what another one
// decides about and a third one sends.
func TestStreamsDistributed(t *testing.T) {
	i := found(t)
	producer, err := kgo.NewClient(kgo.SeedBrokers(i.kafka.Addrs()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(producer.Close)
	k := &somebodys{t: t, broker: i.kafka.Addrs()[0], producer: producer}
	if _, err := kadm.NewClient(producer).CreateTopics(t.Context(), 3, 1, nil, "crm.registrations"); err != nil {
		t.Fatal(err)
	}
	yaml := strings.ReplaceAll(streamDefinitions, "BROKER", k.broker)
	first, rest, _ := strings.Cut(yaml, "---\nkind: stream\nname: contracts")
	_, rest, _ = strings.Cut(rest, "---\n")
	console := i.start("console", "--definitions", definitions(t, first+"---\n"+rest))
	i.start("gateway")
	i.start("decider")
	i.start("engager")
	console.wait("the stream is followed", func() bool {
		x := console.streamState("registrations")
		return !x.LagAt.IsZero() && x.Error == ""
	})
	for n := range 20 { // on all partitions
		k.write("crm.registrations", fmt.Sprint(n), fmt.Appendf(nil, `{"customer":{"id":"new-%d","first":"Ada"},"code":"X-%d"}`, n, n))
	}
	for n := range 20 {
		user := fmt.Sprint("new-", n)
		console.wait("the message to "+user, func() bool { return len(console.letters(user)) == 1 })
	}
	console.wait("it is counted where it is not read", func() bool { x := console.streamState("registrations"); return x.Taken == 20 && x.Lag == 0 })
}
