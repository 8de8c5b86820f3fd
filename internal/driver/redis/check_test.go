package redis

import (
	"strings"
	"testing"
	"time"

	"heed/internal/clienttls"
	"heed/internal/driver/memory"
	"heed/internal/driver/redis/redistest"
	"heed/internal/inbox"
)

// refused holds that opening fails and says what to do.
func refused(t *testing.T, err error, want ...string) {
	t.Helper()
	for _, w := range want {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("%v\nwant %q", err, w)
		}
	}
}

// tryState opens a state; it is closed again.
func tryState(t *testing.T, cfg Config) error {
	t.Helper()
	s, err := OpenState(t.Context(), cfg, memory.Open(memory.Config{Partitions: 2}).Log(), testDeps(t))
	if err == nil {
		_ = s.Close()
	}
	return err
}

func tryInbox(t *testing.T, cfg Config) error {
	t.Helper()
	s, err := OpenInbox(t.Context(), cfg, testDeps(t))
	if err == nil {
		_ = s.Close()
	}
	return err
}

func TestRefusals(t *testing.T) {
	t.Parallel() // it waits most of the time
	server := redistest.Start(t)
	cfg := testConfig(t, server.Addr())
	openState(t, cfg, memory.Open(memory.Config{Partitions: 2}))

	for _, policy := range []string{"allkeys-lru", "volatile-ttl"} {
		server.Set("maxmemory-policy", policy)
		refused(t, tryState(t, cfg), `maxmemory-policy is "`+policy+`"`, "set it to noeviction")
		refused(t, tryInbox(t, cfg), "set it to noeviction")
	}
	server.Set("appendonly", "no")
	refused(t, tryState(t, cfg), "appendonly is off", "set it to noeviction") // all that is wrong
	server.Set("maxmemory-policy", "noeviction")
	server.Set("appendonly", "yes")

	server.Set("appendfsync", "no")
	refused(t, tryState(t, cfg), `appendfsync is "no"`)
	server.Set("appendfsync", "everysec")
	if err := tryState(t, cfg); err != nil { // it is made again from the log
		t.Error(err)
	}
	refused(t, tryInbox(t, cfg), "appendfsync is everysec", "replicas to 1")
	few := cfg
	few.Replicas = 1
	refused(t, tryInbox(t, few), "replicas asks for 1, 0 are connected")
	replica := server.Follow()
	if err := tryInbox(t, few); err != nil {
		t.Error(err)
	}
	server.Set("appendfsync", "always")

	onReplica := cfg
	onReplica.Addrs = []string{replica.Addr()}
	refused(t, tryState(t, onReplica), "it is a replica: name the server that it follows, "+server.Addr())

	both := cfg
	both.Addrs = []string{server.Addr(), replica.Addr()}
	refused(t, tryState(t, both), "no node of a cluster")

	// A user who may not ask how often it syncs.
	if err := server.Client().Do(t.Context(), "acl", "setuser", "heed", "on", ">secret", "~*", "&*", "+@all", "-config").Err(); err != nil {
		t.Fatal(err)
	}
	user := cfg
	user.User, user.Password = "heed", "secret"
	refused(t, tryState(t, user), "allow the user CONFIG GET")
	user.Password = "wrong"
	refused(t, tryState(t, user), "user or password is wrong")

	none := cfg
	none.Addrs, none.Timeout = []string{"127.0.0.1:1"}, faultTimeout
	refused(t, tryState(t, none), "127.0.0.1:1", "connection refused")
}

// TestBrokenCluster: slots without a node.
func TestBrokenCluster(t *testing.T) {
	t.Parallel() // it waits most of the time
	nodes := redistest.StartCluster(t, 3)
	nodes[2].Kill()
	cfg := testConfig(t, nodes[0].Addr())
	cfg.Timeout = faultTimeout
	until(t, "the others have noticed", func() bool {
		text, err := nodes[0].Client().ClusterInfo(t.Context()).Result()
		return err == nil && strings.Contains(text, "cluster_state:fail")
	})
	refused(t, tryState(t, cfg), "the cluster is not ok")
}

// userCommands are what docs/format/redis.md tells an operator to allow.
var userCommands = []string{
	"~heed:*", "&heed:*", "+@connection", "+info", "+config|get", "+cluster", "+command", "+eval", "+evalsha", "+wait", "+hget", "+hmget", "+hset",
	"+hdel", "+hincrby", "+zadd", "+zrem", "+zrange", "+zrangebylex", "+xadd", "+xdel", "+xrange", "+get", "+set", "+del", "+time",
	"+spublish", "+ssubscribe", "+sunsubscribe", "+ping", "+client|setname",
}

