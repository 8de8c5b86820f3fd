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
)

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

// count tells how many of the users were reached, and how many messages too many.
func (s *sink) count() (reached, doubled int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, keys := range s.seen {
		reached++
		doubled += len(keys) - 1
	}
	return reached, doubled
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

// visitors send three wins each, and send again what was not acknowledged.
type visitors struct {
	t    *testing.T
	url  func() string
	mu   sync.Mutex
	acks map[string]bool // message id
	wg   sync.WaitGroup
	stop chan struct{}
	sent int // users whose wins have all been acknowledged
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
				for i := range 3 {
					v.win(fmt.Sprintf("u-%d-%d", lane, n), i)
				}
				v.mu.Lock()
				v.sent++
				v.mu.Unlock()
				<-pace.C
			}
		})
	}
}

// win sends one win until it is acknowledged.
func (v *visitors) win(user string, i int) {
	id := fmt.Sprintf("%s-%d", user, i)
	body := fmt.Appendf(nil, `{"writeKey":"site-key","anonymousId":%q,"event":"win","messageId":%q}`, user, id)
	client := http.Client{Timeout: 3 * time.Second}
	for {
		resp, err := client.Post(v.url()+"/v1/track", "application/json", bytes.NewReader(body))
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				v.mu.Lock()
				v.acks[id] = true
				v.mu.Unlock()
				return
			}
		}
		select {
		case <-v.t.Context().Done():
			return
		case <-time.After(20 * time.Millisecond): // as a client waits before it sends again
		}
	}
}

func (v *visitors) users() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.sent
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
	return bytes.Count(text, []byte("\nheed_decider_behind_seconds{"))
}

// TestFaults: whatever is killed, paused and restarted under load, every
// acknowledged event is in the log once, and everybody who won three times is
// written to once.
func TestFaults(t *testing.T) {
	i := found(t)
	crm := newSink(t)
	defs := t.TempDir()
	if err := os.WriteFile(filepath.Join(defs, "faults.yaml"), []byte(faultDefinitions(crm.URL)), 0o600); err != nil {
		t.Fatal(err)
	}
	gateway := i.start("gateway", "--definitions", defs)
	deciders, engagers := []*server{i.start("decider"), i.start("decider")}, []*server{i.start("engager"), i.start("engager")}
	others := i.start("analytics,console")
	swap := func(of []*server, role string, end func(*server)) {
		t.Helper()
		end(of[0])
		of[0] = i.start(role)
		slices.Reverse(of) // the other one is next
	}

	v := &visitors{t: t, url: func() string { return gateway.url }, acks: map[string]bool{}, stop: make(chan struct{})}
	v.run(4)
	// goes waits until the load gets through again, to the very end.
	goes := func() {
		t.Helper()
		begun, _ := crm.count()
		eventually(t, 2*time.Minute, "messages come again", func() bool { n, _ := crm.count(); return n >= begun+20 })
	}
	goes()
	for _, fault := range []struct {
		name string
		do   func()
	}{
		{"a decider is killed", func() { swap(deciders, "decider", (*server).kill) }},
		{"an engager is killed", func() { swap(engagers, "engager", (*server).kill) }},
		{"the broker is killed", func() { i.kafka.Kill(0); i.kafka.Restart(0) }},
		{"Redis is killed", func() { i.redis.Kill(); i.redis.Restart() }},
		{"Redis loses everything", func() {
			if err := i.redis.Client().FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
		}},
		{"MongoDB is killed", func() { i.mongo.Kill(); i.mongo.Restart() }},
		{"a decider is paused, the other one takes over, and it wakes up", func() {
			_ = deciders[0].cmd.Process.Signal(syscall.SIGSTOP)
			eventually(t, time.Minute, "the other decider has all partitions", func() bool { return deciders[1].partitions() == 16 })
			goes()
			_ = deciders[0].cmd.Process.Signal(syscall.SIGCONT)
			eventually(t, time.Minute, "both have some again", func() bool { n := deciders[0].partitions(); return 0 < n && n+deciders[1].partitions() == 16 })
		}},
		{"all are restarted in turn", func() {
			for range 2 {
				swap(deciders, "decider", (*server).stop)
				swap(engagers, "engager", (*server).stop)
			}
		}},
	} {
		started := time.Now()
		fault.do()
		goes()
		t.Logf("%s: messages come again after %s", fault.name, time.Since(started).Round(time.Millisecond))
	}
	close(v.stop)
	v.wg.Wait()

	eventually(t, 2*time.Minute, "everybody is written to", func() bool { n, _ := crm.count(); return n >= v.users() })
	// what would come too much has the time of one that comes after all
	v.win("last", 0)
	v.win("last", 1)
	v.win("last", 2)
	eventually(t, time.Minute, "the last one is written to", func() bool { n, _ := crm.count(); return n > v.users() })
	reached, doubled := crm.count()

	present := map[string]int{}
	for line := range strings.Lines(heed(t, others.dir, "events")) {
		var e struct{ MessageID, Event string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Event == "win" {
			present[e.MessageID]++
		}
	}
	lost, twice := 0, 0
	for id := range v.acks {
		if present[id] == 0 {
			lost++
		}
	}
	for _, n := range present {
		twice += n - 1
	}
	t.Logf("acknowledged %d, present %d, lost %d, read twice %d; activations expected %d, seen %d, doubled %d, lost %d",
		len(v.acks), len(present), lost, twice, v.users()+1, reached, doubled, v.users()+1-reached)
	if lost > 0 || twice > 0 || doubled > 0 || reached != v.users()+1 {
		t.Error("something was lost or doubled")
	}
}
