package kafka

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"heed/internal/channel"
	"heed/internal/definition"
	"heed/internal/driver/kafka/kafkatest"
	"heed/internal/period"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start makes a channel that is closed with the test.
func start(t *testing.T) *Channel {
	t.Helper()
	c, _ := run(t)
	return c
}

// run makes a channel; end ends it.
func run(t *testing.T) (c *Channel, end context.CancelFunc) {
	t.Helper()
	c = New(time.Now, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return c, cancel
}

func delivery(brokers []string, topic string, change ...func(*definition.Channel, *channel.Delivery)) *channel.Delivery {
	def := &definition.Channel{
		Name: "warehouse", Type: Type, Kafka: &definition.Kafka{Brokers: brokers}, Topic: topic, Timeout: period.Period(10 * time.Second),
	}
	d := &channel.Delivery{ID: "d1", ActivationID: "a1", Campaign: "winners", User: "ada", Body: ` {"plan": "pro"}` + "\n", Channel: def}
	for _, f := range change {
		f(def, d)
	}
	return d
}

// failure is the class of an error.
func failure(t *testing.T, err error) *channel.Error {
	t.Helper()
	e, ok := errors.AsType[*channel.Error](err)
	if !ok {
		t.Fatalf("%v has no class", err)
	}
	return e
}

// world is a broker with a topic, and a consumer of somebody else's.
type world struct {
	t        *testing.T
	cluster  *kafkatest.Cluster
	admin    *kadm.Client
	consumer *kgo.Client
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, cluster: kafkatest.Start(t, 1)}
	client, err := kgo.NewClient(kgo.SeedBrokers(w.cluster.Addrs()...), kgo.ConsumeTopics("deliveries"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	w.admin, w.consumer = kadm.NewClient(client), client
	w.topic("deliveries", nil)
	return w
}

func (w *world) topic(name string, settings map[string]*string) {
	w.t.Helper()
	if _, err := w.admin.CreateTopic(w.t.Context(), 2, 1, settings, name); err != nil {
		w.t.Fatal(err)
	}
}

// await reads until n records have come.
func (w *world) await(n int) (out []*kgo.Record) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	for len(out) < n {
		fetches := w.consumer.PollFetches(ctx)
		if ctx.Err() != nil {
			w.t.Fatalf("%d of %d records came: %v", len(out), n, fetches.Errors())
		}
		out = append(out, fetches.Records()...)
	}
	return out
}

// written is how many records are in the topic.
func (w *world) written() (n int64) {
	w.t.Helper()
	ends, err := w.admin.ListEndOffsets(w.t.Context(), "deliveries")
	if err != nil {
		w.t.Fatal(err)
	}
	ends.Each(func(o kadm.ListedOffset) { n += o.Offset })
	return n
}

func headers(r *kgo.Record) map[string]string {
	out := map[string]string{}
	for _, h := range r.Headers {
		out[h.Key] = string(h.Value)
	}
	return out
}

func TestOneBroker(t *testing.T) {
	w := newWorld(t)
	t.Run("Writes", w.testWrites)
	t.Run("Secure", w.testSecure)
	t.Run("Refused", w.testRefused)
	t.Run("Down", w.testDown)
	t.Run("Paused", w.testPaused)
	t.Run("Ends", w.testEnds)
}

func (w *world) testWrites(t *testing.T) {
	c := start(t)
	receipt, err := c.Send(t.Context(), delivery(w.cluster.Addrs(), "deliveries", func(def *definition.Channel, d *channel.Delivery) {
		def.Headers, d.Test = map[string]string{"team": "growth"}, true
	}))
	if err != nil || !receipt.Fresh {
		t.Fatalf("%+v, %v", receipt, err)
	}
	r := w.await(1)[0]
	if want := fmt.Sprintf("deliveries/%d/%d", r.Partition, r.Offset); receipt.Reference != want || string(r.Key) != "ada" || string(r.Value) != `{"plan": "pro"}` {
		t.Errorf("%q, want %q: %s = %s", receipt.Reference, want, r.Key, r.Value)
	}
	if d := cmp.Diff(map[string]string{"heed-activation": "a1", "heed-campaign": "winners", "heed-test": "true", "team": "growth"}, headers(r)); d != "" {
		t.Errorf("headers: -want +got\n%s", d)
	}
}

func (w *world) testSecure(t *testing.T) {
	c, s := start(t), w.cluster.Secure()
	secure := func(password string) func(*definition.Channel, *channel.Delivery) {
		return func(def *definition.Channel, _ *channel.Delivery) {
			def.Kafka.TLS = &definition.TLS{CA: s.CA}
			def.Kafka.SASL = &definition.KafkaSASL{Mechanism: "scram-sha-512", User: s.User, Password: password}
		}
	}
	_, err := c.Send(t.Context(), delivery(s.Addrs, "deliveries", secure("wrong")))
	if e := failure(t, err); e.Class == channel.Permanent || !strings.Contains(err.Error(), "SASL_AUTHENTICATION_FAILED") {
		t.Errorf("a wrong password: %v", err)
	}
	if _, err = c.Send(t.Context(), delivery(s.Addrs, "deliveries", secure(s.Password))); err != nil {
		t.Error(err)
	}
	w.await(1)
}

func (w *world) testRefused(t *testing.T) {
	c := start(t)
	small := "1000"
	w.topic("small", map[string]*string{"max.message.bytes": &small})
	crowded := make(chan error)
	for i := range 8 { // more than a batch may hold, in one partition
		go func() {
			_, err := c.Send(t.Context(), delivery(w.cluster.Addrs(), "small", func(_ *definition.Channel, d *channel.Delivery) {
				d.ID, d.Body = fmt.Sprint("d", i), incompressible(400)
			}))
			crowded <- err
		}()
	}
	for range 8 {
		if err := <-crowded; err != nil {
			t.Errorf("one of those that are small enough: %v", err)
		}
	}
	f := func(topic string, class channel.ErrorClass, want string, change ...func(*definition.Channel, *channel.Delivery)) {
		t.Helper()
		_, err := c.Send(t.Context(), delivery(w.cluster.Addrs(), topic, change...))
		if e := failure(t, err); e.Class != class || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s: %s", err, class, want)
		}
	}
	f("elsewhere", channel.Temporary, "the topic elsewhere does not exist on these brokers")
	f("small", channel.Permanent, "larger than the topic small takes", func(_ *definition.Channel, d *channel.Delivery) { d.Body = incompressible(2000) })
	f("deliveries", channel.Permanent, "is not JSON: invalid character 'H'", func(_ *definition.Channel, d *channel.Delivery) { d.Body = "Hello" })
	if n := w.written(); n != 2 {
		t.Errorf("%d records are in the topic, want the 2 of before", n)
	}
}

