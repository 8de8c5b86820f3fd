package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestRoles: whatever roles a process has, an operator can ask how it is.
func TestRoles(t *testing.T) {
	for _, role := range []string{"gateway", "decider", "engager", "analytics", "console"} {
		t.Run(role, func(t *testing.T) {
			s := start(t, t.TempDir(), "--roles", role) // asks /readyz
			for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ready\n", "/metrics": "heed_"} {
				resp := s.get(path)
				b, err := io.ReadAll(resp.Body)
				if err != nil || !strings.Contains(string(b), want) {
					t.Errorf("%s: %.100q %v, want %q", path, b, err, want)
				}
				_ = resp.Body.Close()
			}
			s.stop()
		})
	}
}

// TestBacklog: what a gateway alone has taken is decided once there is a
// Decider.
func TestBacklog(t *testing.T) {
	dir := t.TempDir()
	s := startFlow(t, dir, "--roles", "gateway,console")
	for range 3 {
		s.track("", win("trusting-key", "late"))
	}
	began := time.Now()
	if a := s.track("?wait=100ms", win("trusting-key", "other")); len(a.Messages) > 0 || time.Since(began) > 2*time.Second {
		t.Errorf("after %v: %+v", time.Since(began), a)
	}
	s.stop()
	s = start(t, dir)
	eventually(t, 10*time.Second, "the third win is answered", func() bool {
		var page struct {
			Deliveries []struct{ Campaign, Status string }
		}
		s.admin("GET", "/deliveries", "", &page)
		return len(page.Deliveries) == 1 && page.Deliveries[0].Campaign == "winners" && page.Deliveries[0].Status == "sent"
	})
	s.stop()
}

// TestStopUnderLoad: SIGTERM under load ends the process with 0 within seconds,
// open streams or not, and what was acknowledged is there afterwards.
func TestStopUnderLoad(t *testing.T) {
	dir := t.TempDir()
	s := startFlow(t, dir)
	stream := s.get("/v1/messages/stream?writeKey=site-key&anonymousId=a")
	defer func() { _ = stream.Body.Close() }()
	var mu sync.Mutex
	acked := map[string]bool{}
	enough := make(chan struct{})
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d", w, i)
				status, err := s.post("/v1/track?writeKey=site-key&wait=50", map[string]any{"messageId": id, "anonymousId": id, "event": "load"}, nil)
				if err != nil {
					return // gone
				}
				mu.Lock()
				if status == http.StatusOK {
					acked[id] = true
				}
				if len(acked) == 100 && enough != nil {
					close(enough)
					enough = nil
				}
				mu.Unlock()
			}
		})
	}
	mu.Lock()
	wait := enough
	mu.Unlock()
	if wait != nil {
		select {
		case <-wait:
		case <-time.After(20 * time.Second):
			t.Fatal("no events were taken")
		}
	}
	began := time.Now()
	s.stop()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
	writers.Wait()
	for line := range strings.Lines(heed(t, dir, "events", "--name", "load")) {
		var e struct{ MessageID string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		delete(acked, e.MessageID)
	}
	if len(acked) > 0 {
		t.Errorf("%d acknowledged events are lost: %v", len(acked), acked)
	}
}

// TestFolder: what may not be started on, and what does not matter.
func TestFolder(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	if err := os.Remove(filepath.Join(dir, "server.json")); err != nil {
		t.Fatal(err)
	}
	s.stop() // exits 0 all the same

	refused := func(want string) {
		t.Helper()
		second := launch(t, dir)
		select {
		case <-second.gone:
		case <-time.After(20 * time.Second):
			t.Fatal("it did not exit")
		}
		if second.err == nil || !strings.Contains(second.logs.String(), want) {
			t.Errorf("%v, want %q:\n%s", second.err, want, tail(second.logs.String(), 1000))
		}
	}
	s = start(t, dir)
	refused("in use by another process")
	s.stop()
	key := filepath.Join(dir, "secret.key")
	if err := os.Rename(key, key+".away"); err != nil {
		t.Fatal(err)
	}
	refused("secret.key is missing beside an existing database")
	if _, err := os.Stat(key); err == nil {
		t.Error("a new secret was made")
	}
	if err := os.Rename(key+".away", key); err != nil {
		t.Fatal(err)
	}
	start(t, dir).stop()
}

// TestStopWithStuckClient: a client that never finishes its request does not
// make a stop fail.
func TestStopWithStuckClient(t *testing.T) {
	s := startFlow(t, t.TempDir())
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "POST /v1/track?writeKey=site-key HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	s.track("", win("site-key", "u")) // the other one is surely being served
	began := time.Now()
	s.stop()
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("stopping took %v", took)
	}
}

// TestFullAtStart: a full disk does not keep Heed from starting: it refuses
// events, and says why, until there is space.
func TestFullAtStart(t *testing.T) {
	dir := t.TempDir()
	start(t, dir).stop()
	t.Setenv("HEED_STORE_RESERVE", strconv.Itoa(1<<50))
	s := start(t, dir)
	var home struct{ Source struct{ WriteKey string } }
	s.admin("GET", "/home", "", &home)
	resp, err := http.Post(s.url+"/v1/track?writeKey="+home.Source.WriteKey, "application/json", strings.NewReader(`{"userId":"u","event":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("an event on a full disk: %s, Retry-After %q", resp.Status, resp.Header.Get("Retry-After"))
	}
	s.stop()
}
