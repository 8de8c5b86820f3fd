package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestBacktestEqualsLive: what a server decided, with a kill -9 in between, is
// what a backtest of its log finds, fire id by fire id.
func TestBacktestEqualsLive(t *testing.T) {
	dir := t.TempDir()
	s := startFlow(t, dir)
	r := rand.New(rand.NewPCG(3, 1))
	play := func() {
		for range 15 {
			var batch []map[string]any
			for range 20 {
				batch = append(batch, map[string]any{
					"type": "track", "userId": fmt.Sprintf("u%d", r.IntN(12)), "event": []string{"win", "win", "loss", "cart_add", "purchase", "page_view"}[r.IntN(6)],
				})
			}
			if status, err := s.post("/v1/batch", map[string]any{"writeKey": "trusting-key", "batch": batch}, nil); err != nil || status != 200 {
				t.Fatalf("batch: %d, %v", status, err)
			}
		}
	}
	play()
	s.kill()
	s = startFlow(t, dir)
	play()

	type backtested struct {
		Firings  int
		Exact    bool
		Examples []struct {
			Fire   string
			Events []struct{ Event string }
		}
	}
	live := func(campaign string) []string {
		var list struct {
			Deliveries []struct{ Fire, Status string }
		}
		s.admin("GET", "/deliveries?limit=1000&campaign="+campaign, "", &list)
		var fires []string
		for _, d := range list.Deliveries {
			if d.Status == "sent" || d.Status == "refused" {
				fires = append(fires, d.Fire)
			}
		}
		slices.Sort(fires)
		return slices.Compact(fires)
	}
	ask := func(name string) (out backtested) {
		text := s.admin("POST", "/triggers:backtest", fmt.Sprintf(`{"name": %q, "days": 1, "examples": 100, "preview": true}`, name), nil)
		for line := range strings.Lines(text) {
			var l struct{ Result *backtested }
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Fatalf("%v in %s", err, line)
			}
			if l.Result != nil {
				out = *l.Result
			}
		}
		return out
	}
	for campaign, name := range map[string]string{"winners": "three-wins", "carts": "cart-left"} {
		var got, want []string
		eventually(t, 30*time.Second, "the same fire ids of "+name, func() bool {
			res := ask(name)
			got = nil
			for _, e := range res.Examples {
				got = append(got, e.Fire)
			}
			slices.Sort(got)
			want = live(campaign)
			return res.Exact && len(got) >= 5 && len(got) < 100 && res.Firings == len(got) && slices.Equal(got, want)
		})
	}

	file := filepath.Join(t.TempDir(), "flow.yaml")
	if err := os.WriteFile(file, []byte(flowDefinitions), 0o600); err != nil {
		t.Fatal(err)
	}
	count := func() int {
		var res backtested
		text := heed(t, dir, "backtest", "--trigger", file, "--name", "three-wins", "--days", "1", "--json")
		if err := json.Unmarshal([]byte(text), &res); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		if len(res.Examples) == 0 || len(res.Examples[0].Events) < 3 {
			t.Errorf("no steps of examples: %s", text)
		}
		return res.Firings
	}
	online := count()
	table := heed(t, dir, "backtest", "--trigger", file, "--name", "three-wins", "--user", "u1")
	if !strings.Contains(table, "would have fired") || !strings.Contains(table, "win win win") {
		t.Errorf("as a table:\n%s", table)
	}
	s.stop()
	if offline := count(); offline != online {
		t.Errorf("%d firings with a server, %d without", online, offline)
	}
}
