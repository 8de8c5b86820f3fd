package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"heed/internal/clienttls"
	"heed/internal/driver/kafka/kafkatest"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/eventlog/distinct"
	"heed/internal/eventlog/eventlogtest"
	"heed/internal/kafkaconn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testConfig is for topics of the test's own.
func testConfig(t testing.TB, c *kafkatest.Cluster) Config {
	t.Helper()
	name := strings.NewReplacer("/", ".", "#", "-").Replace(t.Name())
	return Config{Brokers: c.Addrs(), Prefix: name + ".", Partitions: 4, Replication: 1}
}

func open(t testing.TB, cfg Config) *Log {
	t.Helper()
	l, err := Open(t.Context(), cfg, Deps{
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})), Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// TestOneBroker holds what needs one broker: they share it, as starting one takes
// seconds.
func TestOneBroker(t *testing.T) {
	c := kafkatest.Start(t, 1)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *kafkatest.Cluster)
	}{
		{"Eventlog", testEventlog},
		{"Topics", testTopics},
		{"Secure", testSecure},
		{"Repeats", testRepeats},
		{"Deal", testDeal},
		{"LogTime", testLogTime},
		{"Foreign", testForeign},
		{"TooLarge", testTooLarge},
		{"BoundedMemory", testBoundedMemory},
		{"Restarts", testRestarts},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, c) })
	}
}

func testEventlog(t *testing.T, c *kafkatest.Cluster) {
	eventlogtest.Run(t, func(t *testing.T, _ *eventlogtest.Clock) eventlogtest.Subject {
		cfg := testConfig(t, c)
		l := open(t, cfg)
		return eventlogtest.Subject{Log: l, Repeats: true, OwnTime: true, Reopen: func(t *testing.T) eventlog.Log {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = open(t, cfg)
			return l
		}}
	})
}