// incompressible is a JSON text of a length.
func incompressible(n int) string {
	b := make([]byte, n/2)
	_, _ = rand.Read(b) // never fails
	return `"` + hex.EncodeToString(b) + `"`
}

// TestSweep: connections that nobody uses any more are closed, and made anew.
func TestSweep(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	c := New(func() time.Time { return now }, slog.New(slog.DiscardHandler))
	def := delivery([]string{"127.0.0.1:1"}, "deliveries").Channel
	of := func() *producer {
		t.Helper()
		p, err := c.producers.of(def, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := of()
	now = now.Add(idleAfter - time.Second)
	c.producers.sweep()
	if of() != first {
		t.Error("one that was used of late was closed")
	}
	now = now.Add(idleAfter)
	c.producers.sweep()
	second := of()
	if second == first {
		t.Error("one that was idle was kept")
	}
	def = delivery([]string{"127.0.0.1:2"}, "deliveries").Channel
	if of() == second {
		t.Error("brokers were changed, and the connections are those of before")
	}
	def.Kafka.TLS = &definition.TLS{CA: "missing.pem"}
	if _, err := c.producers.of(def, time.Second); err == nil || !strings.Contains(err.Error(), "tls: ca: open missing.pem") {
		t.Error(err)
	}
	c.producers.close()
}

// testDown: a broker that is away gets what was for it when it is back, once.
func (w *world) testDown(t *testing.T) {
	c, before := start(t), w.written()
	quick := func(def *definition.Channel, d *channel.Delivery) {
		def.Timeout, d.ID = period.Period(time.Second), "d-down"
	}
	w.cluster.Kill(0)
	for range 2 {
		_, err := c.Send(t.Context(), delivery(w.cluster.Addrs(), "deliveries", quick))
		if e := failure(t, err); e.Class == channel.Permanent || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("a broker that is away: %v", err)
		}
	}
	w.cluster.Restart(0)
	w.deliver(t, c, quick)
	w.await(1)
	if n := w.written() - before; n != 1 {
		t.Errorf("%d records, want 1", n)
	}
}

// testPaused: a record that was sent to a broker that does not answer is not sent
// by the next attempt again.
func (w *world) testPaused(t *testing.T) {
	c := start(t)
	if _, err := c.Send(t.Context(), delivery(w.cluster.Addrs(), "deliveries")); err != nil { // connected
		t.Fatal(err)
	}
	before := w.written()
	quick := func(def *definition.Channel, d *channel.Delivery) { d.ID = "d-paused" }
	w.cluster.Pause(0)
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_, err := c.Send(ctx, delivery(w.cluster.Addrs(), "deliveries", quick))
		cancel()
		if e := failure(t, err); e.Class != channel.Uncertain {
			t.Errorf("a broker that does not answer: %v", err)
		}
	}
	w.cluster.Resume(0)
	w.deliver(t, c, quick)
	if n := w.written() - before; n != 1 {
		t.Errorf("%d records, want 1", n)
	}
}

