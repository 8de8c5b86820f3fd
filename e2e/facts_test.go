package e2e

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestFactsEqualTheLog kills heed again and again while it writes and compacts
// facts in small pieces; then facts and log must hold the same events, over the
// running server and over the folder.
func TestFactsEqualTheLog(t *testing.T) {
	dir, defs := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(defs, "all.yaml"), []byte(crashDefinitions), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HEED_FACTS_FLUSH_ROWS", "50")
	t.Setenv("HEED_FACTS_FLUSH_EVERY", "20ms")
	t.Setenv("HEED_AVRO_OFF", "true")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	w := &writer{acked: map[string]string{}, sent: map[string]string{}}
	for range rounds(t) / 4 {
		s := start(t, dir, "--definitions", defs)
		done := make(chan struct{})
		mine := rand.New(rand.NewPCG(rng.Uint64(), 2))
		go func() {
			defer close(done)
			for {
				body, _, _ := w.batch(mine)
				if _, err := s.post("/v1/batch", body, nil); err != nil {
					return // killed
				}
			}
		}()
		time.Sleep(time.Duration(100+rng.IntN(500)) * time.Millisecond)
		s.kill()
		<-done
	}
	s := start(t, dir, "--definitions", defs)
	want := loggedWins(t, dir)
	query := "SELECT message_id FROM events WHERE event = 'win'"
	facts := func() map[string]int {
		got := map[string]int{}
		for line := range strings.Lines(s.admin("POST", "/sql?format=csv", fmt.Sprintf(`{"query": %q}`, query), nil)) {
			if id := strings.TrimSpace(line); id != "message_id" {
				got[id]++
			}
		}
		return got
	}
	eventually(t, 30*time.Second, "facts hold as many events as the log", func() bool { return len(facts()) >= len(want) })
	if got := facts(); !maps.Equal(got, want) {
		t.Errorf("facts hold %d different events, the log %d; or some of them are there more than once", len(got), len(want))
	}
	s.stop()
	out := heed(t, dir, "sql", "--format", "csv", "SELECT count(*) AS n FROM events WHERE event = 'win'")
	if out != fmt.Sprintf("n\n%d\n", len(want)) {
		t.Errorf("over the folder: %q, want %d", out, len(want))
	}
	if len(want) < 100 {
		t.Errorf("only %d events were sent", len(want))
	}
}
