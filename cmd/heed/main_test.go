package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// heed runs a command line on a data folder of its own.
func heed(ctx context.Context, t *testing.T, environ []string, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	environ = append([]string{"HEED_DATA_DIR=" + t.TempDir(), "HEED_LISTEN=127.0.0.1:0"}, environ...)
	code = run(&env{ctx: ctx, in: strings.NewReader(""), out: &o, err: &e, environ: environ}, args)
	return code, o.String(), e.String()
}

func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.yaml")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(code int, want string, environ []string, args ...string) {
		t.Helper()
		got, out, errs := heed(t.Context(), t, environ, args...)
		if got != code || !strings.Contains(out+errs, want) || strings.Contains(errs, "usage") {
			t.Errorf("heed %q: exit %d, want %d, %q\n%s%s", args, got, code, want, out, errs)
		}
	}
	f(0, "heed ", nil, "version")
	f(0, "Usage:", nil)
	f(0, "configuration is good", nil, "check")
	for _, command := range []string{"backup", "restore"} {
		f(2, "heed: this command is not built yet\n", nil, command, "--anything", "x")
	}
	f(2, "unexpected argument", nil, "zzz")
	f(2, "unknown flag", nil, "run", "--zzz")
	f(2, "is not known: one of gateway", nil, "run", "--roles", "zzz")
	f(2, "missing flags", nil, "replay")
	f(2, "holds no trigger", nil, "replay", "--trigger", empty, "--events", empty)
	f(2, "holds no definitions", nil, "apply", "-f", empty)
	f(1, "no server runs and there is no data", nil, "events")
	f(1, "no server runs and there is no data", nil, "sql", "SELECT 1")
	f(2, "is not an address like", nil, "--server", "nonsense", "events")
	f(2, "is not an address like", []string{"HEED_SERVER=nonsense"}, "export")
	f(2, "set HEED_ADMIN_TOKEN too", nil, "export", "--server", "http://127.0.0.1:1")
	f(1, "HEED_NOPE: no setting has that name", []string{"HEED_NOPE=1"}, "check")
}

// The flag wins over the variable, and the token goes along.
func TestServerFlag(t *testing.T) {
	var asked string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.Header.Get("Authorization") + " " + r.URL.Path
		_, _ = w.Write([]byte("kind: event\n"))
	}))
	defer srv.Close()
	code, out, errs := heed(t.Context(), t, []string{"HEED_SERVER=http://127.0.0.1:1", "HEED_ADMIN_TOKEN=abc"}, "export", "--server", srv.URL)
	if code != 0 || out != "kind: event\n" || asked != "Bearer abc /api/v1/definitions:export" {
		t.Errorf("exit %d, %q, asked %q\n%s", code, out, asked, errs)
	}
}

// A server without the console role has no admin API; say so.
func TestServerWithoutConsole(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	code, _, errs := heed(t.Context(), t, []string{"HEED_ADMIN_TOKEN=abc"}, "export", "--server", srv.URL)
	if code != 1 || !strings.Contains(errs, "does it run the console role?") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

// A problem names the file as the caller would, the line and the path inside.
func TestPlaces(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t.yaml")
	text := "kind: trigger\nname: t\npattern:\n  - event: a\n  - {event: b, times: 99}\nwithin: 1h\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"replay", "--trigger", file, "--events", "-"}, {"check", "--definitions", file}} {
		code, _, errs := heed(t.Context(), t, nil, args...)
		if code != 1 || !strings.Contains(errs, file+":5:23: trigger t: pattern[1].times: ") {
			t.Errorf("heed %q: exit %d: %s", args, code, errs)
		}
	}
}

// A stop that comes before the start is done is a stop like any other.
func TestStoppedDuringStart(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if code, _, errs := heed(ctx, t, nil, "run"); code != 0 {
		t.Errorf("exit %d: %s", code, errs)
	}
}
