package e2e

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestExplain: `heed explain` says the same through the running server and on
// the folder without one.
func TestExplain(t *testing.T) {
	dir := t.TempDir()
	s := startFlow(t, dir)
	ask := func(args ...string) string {
		t.Helper()
		return heed(t, dir, append([]string{"explain", "--trigger", "three-wins"}, args...)...)
	}
	s.track("?wait=2s", win("trusting-key", "ada"))
	s.track("?wait=2s", win("trusting-key", "ada"))
	half := ask("--user", "ada")
	for _, want := range []string{"2 of 3 steps done since ", "; waits for win until ", "It has not fired for this user"} {
		if !strings.Contains(half, want) {
			t.Errorf("after two wins it says nothing of %q:\n%s", want, half)
		}
	}
	if text := ask("--user", "nobody"); !strings.Contains(text, "No step is done: it waits for win 1 of 3.") {
		t.Errorf("of somebody never seen:\n%s", text)
	}
	third := win("trusting-key", "ada")
	third["messageId"] = "third"
	s.track("?wait=2s", third)
	online := ask("--user", "ada")
	if !strings.Contains(online, "Fired at ") || !strings.Contains(online, " when win (third) came, fire id ") {
		t.Errorf("after three wins:\n%s", online)
	}
	structured := ask("--user", "ada", "--json")
	var answer struct {
		Firings int
		Notes   []struct{ Outcome, FireID, MessageID string }
	}
	if err := json.Unmarshal([]byte(structured), &answer); err != nil {
		t.Fatal(err)
	}
	if answer.Firings != 1 || len(answer.Notes) != 1 || answer.Notes[0].Outcome != "fired" || answer.Notes[0].MessageID != "third" || len(answer.Notes[0].FireID) != 32 {
		t.Errorf("as JSON: %s", structured)
	}
	s.stop()
	if offline := ask("--user", "ada"); offline != online {
		t.Errorf("without a server:\n%swith one:\n%s", offline, online)
	}
}
