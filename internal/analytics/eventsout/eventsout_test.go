package eventsout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"heed/internal/clienttls"
	"heed/internal/driver/kafka"
	"heed/internal/driver/kafka/kafkatest"
	"heed/internal/driver/memory"
	"heed/internal/event"
	"heed/internal/eventlog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// add appends one event per id of one user, whose partition is the first.
func add(t *testing.T, log eventlog.Log, user string, ids ...string) {
	t.Helper()
	b := &eventlog.Batch{}
	for _, id := range ids {
		e := event.Event{
			MessageID: id, Name: "win", UserID: user, Timestamp: 1_700_000_000_000_000, ReceivedAt: 1_700_000_000_000_000, Source: "shop",
			Properties: []byte(`{"prize": "a kettle", "n": 1}`),
		}
		b.Data = event.AppendEvent(b.Data, &e)
		b.Ends = append(b.Ends, len(b.Data))
	}
	if err := log.Append(t.Context(), eventlog.Events, []*eventlog.Batch{b}); err != nil {
		t.Fatal(err)
	}
}

func numbered(from, to int) (out []string) {
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprintf("m%04d", i))
	}
	return out
}

// start runs a sink; stop ends it.
func start(t *testing.T, db *memory.DB, cfg Config) (s *Sink, stop func()) {
	t.Helper()
	s, err := New(cfg, Deps{Log: db.Log(), Documents: db.Documents()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return s, func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

// world is a broker, and a consumer of somebody else's.
type world struct {
	cluster *kafkatest.Cluster
	admin   *kadm.Client
}

func (w *world) topic(t *testing.T, name string, settings map[string]*string) {
	t.Helper()
	if _, err := w.admin.CreateTopic(t.Context(), 3, 1, settings, name); err != nil {
		t.Fatal(err)
	}
}

// await reads a topic from its beginning until each of the ids was seen.
func (w *world) await(t *testing.T, topic string, ids []string) (all []*kgo.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(w.cluster.Addrs()...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	missing := map[string]bool{}
	for _, id := range ids {
		missing[id] = true
	}
	for len(missing) > 0 {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d of %d events did not come: %v", len(missing), len(ids), fetches.Errors())
		}
		for _, r := range fetches.Records() {
			all = append(all, r)
			delete(missing, headers(r)["heed-message-id"])
		}
	}
	return all
}

func headers(r *kgo.Record) map[string]string {
	out := map[string]string{}
	for _, h := range r.Headers {
		out[h.Key] = string(h.Value)
	}
	return out
}

func TestOneBroker(t *testing.T) {
	w := &world{cluster: kafkatest.Start(t, 1)}
	client, err := kgo.NewClient(kgo.SeedBrokers(w.cluster.Addrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	w.admin = kadm.NewClient(client)
	t.Run("JSON", w.testJSON)
	t.Run("Avro", w.testAvro)
	t.Run("Log", w.testLog)
	t.Run("Check", w.testCheck)
	t.Run("GoesOn", w.testGoesOn)
}

func (w *world) config(topic string) Config {
	return Config{Brokers: w.cluster.Addrs(), Topic: topic}
}

func (w *world) testJSON(t *testing.T) {
	w.topic(t, "json", nil)
	db := memory.Open(memory.Config{})
	defer func() { _ = db.Close() }()
	add(t, db.Log(), "ada", numbered(0, 3)...)
	tick := event.Event{MessageID: "tick", Type: event.System, Name: event.NameTick, UserID: "ada", Source: event.SourceHeed}
	b := &eventlog.Batch{Data: event.AppendEvent(nil, &tick)}
	b.Ends = []int{len(b.Data)}
	if err := db.Log().Append(t.Context(), eventlog.Events, []*eventlog.Batch{b}); err != nil {
		t.Fatal(err)
	}
	_, stop := start(t, db, w.config("json"))
	defer stop()
	add(t, db.Log(), "ada", numbered(3, 5)...)
	all := w.await(t, "json", numbered(0, 5))
	if len(all) != 5 {
		t.Errorf("%d records for 5 events", len(all))
	}
	for i, r := range all {
		var e struct {
			MessageID, Event, UserID, Source string
			Properties                       struct{ Prize string }
		}
		if err := json.Unmarshal(r.Value, &e); err != nil || string(r.Key) != "ada" || e.UserID != "ada" || e.MessageID != numbered(i, i+1)[0] || e.Properties.Prize != "a kettle" {
			t.Errorf("record %d: %s = %s, %v", i, r.Key, r.Value, err)
		}
		want := map[string]string{"content-type": "application/json", "heed-source": "shop", "heed-message-id": e.MessageID, "heed-event": "win"}
		if d := cmp.Diff(want, headers(r)); d != "" {
			t.Errorf("headers: -want +got\n%s", d)
		}
	}
}

// testAvro has kcat and Apache Avro's own library read the topic.
func (w *world) testAvro(t *testing.T) {
	w.topic(t, "avro", nil)
	db := memory.Open(memory.Config{})
	defer func() { _ = db.Close() }()
	add(t, db.Log(), "ada", numbered(0, 3)...)
	cfg := w.config("avro")
	cfg.Format = Avro
	_, stop := start(t, db, cfg)
	defer stop()
	w.await(t, "avro", numbered(0, 3))
	got := foreign(t, w.cluster.Addrs()[0], "avro", "single")
	if len(got) != 3 {
		t.Fatalf("%d events were read, want 3", len(got))
	}
	for i, e := range got {
		if e["messageId"] != numbered(i, i+1)[0] || e["userId"] != "ada" || e["event"] != "win" || e["properties"] != `{"prize": "a kettle", "n": 1}` || e["timestamp"] != "2023-11-14 22:13:20+00:00" {
			t.Errorf("event %d: %v", i, e)
		}
	}
}

// testLog has them read the log itself, as the driver writes it.
func (w *world) testLog(t *testing.T) {
	log, err := kafka.Open(t.Context(), kafka.Config{Brokers: w.cluster.Addrs(), Prefix: "log.", Partitions: 1, Replication: 1}, kafka.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	add(t, log, "ada", numbered(0, 100)...)
	add(t, log, "bob", numbered(100, 101)...)
	got := foreign(t, w.cluster.Addrs()[0], "log.events", "chunk")
	if len(got) != 101 || got[99]["messageId"] != "m0099" || got[99]["userId"] != "ada" || got[100]["userId"] != "bob" {
		t.Errorf("%d events were read of 101: %v", len(got), got)
	}
}

// foreign reads a topic with docs/format/read_events.py.
func foreign(t *testing.T, broker, topic, form string) (events []map[string]any) {
	t.Helper()
	const python = "/usr/bin/python3" // that of the system: it has the libraries of its packages
	_, err := exec.LookPath("kcat")
	if err == nil {
		err = exec.CommandContext(t.Context(), python, "-c", "import avro.io").Run()
	}
	if err != nil {
		if os.Getenv("HEED_REQUIRE_SERVICES") == "1" {
			t.Fatalf("HEED_REQUIRE_SERVICES=1, and there is no kcat, or no python3 with Apache Avro: %v", err)
		}
		t.Skipf("COULD NOT RUN: needs kcat, and %s with avro (on Debian: apt-get install kcat python3-avro): %v", python, err)
	}
	kcat := exec.CommandContext(t.Context(), "kcat", "-C", "-b", broker, "-t", topic, "-o", "beginning", "-e", "-q", "-f", `%S\n%s`)
	reader := exec.CommandContext(t.Context(), python, "../../../docs/format/read_events.py", "../../../docs/format/event.avsc", form)
	kcat.Stderr, reader.Stderr = os.Stderr, os.Stderr
	if reader.Stdin, err = kcat.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := kcat.Start(); err != nil {
		t.Fatal(err)
	}
	out, err := reader.Output()
	if err = errors.Join(err, kcat.Wait()); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		events = append(events, e)
	}
	return events
}

func (w *world) testCheck(t *testing.T) {
	f := func(want string, cfg Config) {
		t.Helper()
		cfg.Defaults()
		err := Check(t.Context(), cfg)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	f("", Config{})
	f("", w.config("json"))
	f("there is no topic elsewhere", w.config("elsewhere"))
	f("connection refused", Config{Brokers: []string{"127.0.0.1:1"}, Topic: "json", Timeout: time.Second})
}

// testGoesOn: restarts of the sink and of the broker lose nothing, and what came
// twice is what lay behind the kept position. A topic that is missing is waited for,
// an event that is too large holds nobody up.
func (w *world) testGoesOn(t *testing.T) {
	db := memory.Open(memory.Config{})
	defer func() { _ = db.Close() }()
	s, stop := start(t, db, w.config("later"))
	add(t, db.Log(), "ada", numbered(0, 100)...)
	small := "4000" // less than a batch would be
	w.topic(t, "later", map[string]*string{"max.message.bytes": &small})
	w.await(t, "later", numbered(0, 100))
	add(t, db.Log(), "ada", strings.Repeat("x", 6000))
	w.cluster.Kill(0)
	add(t, db.Log(), "ada", numbered(100, 200)...)
	w.cluster.Restart(0)
	w.await(t, "later", numbered(0, 200))
	stop() // keeps the position, so that nothing comes again
	add(t, db.Log(), "ada", numbered(200, 300)...)
	_, stop = start(t, db, w.config("later"))
	defer stop()
	all := w.await(t, "later", numbered(0, 300))
	var got []string
	for _, r := range all {
		if r.Partition == all[0].Partition {
			got = append(got, headers(r)["heed-message-id"])
		}
	}
	if d := cmp.Diff(numbered(0, 300), got); d != "" {
		t.Errorf("in the topic: -want +got\n%s", d)
	}
	var refused dto.Metric
	if err := s.refused.Write(&refused); err != nil || refused.GetCounter().GetValue() != 1 {
		t.Errorf("%v, %v: want the one event that is too large", &refused, err)
	}
}

func TestConfig(t *testing.T) {
	f := func(want string, change func(*Config)) {
		t.Helper()
		c := Config{Brokers: []string{"127.0.0.1:9092"}, Topic: "shop.events"}
		change(&c)
		c.Defaults()
		err := c.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	f("", func(*Config) {})
	f("", func(c *Config) { *c = Config{} })
	f("brokers: none", func(c *Config) { c.Brokers = nil })
	f("topic: ", func(c *Config) { c.Topic = "" })
	f("topic: ", func(c *Config) { c.Topic = "a/b" })
	f("format: ", func(c *Config) { c.Format = "xml" })
	f("timeout: ", func(c *Config) { c.Timeout = time.Millisecond })
	f("tls: ", func(c *Config) { c.TLS = clienttls.Config{CA: "ca.pem"} })
}
