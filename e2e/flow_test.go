package e2e

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const flowDefinitions = `kind: source
name: site
writeKey: site-key
serverKey: site-server-key
secret: site-secret
---
kind: source
name: trusting
writeKey: trusting-key
trustUserIds: true
---
kind: trigger
name: three-wins
pattern: [{event: win, times: 3, consecutive: true}]
scope: [win, loss]
within: 10m
---
kind: trigger
name: cart-left
pattern: [{event: cart_add}, {absent: purchase, for: 3s}]
within: 1h
---
kind: template
name: wow
channel: web
as: popup
body: "<b>{{ profile.traits.firstName | default: 'You' }} won</b>"
---
kind: template
name: back
channel: web
as: slot:cart
body: "<b>come back</b>"
---
kind: campaign
name: winners
when: {trigger: three-wins}
what: [{channel: web, template: wow}]
limits: {holdout: 0%}
status: live
---
kind: campaign
name: carts
when: {trigger: cart-left}
what: [{channel: web, template: back}]
limits: {holdout: 0%}
status: live
`

// startFlow runs heed with the definitions above.
func startFlow(t *testing.T, dir string, args ...string) *server {
	t.Helper()
	defs := t.TempDir()
	if err := os.WriteFile(filepath.Join(defs, "flow.yaml"), []byte(flowDefinitions), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, dir, append([]string{"--definitions", defs}, args...)...)
}

type message struct{ ID, Campaign, Kind, Slot, HTML string }

type answer struct {
	Accepted int
	Rejected []struct {
		Index  int
		Reason string
	}
	Messages []message
}

// track posts one event and returns the answer.
func (s *server) track(query string, event map[string]any) answer {
	s.t.Helper()
	var a answer
	status, err := s.post("/v1/track"+query, event, &a)
	if err != nil || status != 200 {
		s.t.Fatalf("track %v: %d, %v", event, status, err)
	}
	return a
}

func win(key, user string) map[string]any {
	return map[string]any{"writeKey": key, "userId": user, "event": "win"}
}

// TestThirdWin: the answer to the third win comes on the same request, also if
// heed was restarted in between; a fourth win does not fire again.
func TestThirdWin(t *testing.T) {
	dir := t.TempDir()
	s := startFlow(t, dir)
	for range 2 {
		if a := s.track("?wait=2s", win("trusting-key", "ada")); len(a.Messages) != 0 {
			t.Fatalf("a message after too few wins: %+v", a)
		}
	}
	s.stop()
	s = startFlow(t, dir)
	a := s.track("?wait=2s", win("trusting-key", "ada"))
	if len(a.Messages) != 1 || a.Messages[0].HTML != "<b>You won</b>" || a.Messages[0].Campaign != "winners" {
		t.Fatalf("the third win answered %+v", a)
	}
	if a := s.track("?wait=2s", win("trusting-key", "ada")); len(a.Messages) != 0 {
		t.Errorf("the fourth win answered %+v", a)
	}
	// Two wins, a loss, a win: nothing.
	for i, name := range []string{"win", "win", "loss", "win"} {
		if a := s.track("?wait=2s", map[string]any{"writeKey": "trusting-key", "userId": "bob", "event": name}); len(a.Messages) != 0 {
			t.Errorf("event %d (%s) answered %+v", i, name, a)
		}
	}
}

