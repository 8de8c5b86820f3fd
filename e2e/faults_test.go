package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"heed/internal/driver/servertest"
)

// patience bounds what should happen soon, on a slow machine.
const patience = 2 * time.Minute

// sink is somebody else's server: it remembers what reached it, by the key that
// a message has however often it is sent.
type sink struct {
	*httptest.Server
	mu   sync.Mutex
	seen map[string][]string // user -> keys
}

func newSink(t *testing.T) *sink {
	s := &sink{seen: map[string][]string{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var m struct{ User string }
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(body, &m)
		}
		if err != nil {
			return // cut off on its way
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if key := r.Header.Get("Idempotency-Key"); !slices.Contains(s.seen[m.User], key) {
			s.seen[m.User] = append(s.seen[m.User], key)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// reached tells how many users were.
func (s *sink) reached() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen)
}

func faultDefinitions(url string) string {
	return `kind: source
name: site
writeKey: site-key
---
{kind: channel, name: crm, type: webhook, url: ` + url + `, secret: crm-secret, allowPrivate: true}
---
{kind: trigger, name: three-wins, pattern: [{event: win, times: 3}], within: 1h}
---
{kind: template, name: to-crm, channel: crm, body: '{"won": true}'}
---
{kind: campaign, name: winners, when: {trigger: three-wins}, what: [{channel: crm, template: to-crm}], limits: {holdout: 0%}, status: live}
`
}

// visitors send three wins each, and send again what was not acknowledged, to the
// other gateway.
type visitors struct {
	t        *testing.T
	gateways []*server
	wg       sync.WaitGroup
	stop     chan struct{}

	mu    sync.Mutex
	fault int             // the users that begin now are of it
	acks  map[string]bool // message id
	won   map[string]bool // users whose wins have all been acknowledged
}

// run sends until it is told to stop; a user that was begun is finished.
func (v *visitors) run(lanes int) {
	pace := time.NewTicker(50 * time.Millisecond) // a load that is under way all the time, and worked off soon
	v.t.Cleanup(pace.Stop)
	for lane := range lanes {
		v.wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-v.stop:
					return
				default:
				}
				v.visit(lane, n)
				<-pace.C
			}
		})
	}
}

// visit is a user's three wins.
func (v *visitors) visit(lane, n int) {
	v.mu.Lock()
	user := fmt.Sprintf("%d-%d-%d", v.fault, lane, n)
	v.mu.Unlock()
	gateway := lane + n
	for i := range 3 {
		v.win(&gateway, user, fmt.Sprintf("%s-%d", user, i))
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.won[user] = true
}

// win sends one win until it is acknowledged.
func (v *visitors) win(gateway *int, user, id string) {
	body := fmt.Appendf(nil, `{"writeKey":"site-key","anonymousId":%q,"event":"win","messageId":%q}`, user, id)
	client := http.Client{Timeout: 3 * time.Second}
	for {
		resp, err := client.Post(v.gateways[*gateway%len(v.gateways)].url+"/v1/track", "application/json", bytes.NewReader(body))
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				v.mu.Lock()
				v.acks[id] = true
				v.mu.Unlock()
				return
			}
		}
		*gateway++
		select {
		case <-v.t.Context().Done():
			return
		case <-time.After(20 * time.Millisecond): // as a client waits before it sends again
		}
	}
}

func (v *visitors) begin(fault int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.fault = fault
}

func (v *visitors) users() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.won)
}

// partitions is how many a decider has.
func (s *server) partitions() int {
	s.t.Helper()
	resp := s.get("/metrics")
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return bytes.Count(text, []byte("\nheed_decider_lag_events{"))
}

// readiness is what a process says of itself.
func (s *server) readiness() (ready bool, text string) {
	s.t.Helper()
	resp, err := http.Get(s.url + "/readyz")
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode == http.StatusOK, string(said)
}

// cluster is an installation at work, with two processes of each role that may fail:
// the second one comes to the brokers by the proxies.
type cluster struct {
	*installation
	crm     *sink
	load    *visitors
	role    map[string][]*server
	console *server
	groups  *kadm.Client
}

