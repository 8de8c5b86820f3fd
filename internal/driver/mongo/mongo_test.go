package mongo

import (
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"heed/internal/documents"
	"heed/internal/documents/documentstest"
	"heed/internal/driver/mongo/mongotest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what should happen soon, on a slow machine.
const testWait = 2 * time.Minute

// number makes names of databases, which are short.
var number atomic.Int64 //nolint:gochecknoglobals // one for the package's tests

// testConfig is for a database of the test's own.
func testConfig(t testing.TB, server *mongotest.Server) Config {
	t.Helper()
	name := strings.NewReplacer("/", "-", "#", "-").Replace(t.Name())
	name = name[max(0, len(name)-30):] + "-" + string(rune('A'+number.Add(1)%26)) + string(rune('A'+number.Add(1)/26%26))
	return Config{URI: server.URI(server.Addr()), Database: name, Timeout: 20 * time.Second, Standalone: !server.Replicated()}
}

func open(t testing.TB, cfg Config) *Store {
	t.Helper()
	s, err := Open(t.Context(), cfg, Deps{Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// TestOneServer holds what needs one server: they share it, as starting one takes
// seconds.
func TestOneServer(t *testing.T) {
	server := mongotest.Start(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *mongotest.Server)
	}{
		{"Documents", testDocuments},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, server) })
	}
}

func testDocuments(t *testing.T, server *mongotest.Server) {
	documentstest.Run(t, func(t *testing.T) documentstest.Subject {
		cfg := testConfig(t, server)
		s := open(t, cfg)
		return documentstest.Subject{Store: s, Reopen: func(t *testing.T) documents.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, cfg)
			return s
		}}
	})
}