// TestAbsence: the reminder comes although heed was killed in between, and does
// not come after a purchase.
func TestAbsence(t *testing.T) {
	dir := t.TempDir()
	s := startFlow(t, dir)
	add := func(user, name string) {
		s.track("", map[string]any{"writeKey": "trusting-key", "userId": user, "event": name})
	}
	began := time.Now()
	add("left", "cart_add")
	add("bought", "cart_add")
	add("bought", "purchase")
	s.kill()
	s = startFlow(t, dir)
	slot := func(user string) int {
		resp, err := http.Get(s.url + "/v1/slots/cart?writeKey=trusting-key&userId=" + user)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	// where starting takes longer than the trigger waits, the reminder is there
	if got, took := slot("left"), time.Since(began); got != 204 && took < 3*time.Second {
		t.Errorf("the reminder came too early: %d after %v", got, took)
	}
	eventually(t, 20*time.Second, "the reminder is in its slot", func() bool { return slot("left") == 200 })
	if got := slot("bought"); got != 204 {
		t.Errorf("after the purchase the slot answered %d", got)
	}
}

// streamed is what a stream of the source site brings at once.
func (s *server) streamed(query string) (out []message) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/v1/messages/stream?writeKey=site-key&"+query, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	time.AfterFunc(1500*time.Millisecond, cancel)
	sc := bufio.NewScanner(resp.Body)
	for sc.Scan() {
		if data, ok := strings.CutPrefix(sc.Text(), "data: "); ok {
			var m message
			if err := json.Unmarshal([]byte(data), &m); err == nil && m.ID != "" {
				out = append(out, m)
			}
		}
	}
	return out
}

// TestTrust: whoever knows the public write key and somebody's user id gets
// none of their content.
func TestTrust(t *testing.T) {
	s := startFlow(t, t.TempDir())
	mac := hmac.New(sha256.New, []byte("site-secret"))
	mac.Write([]byte("victim"))
	signature := hex.EncodeToString(mac.Sum(nil))
	signed := win("site-key", "victim")
	signed["signature"] = signature
	for range 2 {
		s.track("?wait=2s", signed)
	}
	forged := win("site-key", "victim")
	forged["anonymousId"] = "attacker"
	if a := s.track("?wait=2s", forged); len(a.Messages) != 0 {
		t.Errorf("?wait= with a forged user id answered %+v", a)
	}
	// The content is there, for who can prove to be the user.
	messages := s.streamed
	if got := messages("userId=victim&anonymousId=attacker"); len(got) != 0 {
		t.Errorf("the stream of a forged user id brought %+v", got)
	}
	if got := messages("userId=victim&signature=" + strings.Repeat("0", 64)); len(got) != 0 {
		t.Errorf("the stream with a wrong signature brought %+v", got)
	}
	if got := messages("userId=victim&signature=" + signature); len(got) != 1 {
		t.Errorf("the stream of the user brought %+v", got)
	}
	resp, err := http.Get(s.url + "/v1/slots/cart?writeKey=site-key&userId=victim")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode == 200 {
		t.Error("a slot answered a forged user id")
	}
}

// TestFirstEvent: what the README sends is printed by `heed events`, with and
// without a running server, and shown live within a second.
func TestFirstEvent(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, "--demo")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/api/v1/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+adminToken)
	live, err := http.DefaultClient.Do(req)
	if err != nil || live.StatusCode != 200 {
		t.Fatalf("live: %v %v", live, err)
	}
	defer func() { _ = live.Body.Close() }()
	shown := make(chan time.Time, 1)
	go func() {
		sc := bufio.NewScanner(live.Body)
		sc.Buffer(nil, 4<<20)
		for sc.Scan() {
			if strings.Contains(sc.Text(), "first-event-user") {
				shown <- time.Now()
				return
			}
		}
	}()
	body := `{"writeKey": "shop-key", "userId": "first-event-user", "event": "win", "properties": {"stake": 10}}`
	resp, err := http.Post(s.url+"/v1/track", "application/json", strings.NewReader(body))
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v %v", resp, err)
	}
	_ = resp.Body.Close()
	sent := time.Now()
	select {
	case at := <-shown:
		t.Logf("on Live after %v", at.Sub(sent))
	case <-time.After(time.Second):
		t.Error("the event was not on Live within a second")
	}
	for range 2 { // with a server, then without
		out := heed(t, dir, "events", "--user", "first-event-user")
		began := strings.Count(out, `"event":"session_start"`) // moments later
		if began > 1 || strings.Count(out, "\n") != 1+began || !strings.Contains(out, `"stake":10`) && !strings.Contains(out, `"stake": 10`) {
			t.Errorf("heed events printed %q", out)
		}
		s.stop()
		s = &server{t: t, cmd: s.cmd, gone: s.gone, logs: s.logs}
	}
}

