package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Measures are asked over the API while events come in: what was acknowledged
// is counted at once, by the same number in JSON and CSV.
func TestMeasures(t *testing.T) {
	s := start(t, t.TempDir())
	s.admin(http.MethodPost, "/definitions:apply", "kind: source\nname: site\nwriteKey: site-key\n", nil)
	ask := func(query, format string) (int, string) {
		t.Helper()
		return s.ask("/measures:query?format="+format, query)
	}
	const users = 40
	var events []map[string]any
	for i := range users {
		for step, name := range []string{"opened", "clicked", "bought"}[:1+i%3] {
			at := time.Now().Add(time.Duration(step-10) * time.Second).UTC().Format(time.RFC3339Nano)
			events = append(events, map[string]any{"event": name, "anonymousId": fmt.Sprint("u", i), "timestamp": at})
		}
	}
	if status, err := s.post("/v1/batch", map[string]any{"writeKey": "site-key", "batch": events}, nil); err != nil || status != http.StatusOK {
		t.Fatal(status, err)
	}

	funnel := `{"funnel":{"steps":[{"event":"opened"},{"event":"clicked"},{"event":"bought"}],"window":"5s"}}`
	var got struct {
		Funnel struct {
			Steps []struct{ Reached, Stuck, Progress int }
		}
	}
	eventually(t, 10*time.Second, "all events are counted", func() bool {
		status, body := ask(funnel, "json")
		if err := json.Unmarshal([]byte(body), &got); status != http.StatusOK || err != nil {
			t.Fatal(status, err, body)
		}
		return got.Funnel.Steps[0].Reached == users
	})
	for i, want := range []struct{ Reached, Stuck, Progress int }{{40, 14, 0}, {26, 13, 0}, {13, 0, 0}} {
		if got.Funnel.Steps[i] != want {
			t.Errorf("step %d: %+v, want %+v", i+1, got.Funnel.Steps[i], want)
		}
	}
	// Whose window is still open is in progress, and not stuck: they clicked seconds ago.
	_, body := ask(`{"funnel":{"steps":[{"event":"opened"},{"event":"clicked"},{"event":"bought"}],"window":"1h"}}`, "csv")
	if want := "group,step,event,reached,stuck,in progress\n,1,opened,40,0,14\n,2,clicked,26,0,13\n,3,bought,13,0,0\n"; body != want {
		t.Errorf("with an hour's time:\n%swant\n%s", body, want)
	}
	_, table := ask(funnel, "csv")
	if want := "group,step,event,reached,stuck,in progress\n,1,opened,40,14,0\n,2,clicked,26,13,0\n,3,bought,13,0,0\n"; table != want {
		t.Errorf("CSV:\n%swant\n%s", table, want)
	}
	if status, file := ask(funnel, "parquet"); status != http.StatusOK || !strings.HasPrefix(file, "PAR1") || !strings.HasSuffix(file, "PAR1") {
		t.Errorf("Parquet: %d, %d bytes", status, len(file))
	}
	// What the index does not answer the facts do.
	for query, want := range map[string]string{
		`{"attribution":{"goal":{"event":"bought"}}}`:                                "touch,conversions,users,value\ndirect,13,13,0\n",
		`{"return":{"campaign":"nobody's","goal":{"event":"bought"},"within":"1h"}}`: "arm,users,converted,value\ntreated,0,0,0\nholdout,0,0,0\nmet,0,0,0\n",
	} {
		if status, got := ask(query, "csv"); status != http.StatusOK || got != want {
			t.Errorf("%s: %d %s, want %s", query, status, got, want)
		}
	}
	// The people behind the number are the number.
	var status int
	var stuck string
	eventually(t, 10*time.Second, "the behavioral index is there", func() bool {
		status, stuck = ask(`{"audience":{"funnel":{"funnel":{"steps":[{"event":"opened"},{"event":"clicked"},{"event":"bought"}],"window":"5s"},"level":1,"state":"stuck"}},"users":{"limit":100}}`, "csv")
		return status != http.StatusServiceUnavailable
	})
	if n := strings.Count(stuck, "\n") - 1; status != http.StatusOK || n != 14 {
		t.Errorf("%d %s: %d users, want 14", status, stuck, n)
	}
	buckets := strings.Repeat(`{"name":"a","in":["b"]},`, 2000)
	for _, bad := range []string{
		`{"breakdown":{"of":{"event":"a"},"by":[{"field":"properties.x"}],"top":1000000}}`,
		`{"breakdown":{"of":{"event":"a"},"by":[{"field":"properties.x","buckets":[` + strings.TrimSuffix(buckets, ",") + `]}]}}`,
		`{"series":{"of":[{"event":"a"}],"per":"minute"},"range":{"from":"1970-01-01","to":"2026-01-01"}}`,
		`{"attribution":{"goal":{"event":"a"},"lookback":"9999999d"}}`,
		``, `[]`, `{}`, `{"funel":{}}`, `{"live":{"minutes":1},"users":{}}`, `{"users":{},"range":{"last":"900000d"}}`,
		`{"funnel":{"steps":[` + strings.Repeat(`{"event":"a"},`, 100) + `{"event":"b"}],"window":"1h"}}`,
		`{"audience":{"audience":"nobody"},"users":{}}`, `{"breakdown":{"by":[{"field":"traits.x'; DROP TABLE events"}]}}` + `}`,
	} {
		if status, body := ask(bad, "json"); status != http.StatusBadRequest {
			t.Errorf("%.60s: %d %s", bad, status, body)
		}
	}
}