// testRepeats: what a client sends again is in the log, and is not read again.
func testRepeats(t *testing.T, c *kafkatest.Cluster) {
	l := open(t, testConfig(t, c))
	once, err := distinct.New(l, distinct.Config{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []*eventlog.Batch{
		eventlogtest.MakeBatch(1, "a", "b"), eventlogtest.MakeBatch(1, "b", "c", "a", "d"), eventlogtest.MakeBatch(1, "d", "a"), eventlogtest.MakeBatch(1, "e"),
	} {
		if err := once.Append(t.Context(), eventlog.Events, []*eventlog.Batch{b}); err != nil {
			t.Fatal(err)
		}
	}
	for skip, want := range [][]string{{"a", "b", "c", "d", "e"}, {"c", "d", "e"}} {
		r, err := once.Read(t.Context(), eventlog.Events, 1, uint64(skip)<<recordShift)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for len(got) < len(want) {
			chunk, err := r.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			bodies, err := eventlogtest.Bodies(chunk.Data)
			if err != nil || len(bodies) != chunk.Count {
				t.Fatalf("%d events, %v", len(bodies), err)
			}
			got = append(got, bodies...)
		}
		if _, more, err := r.TryNext(); more || err != nil || !slices.Equal(got, want) {
			t.Errorf("read %v, more: %v, %v; want %v", got, more, err, want)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// testTopics holds what is checked of topics that are there.
func testTopics(t *testing.T, c *kafkatest.Cluster) {
	cfg := testConfig(t, c)
	l := open(t, cfg)
	refused := func(name, want string, change func(*Config)) {
		t.Helper()
		cfg := cfg
		change(&cfg)
		again, err := Open(t.Context(), cfg, Deps{})
		if err == nil {
			_ = again.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	refused("other partitions", "has 4 partitions, not 8", func(c *Config) { c.Partitions = 8 })
	refused("more replicas", "is on 1 brokers, replication asks for 3", func(c *Config) { c.Replication = 3 })
	refused("replicas that are not there", "create topic", func(c *Config) { c.Prefix, c.Replication = "none.", 3 })

	cfg.Partitions = 0 // takes what is there
	if n := open(t, cfg).Partitions(); n != 4 {
		t.Errorf("%d partitions, want the 4 that are there", n)
	}
	alter := func(key, value string) {
		t.Helper()
		set := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: key, Value: &value}}
		if _, err := l.admin.AlterTopicConfigs(t.Context(), set, cfg.Prefix+"events"); err != nil {
			t.Fatal(err)
		}
	}
	for key, value := range map[string]string{
		"cleanup.policy": "compact", "message.timestamp.type": "CreateTime", "retention.ms": "3600000", "retention.bytes": "1000000",
		"max.message.bytes": "1000", "unclean.leader.election.enable": "true",
	} {
		var right string
		for _, r := range l.rules() {
			if r.name == key {
				right = r.want
			}
		}
		alter(key, value)
		refused(key, fmt.Sprintf("%s is %q, not %q", key, value, right), func(*Config) {})
		alter(key, right)
	}
	alter("retention.ms", fmt.Sprint(32*24*time.Hour.Milliseconds()))
	open(t, cfg)
}

func testSecure(t *testing.T, c *kafkatest.Cluster) {
	s := c.Secure()
	for _, mechanism := range []string{"plain", "scram-sha-512"} {
		cfg := testConfig(t, c)
		cfg.Brokers = s.Addrs
		cfg.TLS = clienttls.Config{Enabled: true, CA: s.CA}
		cfg.SASL = kafkaconn.SASL{Mechanism: mechanism, User: s.User, Password: s.Password}
		l := open(t, cfg)
		if err := l.Append(t.Context(), eventlog.Events, []*eventlog.Batch{eventlogtest.MakeBatch(0, mechanism)}); err != nil {
			t.Fatal(err)
		}
		r, err := l.Read(t.Context(), eventlog.Events, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		if chunk, err := r.Next(t.Context()); err != nil || chunk.Count != 1 {
			t.Fatalf("%+v, %v", chunk, err)
		}
		_ = r.Close()

		began := time.Now()
		cfg.SASL.Password = "wrong"
		if _, err := Open(t.Context(), cfg, Deps{}); err == nil || !strings.Contains(err.Error(), "SASL_AUTHENTICATION_FAILED") {
			t.Errorf("%s with a wrong password: %v", mechanism, err)
		}
		cfg.SASL.Password, cfg.TLS.CA = s.Password, ""
		if _, err := Open(t.Context(), cfg, Deps{}); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("a certificate that nobody vouches for: %v", err)
		}
		if took := time.Since(began); took > startTimeout {
			t.Errorf("it took %s to say what cannot change", took)
		}
	}
}

// testLogTime lets the brokers' clocks go back and forth, as after a change of
// leaders: log time is the running maximum, wherever reading begins.
func testLogTime(t *testing.T, c *kafkatest.Cluster) {
	l := open(t, testConfig(t, c))
	p := l.topics[eventlog.Events].partitions[1]
	createTime := "CreateTime" // so that the test says what the clocks do
	if _, err := l.admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "message.timestamp.type", Value: &createTime}}, p.topic.name); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	clock := time.Now().Add(-2 * time.Hour).UnixMilli()
	var want []int64 // µs
	for i := range 60 {
		clock += 1 + random.Int64N(50)
		switch i % 15 {
		case 7:
			clock -= random.Int64N(20_000)
		case 14:
			clock += random.Int64N(60_000)
		}
		r := l.topics[eventlog.Events].cut(nil, eventlogtest.MakeBatch(1, fmt.Sprint(i)))[0]
		r.Timestamp = time.UnixMilli(clock)
		if err := l.client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		at := 1000 * clock
		if i > 0 {
			at = max(at, want[i-1])
		}
		want = append(want, at)
		b, err := l.Bounds(t.Context(), eventlog.Events, 1)
		if err != nil || b.Time != at || b.Next != uint64(i)<<recordShift+1 {
			t.Fatalf("bounds are %+v, %v behind record %d, want log time %d", b, err, i, at)
		}
	}
	for from := range want {
		r, err := l.Read(t.Context(), eventlog.Events, 1, uint64(from)<<recordShift)
		if err != nil {
			t.Fatal(err)
		}
		for i := from; i < min(from+5, len(want)); i++ {
			if chunk, err := r.Next(t.Context()); err != nil || chunk.Appended != want[i] {
				t.Fatalf("record %d, read from %d on, has log time %d, %v, want %d", i, from, chunk.Appended, err, want[i])
			}
		}
		_ = r.Close()
	}
	for i, at := range want {
		first := i
		for first > 0 && want[first-1] == at {
			first--
		}
		if got, err := l.OffsetAt(t.Context(), eventlog.Events, 1, at); err != nil || got != uint64(first)<<recordShift {
			t.Fatalf("offset at the time of record %d is %d, %v, want %d", i, got, err, first<<recordShift)
		}
	}
}

// testForeign appends what is not Heed's: reading stops there, loudly.
func testForeign(t *testing.T, c *kafkatest.Cluster) {
	l := open(t, testConfig(t, c))
	if err := l.Append(t.Context(), eventlog.Events, []*eventlog.Batch{eventlogtest.MakeBatch(0, "ours")}); err != nil {
		t.Fatal(err)
	}
	theirs := &kgo.Record{Topic: l.topics[eventlog.Events].name, Value: []byte("theirs")}
	if err := l.client.ProduceSync(t.Context(), theirs).FirstErr(); err != nil {
		t.Fatal(err)
	}
	r, err := l.Read(t.Context(), eventlog.Events, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if _, err := r.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 { // it is never passed over
		if chunk, err := r.Next(t.Context()); !errors.Is(err, errDamaged) || !strings.Contains(err.Error(), "record 1") {
			t.Errorf("a foreign record reads as %+v, %v", chunk, err)
		}
		if _, ok, err := r.TryNext(); ok || !errors.Is(err, errDamaged) {
			t.Errorf("a foreign record is passed over: %v, %v", ok, err)
		}
	}
	if _, err := l.Bounds(t.Context(), eventlog.Events, 0); !errors.Is(err, errDamaged) {
		t.Errorf("bounds behind a foreign record: %v", err)
	}
}

func testTooLarge(t *testing.T, c *kafkatest.Cluster) {
	l := open(t, testConfig(t, c))
	huge := eventlogtest.MakeBatch(0, strings.Repeat("x", maxMessage))
	if err := l.Append(t.Context(), eventlog.Events, []*eventlog.Batch{huge}); err == nil || errors.Is(err, eventlog.ErrUnavailable) {
		t.Errorf("an event that no topic takes: %v", err)
	}
	if err := l.Append(t.Context(), eventlog.Events, []*eventlog.Batch{eventlogtest.MakeBatch(0, strings.Repeat("x", maxMessage-1000))}); err != nil {
		t.Errorf("the largest event: %v", err)
	}
}

// testBoundedMemory pauses the broker: what waits for it is bounded, the rest is
// refused at once.
func testBoundedMemory(t *testing.T, c *kafkatest.Cluster) {
	cfg := testConfig(t, c)
	cfg.Memory, cfg.Timeout, cfg.Compression = 4<<20, time.Minute, "none"
	l := open(t, cfg)
	c.Pause(0)
	ctx, cancel := context.WithCancel(t.Context())
	answers := make(chan error)
	const n = 40
	for range n {
		go func() {
			b := eventlogtest.MakeBatch(0, strings.Repeat("x", 200_000))
			answers <- l.Append(ctx, eventlog.Events, []*eventlog.Batch{b})
		}()
	}
	refused := 0
	for refused < n/2-2 { // 4 MiB are 20 of them
		if err := <-answers; !errors.Is(err, eventlog.ErrUnavailable) {
			t.Errorf("append to a full buffer: %v", err)
		}
		refused++
	}
	if waits := l.client.BufferedProduceBytes(); waits > cfg.Memory {
		t.Errorf("%d bytes wait, bounded at %d", waits, cfg.Memory)
	}
	cancel()
	for range n - refused {
		if err := <-answers; err == nil {
			t.Error("an append was acknowledged by a broker that stands still")
		}
	}
	c.Resume(0)
	if err := l.Append(t.Context(), eventlog.Events, []*eventlog.Batch{eventlogtest.MakeBatch(0, "afterwards")}); err != nil {
		t.Error(err)
	}
}

func TestConfig(t *testing.T) {
	f := func(want string, change func(*Config)) {
		t.Helper()
		c := Config{Brokers: []string{"127.0.0.1:9092"}}
		c.Defaults()
		change(&c)
		err := c.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	f("", func(*Config) {})
	f("brokers: ", func(c *Config) { c.Brokers = nil })
	f("prefix: ", func(c *Config) { c.Prefix = "a/b" })
	f("partitions: ", func(c *Config) { c.Partitions = 1 << 16 })
	f("min_insync: ", func(c *Config) { c.MinInsync = 4 })
	f("compression: ", func(c *Config) { c.Compression = "gzip9" })
	f("memory: ", func(c *Config) { c.Memory = 1000 })
	f("tls: is set up", func(c *Config) { c.TLS.CA = "ca.pem" })
	f("tls: cert and key", func(c *Config) { c.TLS = clienttls.Config{Enabled: true, Cert: "cert.pem"} })
	f("sasl: plain would", func(c *Config) { c.SASL = kafkaconn.SASL{Mechanism: "plain", User: "u", Password: "p"} })
	f("sasl: user or password", func(c *Config) { c.SASL = kafkaconn.SASL{Mechanism: "scram-sha-512", User: "u"} })
	f("sasl: mechanism", func(c *Config) { c.SASL = kafkaconn.SASL{Mechanism: "gssapi", User: "u", Password: "p"} })
	f("", func(c *Config) { c.SASL = kafkaconn.SASL{Mechanism: "scram-sha-256", User: "u", Password: "p"} })
}

// TestRecord holds the form of a record: docs/format/kafka.md.
func TestRecord(t *testing.T) {
	topic := &topic{name: "events", headers: headersOf(eventlog.Events)}
	bodies := make([]string, maxEvents+2)
	for i := range bodies {
		bodies[i] = strings.Repeat("x", i)
	}
	records := topic.cut(nil, eventlogtest.MakeBatch(3, bodies...))
	if len(records) != 2 {
		t.Fatalf("%d events are in %d records", len(bodies), len(records))
	}
	r := records[1]
	schema := binary.BigEndian.AppendUint64(nil, event.Fingerprint)
	var keys []byte
	for _, body := range bodies[maxEvents:] {
		k := eventlogtest.KeyOf(body)
		keys = append(keys, k[:]...)
	}
	want := []kgo.RecordHeader{{Key: "heed-schema", Value: schema}, {Key: "heed-count", Value: []byte{2}}, {Key: "heed-keys", Value: keys}}
	if diff := cmp.Diff(want, r.Headers); diff != "" || r.Topic != "events" || r.Partition != 3 || r.Key != nil {
		t.Errorf("record for %s/%d, key %q, headers: %s", r.Topic, r.Partition, r.Key, diff)
	}
	if got, err := eventlogtest.Bodies(r.Value); err != nil || !slices.Equal(got, bodies[maxEvents:]) {
		t.Errorf("value holds %d events, %v", len(got), err)
	}
	r.Offset = 5
	c, err := decode(r)
	if err != nil || c.Base != 5*256 || c.Count != 2 || c.Schema != event.Fingerprint {
		t.Errorf("it reads as %+v, %v", c, err)
	}

	// By size, too; an event that is larger by itself stays whole.
	large := strings.Repeat("x", maxRecord/2)
	if got := len(topic.cut(nil, eventlogtest.MakeBatch(0, large, large, "small", large+large+large))); got != 3 {
		t.Errorf("large events are in %d records", got)
	}
}

// FuzzDecode: whatever stands in a topic is taken apart or refused.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("x"), binary.BigEndian.AppendUint64(nil, event.Fingerprint), []byte{1})
	f.Add([]byte(nil), []byte{1}, []byte{0x80})
	f.Fuzz(func(t *testing.T, value, schema, count []byte) {
		r := &kgo.Record{Value: value, Headers: []kgo.RecordHeader{{Key: headerSchema, Value: schema}, {Key: headerCount, Value: count}}}
		c, err := decode(r)
		if err == nil && (c.Count < 1 || c.Count > maxEvents || c.Schema == 0 || len(c.Data) == 0) {
			t.Errorf("taken as %+v", c)
		}
		if err != nil && !errors.Is(err, errDamaged) {
			t.Errorf("refused with %v", err)
		}
	})
}