// TestEmptyConfiguration: it starts, serves the test page, and an Avro file that
// a foreign reader opens lies in the data folder within 30 s of an event.
func TestEmptyConfiguration(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	resp := s.get("/test")
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	for _, kind := range []string{"track", "page", "identify", "group", "alias", "screen"} {
		if !bytes.Contains(page, []byte(kind)) {
			t.Errorf("the test page has no button for %s", kind)
		}
	}
	var home struct{ Source struct{ WriteKey string } }
	s.admin("GET", "/home", "", &home)
	s.track("", map[string]any{"writeKey": home.Source.WriteKey, "anonymousId": "a", "event": "clicked_it"})
	var files []string
	eventually(t, 30*time.Second, "a finished Avro file", func() bool {
		files, _ = filepath.Glob(filepath.Join(dir, "avro", "*.avro"))
		return len(files) > 0
	})
	script := `const avro = require('avsc'); const names = [];
avro.createFileDecoder(process.argv[1]).on('data', e => names.push(e.event)).on('end', () => console.log(names.join()))`
	cmd := exec.CommandContext(t.Context(), "node", "-e", script, files[0])
	cmd.Dir = "../web"
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "clicked_it") {
		t.Errorf("the foreign reader says %s, %v", out, err)
	}
}

// TestBadInput: the documented status, never 500, batch-mates kept.
func TestBadInput(t *testing.T) {
	s := startFlow(t, t.TempDir())
	f := func(name, path, body string, want int) answer {
		t.Helper()
		resp, err := http.Post(s.url+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return answer{}
		}
		text, err := io.ReadAll(resp.Body)
		if err = errors.Join(err, resp.Body.Close()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if resp.StatusCode != want {
			t.Errorf("%s: %s %s, want %d", name, resp.Status, text, want)
		}
		var a answer
		_ = json.Unmarshal(text, &a)
		return a
	}
	event := func(fields string) string { return `{"writeKey":"site-key","userId":"u","event":"x"` + fields + `}` }
	f("good", "/v1/track", event(""), 200)
	f("malformed", "/v1/track", event(`,`), 400)
	f("empty", "/v1/track", "", 400)
	f("bad UTF-8", "/v1/track", event(`,"properties":{"a":"`+"\xff"+`"}`), 400)
	f("NUL", "/v1/track", event(`,"properties":{"a":"\u0000"}`), 400)
	f("lone surrogate", "/v1/track", event(`,"properties":{"a":"\ud800"}`), 400)
	f("huge number", "/v1/track", event(`,"properties":{"a":1e999}`), 400)
	f("deep", "/v1/track", event(`,"properties":`+strings.Repeat(`{"a":`, 40)+"1"+strings.Repeat("}", 40)), 400)
	f("very deep", "/v1/track", event(`,"properties":`+strings.Repeat(`[`, 100_000)), 400)
	f("doubled key", "/v1/track", event(`,"properties":{"a":1,"a":2}`), 400)
	f("no id", "/v1/track", `{"writeKey":"site-key","event":"x"}`, 400)
	f("refused id", "/v1/track", `{"writeKey":"site-key","userId":"[object Object]","event":"x"}`, 400)
	f("reserved name", "/v1/track", `{"writeKey":"site-key","userId":"u","event":"heed.delivery"}`, 400)
	f("system", "/v1/batch", `{"writeKey":"site-key","batch":[{"type":"system","userId":"u","event":"x"}]}`, 400)
	f("wrong key", "/v1/track", `{"writeKey":"gone","userId":"u","event":"x"}`, 401)
	f("no key", "/v1/track", `{"userId":"u","event":"x"}`, 401)
	f("too large an event", "/v1/track", event(`,"properties":{"a":"`+strings.Repeat("x", 40<<10)+`"}`), 400)
	a := f("batch-mates", "/v1/batch", `{"writeKey":"site-key","batch":[`+
		`{"type":"track","userId":"u","event":"x"},{"type":"track","event":"x"},{"type":"track","userId":"u","event":"y"},{"type":"nothing","userId":"u"}]}`, 200)
	if a.Accepted != 2 || len(a.Rejected) != 2 || a.Rejected[0].Index != 1 || a.Rejected[1].Index != 3 {
		t.Errorf("batch-mates: %+v", a)
	}

	// A body of 1 GiB of zeros in 1 MiB, and one that never ends: memory stays.
	var bomb bytes.Buffer
	zw := gzip.NewWriter(&bomb)
	zeros := make([]byte, 1<<20)
	for range 1024 {
		if _, err := zw.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	before := s.rss()
	for range 20 {
		resp, err := http.Post(s.url+"/v1/batch?writeKey=site-key", "application/json", bytes.NewReader(bomb.Bytes()))
		if err == nil {
			if resp.StatusCode != 400 && resp.StatusCode != 413 {
				t.Errorf("a gzip bomb was answered %s", resp.Status)
			}
			_ = resp.Body.Close()
		}
		resp, err = http.Post(s.url+"/v1/batch?writeKey=site-key", "application/json", io.LimitReader(endless{}, 64<<20))
		if err == nil {
			if resp.StatusCode != 400 && resp.StatusCode != 413 {
				t.Errorf("a body of 64 MiB was answered %s", resp.Status)
			}
			_ = resp.Body.Close()
		}
	}
	if after := s.rss(); after > before+100<<20 {
		t.Errorf("resident memory went from %d to %d MiB", before>>20, after>>20)
	}
	f("still good", "/v1/track", event(""), 200)
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// rss is the resident memory in bytes.
func (s *server) rss() int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		s.t.Fatal(err)
	}
	return kb << 10
}

// TestDiskFull: 503 with Retry-After while the disk is full, and recovery
// without a restart.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256m"); err != nil {
		if os.Getenv("HEED_REQUIRE_SERVICES") == "1" && os.Geteuid() == 0 {
			t.Fatalf("mount a small disk: %v", err)
		}
		t.Skipf("COULD NOT RUN: needs to mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	t.Setenv("HEED_STORE_RESERVE", strconv.Itoa(32<<20))
	s := startFlow(t, dir)
	status := func() (int, string) {
		resp, err := http.Post(s.url+"/v1/track", "application/json",
			strings.NewReader(`{"writeKey":"site-key","userId":"u","event":"x"}`))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode, resp.Header.Get("Retry-After")
	}
	if got, _ := status(); got != 200 {
		t.Fatalf("before: %d", got)
	}
	ballast := filepath.Join(dir, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 1<<20)
	for {
		if _, err := f.Write(block); err != nil {
			break // full
		}
	}
	_ = f.Close()
	eventually(t, 15*time.Second, "503 on a full disk", func() bool { code, _ := status(); return code == 503 })
	if _, after := status(); after == "" {
		t.Error("503 without Retry-After")
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	eventually(t, 15*time.Second, "recovery", func() bool { code, _ := status(); return code == 200 })
	s.stop()
}

// TestMisspelt: a setting that means nothing fails loudly.
func TestMisspelt(t *testing.T) {
	f := func(config string, environ []string, want string) {
		t.Helper()
		path, err := binary()
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "heed.yaml")
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, path, "--config", file, "run")
		cmd.Env = append(append(os.Environ(), "HEED_DATA_DIR="+t.TempDir()), environ...)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%s %v: %v\n%s\nwant %q", config, environ, err, out, want)
		}
	}
	f("listn: 127.0.0.1:0\n", nil, "heed.yaml:1:1: unknown field")
	f("listen: 127.0.0.1:0\nlisten: 127.0.0.1:1\n", nil, "heed.yaml:2:1")
	f("gateway: {max_strems: 3}\n", nil, "heed.yaml:1:11: unknown field")
	f("listen: nowhere\n", nil, "listen:")
	f("memory: 1MB\n", nil, "memory: at least")
	f("", []string{"HEED_LISTN=127.0.0.1:0"}, "HEED_LISTN: no setting has that name")
	f("", []string{"HEED_MEMORY=much"}, "HEED_MEMORY:")
}
