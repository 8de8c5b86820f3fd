// Package redistest owns real Redis servers for tests: it starts them on free ports
// of the loopback interface in a folder of their own, alone, as replicas, with
// sentinels or as a cluster, kills, pauses and restarts them, and leaves none running.
// It is used by tests only.
//
// It does not own installing Redis: scripts/services does. Where redis-server is
// missing the test is skipped, or fails with HEED_REQUIRE_SERVICES=1.
package redistest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"heed/internal/driver/servertest"
)

// Server is one redis-server. Its methods are called by one goroutine at a time.
type Server struct {
	*servertest.Process
	t      testing.TB
	addr   string
	args   []string
	client *redis.Client
}

// Start starts a server that syncs always and evicts nothing, and waits until it
// answers. It ends with the test. Settings are added, as on the command line:
// "--save", "".
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	s := prepare(t, settings...)
	s.Restart()
	return s
}

func prepare(t testing.TB, settings ...string) *Server {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	switch {
	case err == nil:
	case os.Getenv("HEED_REQUIRE_SERVICES") == "1":
		t.Fatalf("HEED_REQUIRE_SERVICES=1, and there is no redis-server: %v", err)
	default:
		t.Skipf("no redis-server here (%v): scripts/test installs it", err)
	}
	dir := t.TempDir()
	s := &Server{t: t, addr: servertest.Free(t)}
	s.Process = servertest.NewProcess(t, "redis-server "+s.addr, dir)
	host, port, _ := net.SplitHostPort(s.addr) // net wrote it
	s.args = append([]string{
		path, "--bind", host, "--port", port, "--dir", dir, "--daemonize", "no",
		"--save", "", "--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction",
		"--repl-diskless-sync-delay", "0", // replicas follow at once
	}, settings...)
	s.client = redis.NewClient(&redis.Options{
		Addr: s.addr, MaxRetries: -1, DialerRetries: 1, DialTimeout: time.Second, Protocol: 2,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	t.Cleanup(func() { _ = s.client.Close() })
	return s
}

// Addr is where it listens.
func (s *Server) Addr() string { return s.addr }

// Client asks the server itself, past what is under test.
func (s *Server) Client() *redis.Client { return s.client }

// Set changes a setting of the running server.
func (s *Server) Set(name, value string) {
	s.t.Helper()
	if err := s.client.ConfigSet(context.Background(), name, value).Err(); err != nil {
		s.t.Fatalf("config set %s %q: %v", name, value, err)
	}
}

// Restart starts the server, on what it has stored, and waits until it answers.
func (s *Server) Restart() {
	s.t.Helper()
	s.launch()
}

func (s *Server) launch(settings ...string) {
	s.t.Helper()
	args := slices.Concat(s.args[1:], settings)
	s.Launch(exec.Command(s.args[0], args...)) // it ends with the test, by its id
	s.Await("answers", func(ctx context.Context) error {
		c, err := net.DialTimeout("tcp", s.addr, time.Second) // the client would print that nobody is there yet
		if err != nil {
			return err
		}
		_ = c.Close()
		return s.client.Ping(ctx).Err()
	})
}

// Follow starts a replica of the server and waits until it has everything.
func (s *Server) Follow(settings ...string) *Server {
	s.t.Helper()
	r := prepare(s.t, settings...)
	r.follow(s)
	return r
}

// follow starts the server as a replica of another one.
func (s *Server) follow(leader *Server) {
	s.t.Helper()
	host, port, _ := net.SplitHostPort(leader.addr)
	s.launch("--replicaof", host+" "+port)
	s.AwaitFollowing()
}

// AwaitFollowing waits until the server is a replica that has everything.
func (s *Server) AwaitFollowing() {
	s.t.Helper()
	s.Await("follows", func(ctx context.Context) error {
		text, err := s.client.Info(ctx, "replication").Result()
		if err == nil && !strings.Contains(text, "master_link_status:up") {
			err = fmt.Errorf("it says %q", text)
		}
		return err
	})
}

// slots is how many hash slots every cluster has.
const slots = 16384

// StartCluster starts n servers that share the slots, and waits until each says that
// the cluster is ok.
func StartCluster(t testing.TB, n int, settings ...string) []*Server {
	t.Helper()
	ctx := context.Background()
	var all []*Server
	for i := range n {
		_, bus, _ := net.SplitHostPort(servertest.Free(t))
		s := Start(t, append([]string{
			"--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-port", bus, "--cluster-node-timeout", "2000",
		}, settings...)...)
		all = append(all, s)
		if err := s.client.ClusterAddSlotsRange(ctx, i*slots/n, (i+1)*slots/n-1).Err(); err != nil {
			t.Fatalf("give slots to %s: %v", s.addr, err)
		}
		host, port, _ := net.SplitHostPort(s.addr)
		// The bus has a port of its own, which MEET must be told.
		if err := all[0].client.Do(ctx, "cluster", "meet", host, port, bus).Err(); err != nil {
			t.Fatalf("%s meets %s: %v", all[0].addr, s.addr, err)
		}
	}
	for _, s := range all {
		s.AwaitCluster(n)
	}
	return all
}

// AwaitCluster waits until the server says that the cluster of n is ok.
func (s *Server) AwaitCluster(n int) {
	s.t.Helper()
	s.Await("is in the cluster", func(ctx context.Context) error {
		text, err := s.client.ClusterInfo(ctx).Result()
		if err == nil && (!strings.Contains(text, "cluster_state:ok") || !strings.Contains(text, fmt.Sprintf("cluster_known_nodes:%d\r\n", n))) {
			err = fmt.Errorf("it says %q", text)
		}
		return err
	})
}

// MoveSlot gives the slot of a key to another node while the cluster works, key by
// key, as redis-cli --cluster reshard does.
func MoveSlot(nodes []*Server, key string, to *Server) {
	t, ctx := to.t, context.Background()
	t.Helper()
	do := func(s *Server, args ...any) any {
		t.Helper()
		answer, err := s.client.Do(ctx, args...).Result()
		if err != nil {
			t.Fatalf("%v on %s: %v", args, s.addr, err)
		}
		return answer
	}
	slot := do(to, "cluster", "keyslot", key)
	var from *Server
	for _, s := range nodes {
		shards, err := s.client.ClusterShards(ctx).Result()
		if err != nil {
			t.Fatal(err)
		}
		id := do(s, "cluster", "myid")
		for _, shard := range shards {
			for _, r := range shard.Slots {
				if r.Start <= slot.(int64) && slot.(int64) <= r.End && shard.Nodes[0].ID == id {
					from = s
				}
			}
		}
	}
	switch from {
	case to:
		return
	case nil:
		t.Fatalf("nobody has slot %d", slot)
	}
	host, port, _ := net.SplitHostPort(to.addr)
	target, source := do(to, "cluster", "myid"), do(from, "cluster", "myid")
	do(to, "cluster", "setslot", slot, "importing", source)
	do(from, "cluster", "setslot", slot, "migrating", target)
	for {
		keys, _ := do(from, "cluster", "getkeysinslot", slot, 1).([]any)
		if len(keys) == 0 {
			break
		}
		do(from, "migrate", host, port, keys[0], 0, time.Minute.Milliseconds())
	}
	for _, s := range append([]*Server{to, from}, nodes...) {
		do(s, "cluster", "setslot", slot, "node", target)
	}
}