// TestSecure: TLS, and a user who may do no more than is said.
func TestSecure(t *testing.T) {
	server, secure := redistest.StartSecure(t)
	acl := []any{"acl", "setuser", "heed", "on", ">a-secret-of-the-tests", "resetkeys", "resetchannels", "-@all"}
	for _, c := range userCommands {
		acl = append(acl, c)
	}
	if err := server.Client().Do(t.Context(), acl...).Err(); err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Addrs: []string{secure.Addr}, User: "heed", Password: "a-secret-of-the-tests", Timeout: 2 * time.Second,
		TLS: clienttls.Config{Enabled: true, CA: secure.CA},
	}
	use := func(t testing.TB) Config {
		if err := server.Client().FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	t.Run("Userstate", func(t *testing.T) { testUserstate(t, use) })
	t.Run("Inbox", func(t *testing.T) { testInbox(t, use) })
	t.Run("OtherProcess", func(t *testing.T) { testOtherProcess(t, cfg) })

	strange := cfg
	strange.TLS.CA = ""
	refused(t, tryState(t, strange), "certificate")
}

func TestConfig(t *testing.T) {
	f := func(want string, change func(*Config)) {
		t.Helper()
		c := Config{Addrs: []string{"127.0.0.1:6379"}}
		c.Defaults()
		change(&c)
		err := c.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	f("", func(*Config) {})
	f("addrs: none", func(c *Config) { c.Addrs = nil })
	f("addrs: ", func(c *Config) { c.Addrs = []string{"redis://127.0.0.1"} })
	watched := func(c *Config) { c.Addrs, c.Sentinel = nil, Sentinel{Master: "heed", Addrs: []string{"s1:26379"}} }
	f("", watched)
	f("sentinel: is set up, and addrs too", func(c *Config) { c.Sentinel = Sentinel{Master: "heed", Addrs: []string{"s1:26379"}} })
	f("sentinel.master: ", func(c *Config) { watched(c); c.Sentinel.Master = "" })
	f("sentinel.addrs: none", func(c *Config) { watched(c); c.Sentinel.Addrs = nil })
	f("sentinel.addrs: ", func(c *Config) { watched(c); c.Sentinel.Addrs = []string{"s1"} })
	f("sentinel.password: ", func(c *Config) { watched(c); c.Sentinel.User = "heed" })
	f("prefix: ", func(c *Config) { c.Prefix = "{a}" })
	f("password: ", func(c *Config) { c.User = "heed" })
	f("replicas: ", func(c *Config) { c.Replicas = -1 })
	f("timeout: ", func(c *Config) { c.Timeout = time.Millisecond })
	f("tls: is set up", func(c *Config) { c.TLS.CA = "ca.pem" })
	f("tls: cert and key", func(c *Config) { c.TLS = clienttls.Config{Enabled: true, Cert: "cert.pem"} })
}

// TestDamaged: what another program wrote is told, not believed.
func TestDamaged(t *testing.T) {
	server := redistest.Start(t)
	s := openInbox(t, testConfig(t, server.Addr()))
	if _, err := s.Put(t.Context(), inbox.Message{ID: "id", User: "u", Expires: 1000}); err != nil {
		t.Fatal(err)
	}
	key := s.message(shardOf("u"), "id")
	for field, value := range map[string]string{"state": "x", "seq": "-1", "body": "no message"} {
		was, err := server.Client().HGet(t.Context(), key, field).Result()
		if err != nil {
			t.Fatal(err)
		}
		server.Client().HSet(t.Context(), key, field, value)
		if got, err := s.Pending(t.Context(), "u", 0, 0); err == nil || len(got) > 0 {
			t.Errorf("%s %q: %+v, %v", field, value, got, err)
		}
		server.Client().HSet(t.Context(), key, field, was)
	}
	// One that cannot be read does not keep the others from expiring.
	for _, user := range []string{"a", "b", "c"} {
		if _, err := s.Put(t.Context(), inbox.Message{ID: "id of " + user, User: user, Expires: 10}); err != nil {
			t.Fatal(err)
		}
		server.Client().HSet(t.Context(), s.message(shardOf(user), "id of "+user), "body", "no message")
	}
	if _, err := s.Put(t.Context(), inbox.Message{ID: "whole", User: "a", Expires: 20}); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Expire(t.Context(), 30, 100); n != 4 || err != nil {
		t.Errorf("expired %d, %v, want 4", n, err)
	}
	server.Client().Set(t.Context(), key, "not a hash", 0)
	_, err := s.Pending(t.Context(), "u", 0, 0)
	refused(t, err, "set another prefix")
}
