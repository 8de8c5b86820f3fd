package load

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// The generator sends well-formed events of the promised size with ids that
// never repeat.
func TestRun(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]bool{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		var req struct{ Batch []json.RawMessage }
		if err := json.Unmarshal(b, &req); err != nil || len(req.Batch) != 20 {
			t.Errorf("%v: %d events", err, len(req.Batch))
		}
		mu.Lock()
		defer mu.Unlock()
		for _, raw := range req.Batch {
			var e struct{ MessageID, UserID, Event string }
			if err := json.Unmarshal(raw, &e); err != nil || len(raw) != EventBytes || seen[e.MessageID] || e.UserID == "" {
				t.Errorf("%v: %d bytes, repeated: %t", err, len(raw), seen[e.MessageID])
			}
			seen[e.MessageID] = true
		}
		_, _ = io.WriteString(w, `{"accepted":20}`)
	}))
	defer srv.Close()
	res, err := Run(t.Context(), Config{
		URL: srv.URL, Key: "k", Batch: 20, Conns: 3, Duration: 300 * time.Millisecond, Users: 10, Irrelevant: 0.95, Rate: 4000,
	})
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if res.Acked != len(seen) || res.Acked == 0 || res.Acked > 1400 || res.Refused != 0 {
		t.Errorf("%+v, the server saw %d events", res, len(seen))
	}
}
