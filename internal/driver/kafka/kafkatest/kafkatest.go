// Package kafkatest owns real Apache Kafka brokers for tests: it starts them on
// free ports of the loopback interface in a folder of their own, kills, pauses and
// restarts them, moves what they lead, cuts the way to them, and leaves none running. It is used by tests only.
//
// It does not own fetching Kafka: scripts/services does, into KAFKA_LIBS.
// Where Kafka is missing the test is skipped, or fails with HEED_REQUIRE_SERVICES=1.
package kafkatest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"heed/internal/driver/servertest"
)

// clusterID is any id of 16 bytes in base64.
const clusterID = "4L6g3nShT-eMCtK--X86sw"

// Cluster is some brokers, each a controller too. Broker i has the id i+1. Its
// methods are called by one goroutine at a time.
type Cluster struct {
	t       testing.TB
	libs    string
	brokers []*broker
	secure  *Secure
}

type broker struct {
	*servertest.Process
	id                        int
	dir                       string
	plain, control, encrypted string // addresses
	behind                    string // where the proxy leads
	proxy                     *servertest.Proxy
}

// Start starts n brokers and waits until they are one cluster. They end with the
// test. Further settings apply to each broker.
func Start(t testing.TB, n int, settings ...string) *Cluster {
	t.Helper()
	c := &Cluster{t: t, libs: libs(t)}
	c.secure = newSecure(t)
	for i := range n {
		b := &broker{id: i + 1, dir: t.TempDir()}
		b.Process = servertest.NewProcess(t, fmt.Sprint("broker ", b.id), b.dir)
		b.plain, b.control, b.encrypted = servertest.Free(t), servertest.Free(t), servertest.Free(t)
		b.behind = servertest.Free(t)
		b.proxy = servertest.NewProxy(t, b.behind)
		c.brokers = append(c.brokers, b)
	}
	c.secure.Addrs = make([]string, n)
	var wait []func()
	for i, b := range c.brokers {
		c.secure.Addrs[i] = b.encrypted
		wait = append(wait, c.format(b, settings))
	}
	for _, done := range wait {
		done()
	}
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	c.Restart(all...)
	return c
}

// libs is the folder of Kafka's jars.
func libs(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("KAFKA_LIBS")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		dir = filepath.Join(cache, "heed", "kafka")
	}
	jars, _ := filepath.Glob(filepath.Join(dir, "kafka_*.jar")) // the pattern is right
	_, err := exec.LookPath("java")
	switch {
	case err == nil && len(jars) == 1:
		return dir
	case os.Getenv("HEED_REQUIRE_SERVICES") == "1":
		t.Fatalf("HEED_REQUIRE_SERVICES=1, and there is no Kafka: java: %v, jars in %s: %v", err, dir, jars)
	default:
		t.Skipf("no Kafka here (java: %v, jars in %s: %v): scripts/test fetches it", err, dir, jars)
	}
	return ""
}

// format writes a broker's settings and begins to make its folder one of the
// cluster; done waits for it.
func (c *Cluster) format(b *broker, settings []string) (done func()) {
	c.t.Helper()
	var voters []string
	for _, o := range c.brokers {
		voters = append(voters, fmt.Sprintf("%d@%s", o.id, o.control))
	}
	replicas := strconv.Itoa(min(3, len(c.brokers)))
	lines := append([]string{
		"process.roles=broker,controller",
		fmt.Sprintf("node.id=%d", b.id),
		"controller.quorum.voters=" + strings.Join(voters, ","),
		fmt.Sprintf("listeners=PLAINTEXT://%s,CONTROLLER://%s,SASL_SSL://%s,BEHIND://%s", b.plain, b.control, b.encrypted, b.behind),
		fmt.Sprintf("advertised.listeners=PLAINTEXT://%s,SASL_SSL://%s,BEHIND://%s", b.plain, b.encrypted, b.proxy.Addr()),
		"controller.listener.names=CONTROLLER",
		"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,BEHIND:PLAINTEXT",
		"log.dirs=" + filepath.Join(b.dir, "data"),
		"auto.create.topics.enable=false",
		"group.initial.rebalance.delay.ms=0",
		"offsets.topic.replication.factor=" + replicas, "offsets.topic.num.partitions=3",
		"transaction.state.log.replication.factor=" + replicas,
		"num.network.threads=2", "num.io.threads=4",
		// A broker that dies is noticed soon.
		"broker.heartbeat.interval.ms=500", "broker.session.timeout.ms=3000",
		"replica.lag.time.max.ms=5000",
	}, c.secure.settings()...)
	lines = append(lines, settings...)
	if err := os.WriteFile(b.properties(), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		c.t.Fatal(err)
	}
	cmd := c.java("128m", "kafka.tools.StorageTool", "format", "-t", clusterID, "-c", b.properties(),
		"--add-scram", fmt.Sprintf("SCRAM-SHA-512=[name=%s,password=%s]", c.secure.User, c.secure.Password))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	servertest.DieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		c.t.Fatalf("format the folder of broker %d: %v", b.id, err)
	}
	return func() {
		c.t.Helper()
		if err := cmd.Wait(); err != nil {
			c.t.Fatalf("format the folder of broker %d: %v\n%s", b.id, err, &out)
		}
	}
}

func (b *broker) properties() string { return filepath.Join(b.dir, "server.properties") }

func (c *Cluster) java(heap, class string, args ...string) *exec.Cmd {
	args = append([]string{
		"-Xmx" + heap, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", // little memory, and up soon
		"-cp", filepath.Join(c.libs, "*"), class,
	}, args...)
	return exec.Command("java", args...) // it ends with the test, by its id
}

// ask asks a broker for the brokers it knows, whether it is one, and takes producers.
func (b *broker) ask(ctx context.Context) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(b.plain), kgo.RequestRetries(0))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	resp, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, client)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(resp.Brokers, func(m kmsg.MetadataResponseBroker) bool { return int(m.NodeID) == b.id }) {
		return errors.New("it is not in the cluster yet")
	}
	// The first producer waits for the controller, for long on a slow machine.
	got, err := client.SeedBrokers()[0].Request(ctx, kmsg.NewPtrInitProducerIDRequest())
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(got.(*kmsg.InitProducerIDResponse).ErrorCode)
}

// Addrs are the brokers' addresses, without encryption.
func (c *Cluster) Addrs() []string {
	var out []string
	for _, b := range c.brokers {
		out = append(out, b.plain)
	}
	return out
}

// Proxies are ways to the brokers that can be cut. Who comes by them finds the other
// brokers behind theirs.
func (c *Cluster) Proxies() []*servertest.Proxy {
	var out []*servertest.Proxy
	for _, b := range c.brokers {
		out = append(out, b.proxy)
	}
	return out
}

// Secure is how the brokers are reached with encryption and a password.
func (c *Cluster) Secure() *Secure { return c.secure }

// Kill ends broker i as kill -9 does.
func (c *Cluster) Kill(i int) { c.brokers[i].Kill() }

// Restart starts brokers again, on what they have stored, and waits until they are
// back.
func (c *Cluster) Restart(which ...int) {
	c.t.Helper()
	for _, i := range which {
		c.brokers[i].Launch(c.java("512m", "kafka.Kafka", c.brokers[i].properties()))
	}
	for _, i := range which {
		b := c.brokers[i]
		b.Await("belongs to the cluster", b.ask)
	}
}

// Pause stops broker i in its tracks; its connections stay open.
func (c *Cluster) Pause(i int) { c.brokers[i].Pause() }

// Resume lets a paused broker go on.
func (c *Cluster) Resume(i int) { c.brokers[i].Resume() }