// testEnds: what is under way when Heed stops gets its answer.
func (w *world) testEnds(t *testing.T) {
	c, end := run(t)
	if _, err := c.Send(t.Context(), delivery(w.cluster.Addrs(), "deliveries")); err != nil { // connected
		t.Fatal(err)
	}
	before := w.written()
	w.cluster.Pause(0)
	sent := make(chan error, 1)
	go func() {
		_, err := c.Send(t.Context(), delivery(w.cluster.Addrs(), "deliveries", func(_ *definition.Channel, d *channel.Delivery) { d.ID = "d-last" }))
		sent <- err
	}()
	until(t, func() bool {
		c.producers.mu.Lock()
		defer c.producers.mu.Unlock()
		return !c.producers.all["warehouse"].idle()
	})
	end()
	until(t, func() bool {
		c.producers.mu.Lock()
		defer c.producers.mu.Unlock()
		return c.producers.closed
	})
	_, err := c.Send(t.Context(), delivery(w.cluster.Addrs(), "deliveries"))
	if e := failure(t, err); !e.Untried {
		t.Errorf("an attempt while it ends: %v", err)
	}
	w.cluster.Resume(0)
	if err := <-sent; err != nil {
		t.Errorf("the attempt that was under way: %v", err)
	}
	if n := w.written() - before; n != 1 {
		t.Errorf("%d records, want 1", n)
	}
}

func until(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen")
		}
	}
}

// deliver tries until it is done, as the Engager does.
func (w *world) deliver(t *testing.T, c *Channel, change func(*definition.Channel, *channel.Delivery)) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		_, err := c.Send(t.Context(), delivery(w.cluster.Addrs(), "deliveries", change))
		if err == nil {
			return
		}
		if e := failure(t, err); e.Class == channel.Permanent || time.Now().After(deadline) {
			t.Fatal(err)
		} else {
			time.Sleep(e.After)
		}
	}
}

func TestKeys(t *testing.T) {
	f := func(key, want string) {
		t.Helper()
		d := delivery(nil, "deliveries", func(def *definition.Channel, d *channel.Delivery) {
			def.Key, d.Body = key, `{"customer": {"id": 7e2, "name": "Ann \u0041", "x": null, "none": {}}, "ok": true}`
		})
		r, err := recordOf(d.Channel, d)
		switch {
		case err != nil:
			if want == "" || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", key, err, want)
			}
		case string(r.Key) != want:
			t.Errorf("%s is %q, want %q", key, r.Key, want)
		}
	}
	f("", "ada")
	f("user", "ada")
	f("activation", "a1")
	f("campaign", "winners")
	f("none", "")
	f("value.customer.id", "7e2")
	f("value.customer.name", "Ann A")
	f("value.ok", "true")
	f("value.customer.x", "value.customer.x is neither a text nor a number")
	f("value.customer.none", "is neither a text nor")
	f("value.customer.missing", "the value has no value.customer.missing to make the key of")
	f("value.ok.deeper", "the value has no value.ok.deeper")
}
