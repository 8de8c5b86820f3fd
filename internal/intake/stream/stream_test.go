package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"heed/internal/console/api"
	"heed/internal/definition"
	"heed/internal/driver/kafka/kafkatest"
	"heed/internal/driver/memory"
	"heed/internal/event"
	"heed/internal/eventlog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// defined is a catalog whose set is put.
type defined struct {
	set  atomic.Pointer[definition.Set]
	mu   sync.Mutex
	wake []chan struct{}
}

func (d *defined) Current() *definition.Set { return d.set.Load() }

func (d *defined) Changed() (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wake = append(d.wake, ch)
	return ch, func() {}
}

// refusals are what was recorded as bad.
type refusals struct {
	mu   sync.Mutex
	list []string
}

func (r *refusals) add(source, reason string, raw []byte, _ time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, source+": "+reason+": "+string(raw[:min(len(raw), 20)]))
}

func (r *refusals) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.list)
}

// world is a broker with a topic, and an installation that follows it.
type world struct {
	t        *testing.T
	brokers  []string
	topic    string
	producer *kgo.Client
	db       *memory.DB
	defined  *defined
	edit     func(*definition.Stream) // before it is in force
	refused  refusals
}

func newWorld(t *testing.T, c *kafkatest.Cluster, partitions int32) *world {
	t.Helper()
	w := &world{t: t, brokers: c.Addrs(), db: memory.Open(memory.Config{}), defined: &defined{}, edit: func(*definition.Stream) {}}
	w.topic = strings.ReplaceAll(t.Name(), "/", ".")
	var err error
	w.producer, err = kgo.NewClient(kgo.SeedBrokers(w.brokers...), kgo.DefaultProduceTopic(w.topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.producer.Close)
	if _, err := kadm.NewClient(w.producer).CreateTopic(t.Context(), partitions, 1, nil, w.topic); err != nil {
		t.Fatal(err)
	}
	return w
}

// define puts streams in force, each the rest of one.
func (w *world) define(streams map[string]string) {
	w.t.Helper()
	var docs []definition.Document
	for name, rest := range streams {
		text := fmt.Sprintf("kind: stream\nname: %s\nkafka: {brokers: [%q]}\ntopic: %s\n%s", name, w.brokers[0], w.topic, rest)
		got, problems := definition.Parse("", []byte(text))
		if err := problems.Err(); err != nil {
			w.t.Fatalf("%s\n%v", text, err)
		}
		docs = append(docs, got...)
	}
	set, problems := definition.NewSet(1, docs)
	if err := problems.Err(); err != nil {
		w.t.Fatal(err)
	}
	for _, d := range set.Streams {
		w.edit(d)
	}
	w.defined.set.Store(set)
	w.defined.mu.Lock()
	defer w.defined.mu.Unlock()
	for _, ch := range w.defined.wake {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// run follows the streams until the test ends, or stop.
func (w *world) run(log eventlog.Log, alone bool) (stop func()) {
	w.t.Helper()
	s, err := New(Deps{
		Log: log, Documents: w.db.Documents(), Definitions: w.defined, Refused: w.refused.add, Installation: w.topic, Alone: alone,
		Logger: slog.New(slog.NewTextHandler(w.t.Output(), nil)), Registerer: prometheus.NewRegistry(), Clock: time.Now,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Run(ctx); err != nil {
			w.t.Error(err)
		}
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	w.t.Cleanup(stop)
	return stop
}

// produce writes messages to a partition, and waits until they are there.
func (w *world) produce(partition int32, records ...*kgo.Record) {
	w.t.Helper()
	for _, r := range records {
		r.Partition = partition
	}
	if err := w.producer.ProduceSync(w.t.Context(), records...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

func record(key, value string) *kgo.Record {
	return &kgo.Record{Key: []byte(key), Value: []byte(value)}
}

// events are those in the log, as "user name properties", and how often each is
// there.
func (w *world) events() map[string]int {
	w.t.Helper()
	out := map[string]int{}
	for p := range w.db.Log().Partitions() {
		r, err := w.db.Log().Read(w.t.Context(), eventlog.Events, p, 0)
		if err != nil {
			w.t.Fatal(err)
		}
		for {
			c, ok, err := r.TryNext()
			if err != nil {
				w.t.Fatal(err)
			}
			if !ok {
				break
			}
			d := event.NewDecoder(c.Data)
			for {
				var e event.Event
				more, err := d.Next(&e)
				if err != nil {
					w.t.Fatal(err)
				}
				if !more {
					break
				}
				out[e.User()+" "+e.Name+" "+string(e.Properties)+string(e.Traits)]++
			}
		}
		_ = r.Close()
	}
	return out
}

func (w *world) state(name string) api.StreamState {
	w.t.Helper()
	states, err := States(w.t.Context(), w.db.Documents(), w.defined.Current(), time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, s := range states {
		if s.Name == name {
			return s
		}
	}
	w.t.Fatalf("no state of %s in %+v", name, states)
	return api.StreamState{}
}

// until waits for what should come.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatal("in vain: ", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// TestOneBroker holds what needs a broker: starting one takes seconds.
func TestOneBroker(t *testing.T) {
	c := kafkatest.Start(t, 1, "group.initial.rebalance.delay.ms=0")
	for _, test := range []struct {
		name string
		run  func(*testing.T, *kafkatest.Cluster)
	}{
		{"Follow", testFollow},
		{"Start", testStart},
		{"Divided", testDivided},
		{"LogAway", testLogAway},
		{"Registry", testRegistry},
		{"Unreachable", testUnreachable},
		{"Sample", testSample},
		{"Secure", testSecure},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, c) })
	}
}

// testFollow takes what is fine, says what is not, and follows what is redefined.
func testFollow(t *testing.T, c *kafkatest.Cluster) {
	w := newWorld(t, c, 2)
	w.produce(0, record("u1", `{"plan":"gold","mail":"a@b.example"}`), &kgo.Record{Key: []byte("u1")}, record("u2", "garbage"), record("", `{}`))
	w.produce(1, record("u3", `{"x":"`+strings.Repeat("x", 900_000)+`"}`), record("u4", `{"plan":"free"}`))
	const rest = "userId: key\nstart: earliest\n"
	w.define(map[string]string{"crm": rest + "event: registered\ntraits: {email: value.mail}\nproperties: {plan: value.plan}"})
	stop := w.run(w.db.Log(), true)
	until(t, "what is fine is in the log", func() bool { return len(w.events()) == 4 })
	want := map[string]int{
		`u1 identify {"email":"a@b.example"}`: 1, `u1 registered {"plan":"gold"}`: 1, `u4 registered {"plan":"free"}`: 1, `u3 registered `: 1,
	}
	if got := w.events(); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	until(t, "it is known how it fares", func() bool {
		s := w.state("crm")
		return s.Taken == 3 && s.Bad == 2 && s.Empty == 1 && s.Lag == 0 && !s.LagAt.IsZero() && s.Error == "" && !s.LastMessageAt.IsZero()
	})
	bad := w.refused.all()
	slices.Sort(bad)
	if want := []string{"crm: is not a JSON object: garbage", "crm: key is missing: {}"}; !slices.Equal(bad, want) {
		t.Errorf("%q, want %q", bad, want)
	}

	w.define(map[string]string{"crm": rest + "event: renewed"})
	w.produce(0, record("u5", `{"a":1}`))
	until(t, "the next one is read as it is defined now", func() bool { return w.events()[`u5 renewed {"a":1}`] == 1 })

	w.define(map[string]string{"crm": rest + "event: renewed\npaused: true"})
	until(t, "nobody is in the group", func() bool { return w.members() == 0 })
	w.produce(1, record("u6", `{"a":2}`))
	w.define(map[string]string{"crm": rest + "event: renewed"})
	until(t, "it goes on where it was", func() bool { return w.events()[`u6 renewed {"a":2}`] == 1 })
	w.define(nil)
	until(t, "its state is forgotten", func() bool {
		_, err := w.db.Documents().Get(t.Context(), collStates, "crm")
		return err != nil
	})
	stop()
	for what, n := range w.events() {
		if n != 1 {
			t.Errorf("%d times %s", n, what)
		}
	}
}

// members are those of the consumer group of the stream crm.
func (w *world) members() int {
	w.t.Helper()
	group := "heed-" + w.topic + "-crm"
	groups, err := kadm.NewClient(w.producer).DescribeGroups(w.t.Context(), group)
	if err != nil {
		return -1 // there is no coordinator yet
	}
	return len(groups[group].Members)
}

// testStart places groups: what comes after that is read whenever Heed runs.
func testStart(t *testing.T, c *kafkatest.Cluster) {
	w := newWorld(t, c, 1)
	w.produce(0, record("u1", `{"n":1}`))
	w.define(map[string]string{
		"latest": "userId: key\nevent: e\nproperties: {latest: value.n}", "earliest": "userId: key\nevent: e\nstart: earliest\nproperties: {earliest: value.n}",
		"past": "userId: key\nevent: e\nstart: 2020-01-01T00:00:00Z\nproperties: {past: value.n}", "future": "userId: key\nevent: e\nstart: 2100-01-01T00:00:00Z\nproperties: {future: value.n}",
	})
	admin := kadm.NewClient(w.producer)
	stop := w.run(w.db.Log(), true)
	until(t, "all groups have a place", func() bool {
		for name := range w.defined.Current().Streams {
			at, err := admin.FetchOffsets(t.Context(), "heed-"+w.topic+"-"+name)
			if err != nil || len(at[w.topic]) == 0 {
				return false
			}
		}
		return true
	})
	stop()
	w.produce(0, record("u2", `{"n":2}`))
	w.run(w.db.Log(), true)
	want := map[string]int{
		`u1 e {"earliest":1}`: 1, `u1 e {"past":1}`: 1, `u2 e {"latest":2}`: 1, `u2 e {"earliest":2}`: 1, `u2 e {"past":2}`: 1, `u2 e {"future":2}`: 1,
	}
	until(t, "all have read what came later", func() bool { return len(w.events()) >= len(want) })
	if got := w.events(); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// testDivided has two processes; one ends in the middle.
func testDivided(t *testing.T, c *kafkatest.Cluster) {
	const partitions, each = 4, 500
	w := newWorld(t, c, partitions)
	w.define(map[string]string{"crm": "userId: key\nevent: e\nstart: earliest"})
	first := w.run(w.db.Log(), false)
	w.run(w.db.Log(), false)
	until(t, "both are members", func() bool { return w.members() == 2 })
	for n := range each {
		for p := range partitions {
			w.producer.Produce(t.Context(), &kgo.Record{Partition: int32(p), Key: fmt.Appendf(nil, "u%d", p), Value: fmt.Appendf(nil, `{"n":%d}`, n)}, nil)
		}
		if n == each/2 {
			first()
		}
	}
	until(t, "all are there", func() bool { return len(w.events()) == partitions*each })
	for what, n := range w.events() {
		if n != 1 {
			t.Errorf("%d times %s", n, what)
		}
	}
}

// flaky is a log that cannot be written for a while.
type flaky struct {
	eventlog.Log
	away    atomic.Bool
	refused atomic.Int64
}

func (f *flaky) Append(ctx context.Context, s eventlog.Stream, batches []*eventlog.Batch) error {
	if f.away.Load() {
		f.refused.Add(1)
		return eventlog.ErrDiskFull
	}
	return f.Log.Append(ctx, s, batches)
}

func testLogAway(t *testing.T, c *kafkatest.Cluster) {
	w := newWorld(t, c, 1)
	w.define(map[string]string{"crm": "userId: key\nevent: e\nstart: earliest"})
	log := &flaky{Log: w.db.Log()}
	log.away.Store(true)
	w.run(log, true)
	const all = 3000
	for n := range all {
		w.producer.Produce(t.Context(), record("u1", fmt.Sprintf(`{"n":%d}`, n)), nil)
	}
	until(t, "the log refuses", func() bool { return log.refused.Load() > 1 })
	until(t, "it is said", func() bool { return strings.Contains(w.state("crm").Error, "events cannot be stored at the moment") })
	log.away.Store(false)
	until(t, "all are there", func() bool { return len(w.events()) == all })
	until(t, "all is well", func() bool { s := w.state("crm"); return s.Error == "" && s.Taken == all })
}

// testRegistry: a registry that is away makes messages wait, one that does not
// know a schema makes them bad.
func testRegistry(t *testing.T, c *kafkatest.Cluster) {
	var away atomic.Bool
	away.Store(true)
	var asked atomic.Int64
	registry := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		user, password, _ := r.BasicAuth()
		switch {
		case away.Load():
			http.Error(rw, "away", http.StatusServiceUnavailable)
		case user != "heed" || password != "s3cret":
			http.Error(rw, "no", http.StatusUnauthorized)
		case r.URL.Path == "/api/schemas/ids/7":
			_, _ = rw.Write([]byte(`{"schema":"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"id\",\"type\":\"string\"}]}"}`))
		case r.URL.Path == "/api/schemas/ids/8":
			_, _ = rw.Write([]byte(`{"schema":"syntax = proto3", "schemaType":"PROTOBUF"}`))
		default:
			http.NotFound(rw, r)
		}
	}))
	t.Cleanup(registry.Close)
	w := newWorld(t, c, 1)
	w.define(map[string]string{"crm": "userId: value.id\nevent: e\nstart: earliest\nformat: avro\navro: {framing: confluent, registry: '" + registry.URL + "/api/', user: heed, password: s3cret}"})
	w.run(w.db.Log(), true)
	for _, id := range []string{"\x07", "\x08", "\x09", "\x07"} {
		w.produce(0, record("", "\x00\x00\x00\x00"+id+"\x04u"+strconv.Itoa(len(id))))
	}
	until(t, "it waits", func() bool { return strings.Contains(w.state("crm").Error, "the schema registry cannot be asked") })
	if asked.Load() == 0 || len(w.events())+len(w.refused.all()) > 0 {
		t.Errorf("%v %v", w.events(), w.refused.all())
	}
	away.Store(false)
	until(t, "it goes on", func() bool { s := w.state("crm"); return s.Taken == 2 && s.Bad == 2 })
	want := []string{
		"crm: is written with schema 8, which is of the type PROTOBUF: 0x0000000008047531", "crm: is written with schema 9, which the registry does not know: 0x0000000009047531",
	}
	if got := w.refused.all(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// testUnreachable says why a stream does not get on, and another one does.
func testUnreachable(t *testing.T, c *kafkatest.Cluster) {
	w := newWorld(t, c, 1)
	w.produce(0, record("u1", `{}`))
	w.edit = func(d *definition.Stream) {
		switch d.Name {
		case "lost":
			d.Topic = "no.such.topic"
		case "away":
			d.Kafka.Brokers = []string{"127.0.0.1:1"}
		}
	}
	const rest = "userId: key\nevent: e\nstart: earliest"
	w.define(map[string]string{"crm": rest, "lost": rest, "away": rest})
	w.run(w.db.Log(), true)
	until(t, "the one is read", func() bool { return len(w.events()) == 1 })
	until(t, "the topic is missed", func() bool { return strings.Contains(w.state("lost").Error, "the topic does not exist") })
	until(t, "the brokers are missed", func() bool { return strings.Contains(w.state("away").Error, "connection refused") })
}

func testSample(t *testing.T, c *kafkatest.Cluster) {
	w := newWorld(t, c, 3)
	sample := func(rest string) *api.StreamSample {
		t.Helper()
		docs, problems := definition.Parse("", fmt.Appendf(nil, "kind: stream\nname: draft\nkafka: {brokers: [%q]}\n%s", w.brokers[0], rest))
		if err := problems.Err(); err != nil {
			t.Fatal(err)
		}
		s, err := Sample(t.Context(), docs[0].Spec.(*definition.Stream), 3, time.Now(), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := sample("topic: ''"); !slices.Contains(s.Topics, w.topic) || len(s.Problems) == 0 {
		t.Errorf("%+v", s)
	}
	if s := sample("topic: " + w.topic); s.Partitions != 3 || len(s.Messages) != 0 || len(s.Fields) != 0 {
		t.Errorf("an empty topic: %+v", s)
	}
	at := time.Now().Add(-time.Minute).Truncate(time.Millisecond)
	for n := range 6 {
		r := record(fmt.Sprint("u", n), fmt.Sprintf(`{"n":%d,"customer":{"id":"c%d","since":"2026-01-0%dT00:00:00Z"},"tags":["a"],"gone":null}`, n, n, n+1))
		r.Timestamp = at.Add(time.Duration(n) * time.Second)
		w.produce(int32(n%3), r)
	}
	w.produce(0, &kgo.Record{Value: []byte("garbage"), Timestamp: at.Add(time.Minute)})
	s := sample("topic: " + w.topic)
	if len(s.Messages) != 3 || s.Messages[0].Value != "garbage" || s.Messages[0].Problem != "is not a JSON object" || s.Messages[1].Key != "u5" || s.Messages[2].Key != "u4" {
		t.Errorf("%+v", s.Messages)
	}
	var fields []string
	for _, f := range s.Fields {
		fields = append(fields, fmt.Sprintf("%s %s %d %s", f.Place, f.Type, f.Messages, strings.Join(f.Examples, ",")))
	}
	if want := []string{
		"key text 2 u5,u4", "value.customer.id text 2 c5,c4", "value.customer.since time 2 2026-01-06T00:00:00Z,2026-01-05T00:00:00Z",
		"value.gone nothing 2 ", "value.n number 2 5,4", `value.tags list 2 ["a"]`,
	}; !slices.Equal(fields, want) {
		t.Errorf("%q, want %q", fields, want)
	}
	if len(s.Problems) != 2 || s.Problems[0].Path != "userId" {
		t.Errorf("%+v", s.Problems)
	}
	s = sample("topic: " + w.topic + "\nuserId: value.customer.id\nevent: registered\nproperties: {n: value.n}")
	if len(s.Problems) != 0 || len(s.Messages[1].Events) != 1 || s.Messages[1].Events[0].User != "c5" || string(s.Messages[1].Events[0].Properties) != `{"n":5}` {
		t.Errorf("%+v", s)
	}
	d := &definition.Stream{Name: "draft", Topic: "no.such.topic", Kafka: definition.Kafka{Brokers: w.brokers}}
	if _, err := Sample(t.Context(), d, 3, time.Now(), slog.New(slog.DiscardHandler)); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "the topic does not exist") {
		t.Error(err)
	}
}

// testSecure reads with TLS and SASL.
func testSecure(t *testing.T, c *kafkatest.Cluster) {
	w := newWorld(t, c, 1)
	secure := c.Secure()
	w.brokers = secure.Addrs
	w.produce(0, record("u1", `{}`))
	password := "wrong"
	w.edit = func(d *definition.Stream) {
		d.Kafka.TLS = &definition.TLS{CA: secure.CA}
		d.Kafka.SASL = &definition.KafkaSASL{Mechanism: "scram-sha-512", User: secure.User, Password: password}
	}
	const rest = "userId: key\nevent: e\nstart: earliest"
	w.define(map[string]string{"crm": rest})
	w.run(w.db.Log(), true)
	until(t, "the password is wrong", func() bool {
		return strings.Contains(w.state("crm").Error, "the brokers do not know this user and password")
	})
	password = secure.Password
	w.define(map[string]string{"crm": rest})
	until(t, "it is read", func() bool { return len(w.events()) == 1 })
}
