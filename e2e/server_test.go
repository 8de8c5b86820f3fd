// Package e2e runs the real binary from outside: over HTTP, with kill -9, on
// full disks. The browser's tests stand beside it in TypeScript.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const adminToken = "e2e-admin-token-0123456789abcdef0123456789abcdef"

// binary builds heed once for all tests.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "heed-e2e-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "heed")
	cmd := exec.CommandContext(context.Background(), "go", "build", "-o", path, "heed/cmd/heed")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build heed: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// server is a running heed process.
type server struct {
	t    *testing.T
	cmd  *exec.Cmd
	url  string
	dir  string
	logs *logBuffer
	gone chan struct{}
	err  error // of Wait, once gone is closed
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start runs `heed run args...` on the data folder and waits until it is ready.
func start(t *testing.T, dir string, args ...string) *server {
	t.Helper()
	s := launch(t, dir, args...)
	s.waitReady()
	return s
}

func launch(t *testing.T, dir string, args ...string) *server {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(filepath.Join(dir, "server.json")) // of a killed one
	s := &server{t: t, dir: dir, logs: &logBuffer{}, gone: make(chan struct{})}
	s.cmd = exec.Command(path, append([]string{"run"}, args...)...)
	s.cmd.Env = append(os.Environ(), "HEED_DATA_DIR="+dir, "HEED_LISTEN=127.0.0.1:0", "HEED_SHOP_EMPTY=true", "HEED_ADMIN_TOKEN="+adminToken)
	s.cmd.Stdout, s.cmd.Stderr = s.logs, s.logs
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.gone)
	}()
	t.Cleanup(func() {
		s.kill()
		if strings.Contains(s.logs.String(), "level=ERROR") || strings.Contains(s.logs.String(), "panic") {
			t.Logf("heed said:\n%s", tail(s.logs.String(), 4000))
		}
	})
	return s
}

func tail(s string, n int) string {
	if len(s) > n {
		return s[len(s)-n:]
	}
	return s
}

// waitReady waits until /readyz answers 200.
func (s *server) waitReady() {
	s.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		select {
		case <-s.gone:
			s.t.Fatalf("heed exited: %v\n%s", s.err, tail(s.logs.String(), 4000))
		default:
		}
		if b, err := os.ReadFile(filepath.Join(s.dir, "server.json")); err == nil {
			var info struct{ URL string }
			if json.Unmarshal(b, &info) == nil && info.URL != "" {
				s.url = info.URL
				if resp, err := http.Get(s.url + "/readyz"); err == nil {
					_ = resp.Body.Close()
					if resp.StatusCode == http.StatusOK {
						return
					}
				}
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.t.Fatalf("heed was not ready in time\n%s", tail(s.logs.String(), 4000))
}

// kill ends the process at once, as a crash would.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	<-s.gone
}

// stop asks the process to end and waits for it.
func (s *server) stop() {
	s.t.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.gone:
	case <-time.After(20 * time.Second):
		s.t.Fatal("heed did not stop within 20 s of SIGTERM")
	}
	if s.err != nil {
		s.t.Fatalf("heed stopped with %v\n%s", s.err, tail(s.logs.String(), 4000))
	}
}

// post sends a JSON body and decodes the answer.
func (s *server) post(path string, body, answer any) (status int, err error) {
	b, err := json.Marshal(body)
	if err != nil {
		return 0, err
	}
	resp, err := http.Post(s.url+path, "application/json", bytes.NewReader(b))
	if err != nil {
		return 0, err
	}
	text, err := io.ReadAll(resp.Body)
	err = errors.Join(err, resp.Body.Close())
	if err == nil && answer != nil {
		err = json.Unmarshal(text, answer)
	}
	return resp.StatusCode, err
}

// admin asks the admin API and decodes the answer, or returns the text.
func (s *server) admin(method, path, body string, answer any) string {
	s.t.Helper()
	status, text := s.tryAdmin(method, path, body)
	if status/100 != 2 {
		s.t.Fatalf("%s %s: %d %s", method, path, status, text)
	}
	if answer != nil {
		if err := json.Unmarshal([]byte(text), answer); err != nil {
			s.t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
	return text
}

// ask posts to the admin API, whatever it answers.
func (s *server) ask(path, body string) (status int, answer string) {
	s.t.Helper()
	return s.tryAdmin(http.MethodPost, path, body)
}

func (s *server) tryAdmin(method, path, body string) (status int, answer string) {
	s.t.Helper()
	return s.tryAdminAs("application/json", method, path, body)
}

// adminAs is admin with a body of another type.
func (s *server) adminAs(contentType, method, path, body string, answer any) {
	s.t.Helper()
	status, text := s.tryAdminAs(contentType, method, path, body)
	if status/100 != 2 {
		s.t.Fatalf("%s %s: %d %s", method, path, status, text)
	}
	if err := json.Unmarshal([]byte(text), answer); err != nil {
		s.t.Fatalf("%s %s: %v in %s", method, path, err, text)
	}
}

func (s *server) tryAdminAs(contentType, method, path, body string) (status int, answer string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+adminToken)
	req.Header.Set("Content-Type", contentType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	text, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp.StatusCode, string(text)
}

// heed runs a command of the binary and returns its standard output.
func heed(t *testing.T, dir string, args ...string) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = append(os.Environ(), "HEED_DATA_DIR="+dir)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("heed %v: %v\n%s", args, err, errs.String())
	}
	return out.String()
}

// eventually waits for a condition.
func eventually(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(within)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// get opens a streamed answer; the caller closes its body.
func (s *server) get(path string) *http.Response {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		s.t.Fatalf("GET %s: %s", path, resp.Status)
	}
	return resp
}