func startCluster(t *testing.T) *cluster {
	i := foundReplicated(t)
	c := &cluster{installation: i, crm: newSink(t), role: map[string][]*server{}}
	defs := t.TempDir()
	if err := os.WriteFile(filepath.Join(defs, "faults.yaml"), []byte(faultDefinitions(c.crm.URL)), 0o600); err != nil {
		t.Fatal(err)
	}
	c.role["gateway"] = []*server{i.start("gateway", "--definitions", defs), i.startWith(i.behind, "gateway")}
	for _, role := range []string{"decider", "engager"} {
		c.role[role] = []*server{i.start(role), i.startWith(i.behind, role)}
	}
	c.console = i.start("analytics,console")
	client, err := kgo.NewClient(kgo.SeedBrokers(i.kafka.Addrs()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	c.groups = kadm.NewClient(client)
	c.load = &visitors{t: t, gateways: c.role["gateway"], acks: map[string]bool{}, won: map[string]bool{}, stop: make(chan struct{})}
	return c
}

// goes waits until the load gets through again, to the very end.
func (c *cluster) goes() {
	c.t.Helper()
	begun := c.crm.reached()
	eventually(c.t, patience, "messages come again", func() bool { return c.crm.reached() >= begun+20 })
}

// swap ends a process of a role, and starts another one in its place.
func (c *cluster) swap(role string, n int, end func(*server)) {
	c.t.Helper()
	of := c.role[role]
	end(of[n])
	of[n] = c.startWith([]string{c.config, c.behind}[n], role)
}

// members is how many processes share the work of a role.
func (c *cluster) members(role string) int {
	c.t.Helper()
	groups, err := c.groups.DescribeGroups(c.t.Context(), "heed."+role)
	if err != nil {
		return 0 // its coordinator moves
	}
	return len(groups["heed."+role].Members)
}

// says waits until a process is not ready, and says why.
func (c *cluster) says(s *server, why string) {
	c.t.Helper()
	eventually(c.t, patience, "it says "+why, func() bool { ready, text := s.readiness(); return !ready && strings.Contains(text, why) })
}

// apart cuts a process off from the brokers for longer than its session lasts, in one
// of the ways that proxies know.
func (c *cluster) apart(role string, cut func(*servertest.Proxy)) {
	c.t.Helper()
	one := c.role[role][1]
	for _, p := range c.kafka.Proxies() {
		cut(p)
	}
	c.says(one, "Kafka has not answered since ")
	eventually(c.t, patience, "the console shows what is wrong", func() bool {
		var health struct {
			Processes []struct {
				Roles []string
				Parts []struct {
					Role, Message string
					Ready         bool
				}
			}
		}
		c.console.admin("GET", "/health", "", &health)
		for _, p := range health.Processes {
			for _, part := range p.Parts {
				if slices.Equal(p.Roles, []string{role}) && part.Role == "kafka" && !part.Ready && strings.Contains(part.Message, "Kafka has not answered since ") {
					return true
				}
			}
		}
		return false
	})
	if role != "gateway" {
		eventually(c.t, patience, "the other one has all the work", func() bool { return c.members(role) == 1 })
	}
	c.goes()
	for _, p := range c.kafka.Proxies() {
		p.Mend()
	}
	eventually(c.t, patience, "it is ready again", func() bool { ready, _ := one.readiness(); return ready })
	if role != "gateway" {
		eventually(c.t, patience, "both share the work again", func() bool { return c.members(role) == 2 })
	}
}

// failOver loses the Redis that leads.
func (c *cluster) failOver(before func() (after func())) {
	c.t.Helper()
	c.watched.AwaitFollowing()
	leader := c.watched.Leader()
	after := before()
	leader.Kill()
	c.watched.AwaitOther(leader)
	after()
	c.goes()
	c.watched.Rejoin(leader)
}

// TestFaults: whatever is killed, paused, cut off, moved and restarted under load,
// every acknowledged event is in the log once, and everybody who won three times is
// written to once.
func TestFaults(t *testing.T) {
	begun := time.Now()
	c := startCluster(t)
	t.Logf("all run after %s", time.Since(begun).Round(time.Second))
	faults := []struct {
		name string
		do   func()
	}{
		{"nothing yet", func() {}},
		{"a decider is killed", func() { c.swap("decider", 0, (*server).kill) }},
		{"an engager is killed", func() { c.swap("engager", 0, (*server).kill) }},
		{"a broker is killed, others lead", func() { c.kafka.Kill(0); c.goes(); c.kafka.Restart(0) }},
		{"other brokers lead, twice", func() { c.kafka.MoveLeaders(); c.goes(); c.kafka.MoveLeaders() }},
		{"all brokers stand still", func() {
			for b := range 3 {
				c.kafka.Pause(b)
			}
			for _, g := range c.role["gateway"] {
				c.says(g, "Kafka has not answered since ")
			}
			for b := range 3 {
				c.kafka.Resume(b)
			}
		}},
		{"a gateway is cut off from the brokers", func() { c.apart("gateway", (*servertest.Proxy).Cut) }},
		{"what brokers answer a gateway is lost", func() {
			c.apart("gateway", (*servertest.Proxy).Deafen)
			for _, p := range c.kafka.Proxies() { // in no connection is there a gap that nobody notices
				p.Cut()
				p.Mend()
			}
		}},
		{"a decider is cut off from the brokers", func() { c.apart("decider", (*servertest.Proxy).Cut) }},
		{"what a decider and brokers send comes late", func() { c.apart("decider", (*servertest.Proxy).Hold) }},
		{"an engager is cut off from the brokers", func() { c.apart("engager", (*servertest.Proxy).Cut) }},
		{"what an engager and brokers send comes late", func() { c.apart("engager", (*servertest.Proxy).Hold) }},
		{"Redis is killed", func() { leader := c.watched.Leader(); leader.Kill(); leader.Restart() }},
		{"another Redis leads", func() { c.failOver(func() func() { return func() {} }) }},
		{"another Redis leads, which lacks the last writes", func() {
			c.failOver(func() func() {
				mend := c.watched.Deafen()
				c.goes()
				return mend
			})
		}},
		{"Redis loses everything", func() {
			if err := c.watched.Leader().Client().FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
		}},
		{"MongoDB is killed", func() {
			c.mongo.Kill()
			c.says(c.role["engager"][0], "MongoDB has not answered since ")
			if ready, text := c.role["gateway"][0].readiness(); !ready {
				t.Errorf("a gateway is left out although it takes events: %s", text)
			}
			c.mongo.Restart()
		}},
		{"a decider is paused, the other one takes over, and it wakes up", func() {
			deciders := c.role["decider"]
			_ = deciders[0].cmd.Process.Signal(syscall.SIGSTOP)
			eventually(t, patience, "the other decider has all partitions", func() bool { return deciders[1].partitions() == 16 })
			c.goes()
			_ = deciders[0].cmd.Process.Signal(syscall.SIGCONT)
			eventually(t, patience, "both have some again", func() bool { n := deciders[0].partitions(); return 0 < n && n+deciders[1].partitions() == 16 })
		}},
		{"all are restarted in turn", func() {
			for n := range 2 {
				c.swap("decider", n, (*server).stop)
				c.swap("engager", n, (*server).stop)
			}
		}},
	}
	c.load.run(4)
	took := make([]time.Duration, len(faults))
	for n, fault := range faults {
		started := time.Now()
		c.load.begin(n)
		fault.do()
		c.goes()
		took[n] = time.Since(started)
		t.Logf("%s: over, and messages come, after %s", fault.name, took[n].Round(time.Millisecond))
	}
	close(c.load.stop)
	c.load.wg.Wait()
	eventually(t, patience, "everybody is written to", func() bool { return c.crm.reached() >= c.load.users() })
	// what would come too much has the time of one that comes after all
	c.load.visit(0, 1<<20)
	eventually(t, patience, "the last one is written to", func() bool { return c.crm.reached() >= c.load.users() })

	repeats := c.console.metric("heed_distinct_repeats_total", "")
	t.Logf("repeats that readers dropped: %.0f", repeats)
	if repeats == 0 {
		t.Error("no event came twice: the ways that lose answers do not")
	}
	sums := c.compare(len(faults))
	for n, fault := range faults {
		t.Logf("%-70s %s", fault.name, sums[n])
	}
}

// sum is what the checker found of the users of one fault.
type sum struct {
	acknowledged, present, lost, twice int // events
	expected, seen, doubled, missing   int // activations
}

func (s sum) String() string {
	return fmt.Sprintf("acknowledged %d, present %d, lost %d, read twice %d; activations expected %d, seen %d, doubled %d, lost %d",
		s.acknowledged, s.present, s.lost, s.twice, s.expected, s.seen, s.doubled, s.missing)
}

// compare holds what was acknowledged against the log, and who won against who was
// written to, fault by fault.
func (c *cluster) compare(faults int) []sum {
	c.t.Helper()
	present := map[string]int{}
	for line := range strings.Lines(heed(c.t, c.console.dir, "events")) {
		var e struct{ MessageID, Event string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			c.t.Fatal(err)
		}
		if e.Event == "win" {
			present[e.MessageID]++
		}
	}
	c.crm.mu.Lock() // what comes now is too late to count
	defer c.crm.mu.Unlock()
	sums := make([]sum, faults)
	of := func(id string) *sum {
		n := 0
		if _, err := fmt.Sscanf(id, "%d-", &n); err != nil {
			c.t.Fatalf("%q is not of the load: %v", id, err)
		}
		return &sums[n]
	}
	for id := range c.load.acks {
		s := of(id)
		s.acknowledged++
		if present[id] == 0 {
			s.lost++
		}
	}
	for id, n := range present {
		of(id).present++
		of(id).twice += n - 1
	}
	for user := range c.load.won {
		of(user).expected++
		if len(c.crm.seen[user]) == 0 {
			of(user).missing++
		}
	}
	for user, keys := range c.crm.seen {
		of(user).seen++
		of(user).doubled += len(keys) - 1
	}
	for _, s := range sums {
		if s.lost+s.twice+s.doubled+s.missing > 0 || s.seen != s.expected {
			c.t.Errorf("something was lost or doubled: %s", s)
		}
	}
	return sums
}
