package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"heed/internal/channel/sms/smstest"
)

// A campaign sends text messages through a message centre of another make. What
// comes back is known: a receipt, and STOP, which ends the messages before the
// next one and is answered once.
func TestTextMessages(t *testing.T) {
	centre := smstest.Start(t)
	s := start(t, t.TempDir())
	s.admin(http.MethodPost, "/definitions:apply", fmt.Sprintf(`
kind: source
name: site
writeKey: site-key
serverKey: server-key-0123456789
---
kind: channel
name: texts
type: sms
sms: {country: DE}
smpp: {host: 127.0.0.1, port: %d, systemId: heed, password: s3cret-pass, sender: Heed}
---
kind: trigger
name: won
pattern: [{event: win}]
---
kind: template
name: hello
channel: texts
body: 'You won {{ event.properties.prize }} & more, {{ profile.traits.name }}'
---
{kind: campaign, name: texts, when: {trigger: won}, what: [{channel: texts, template: hello}], limits: {holdout: 0%%}, status: live}
`, centre.Port), nil)
	if text := s.admin(http.MethodGet, "/definitions:export", "", nil); strings.Contains(text, "s3cret-pass") || !strings.Contains(text, "systemId: heed") {
		t.Errorf("exported: %s", text)
	}
	if bind := centre.Await("bind"); bind.System != "heed" || bind.Password != "s3cret-pass" {
		t.Errorf("bind %+v", bind)
	}
	post := func(path string, body map[string]any) {
		t.Helper()
		body["writeKey"], body["userId"] = "server-key-0123456789", "ann"
		if status, err := s.post(path, body, nil); err != nil || status != http.StatusOK {
			t.Fatal(status, err)
		}
	}
	outcomes := func(status string) (n int) {
		t.Helper()
		return strings.Count(s.admin(http.MethodGet, "/deliveries?campaign=texts&status="+status, "", nil), `"status":"`+status+`"`)
	}
	post("/v1/identify", map[string]any{
		"traits":  map[string]any{"name": "Änne", "phone": "0151 / 123 456 78"},
		"context": map[string]any{"consent": map[string]any{"sms": true}},
	})
	win := map[string]any{"event": "win", "properties": map[string]any{"prize": "5 €"}}
	post("/v1/track", win)
	sent := centre.Await("submit")
	if sent.To != "4915112345678" || sent.From != "Heed" || sent.Text != "You won 5 € & more, Änne" {
		t.Errorf("submit %+v", sent)
	}
	eventually(t, 20*time.Second, "it is sent", func() bool { return outcomes("sent") == 1 })

	centre.Do(map[string]any{"do": "receipt", "id": sent.ID, "to": sent.To, "stat": "DELIVRD"})
	eventually(t, 20*time.Second, "its receipt is known", func() bool {
		return strings.Contains(s.admin(http.MethodGet, "/events?event=heed.delivered", "", nil), "heed.delivered")
	})

	centre.Do(map[string]any{"do": "deliver", "from": sent.To, "to": "Heed", "text": "Stop."})
	if answer := centre.Await("submit"); answer.To != sent.To || !strings.Contains(answer.Text, "unsubscribed") {
		t.Errorf("answer %+v", answer)
	}
	post("/v1/track", win)
	eventually(t, 20*time.Second, "the next one is refused", func() bool { return outcomes("refused") == 1 })
	if text := s.admin(http.MethodGet, "/deliveries?campaign=texts&status=refused", "", nil); !strings.Contains(text, "suppress") {
		t.Errorf("refused: %s", text)
	}
	centre.Do(map[string]any{"do": "deliver", "from": sent.To, "to": "Heed", "text": "START"})
	if answer := centre.Await("submit"); !strings.Contains(answer.Text, "again") {
		t.Errorf("answer %+v", answer)
	}
	post("/v1/track", win)
	if again := centre.Await("submit"); again.Text != sent.Text {
		t.Errorf("submit %+v", again)
	}
	if n := centre.Said("submit"); n != 0 {
		t.Errorf("%d more messages", n)
	}
}
