package engager_test

import (
	"encoding/json"
	"testing"
	"time"

	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/engager"
	"heed/internal/policy"
	"heed/internal/profile"
)

// A draft reaches whoever tries it, whatever its status, audience, holdout and
// cap, and says what the draft says.
func TestTrial(t *testing.T) {
	v := newEnv(t)
	v.set.Audiences["nobody"] = &definition.Audience{Name: "nobody"}
	v.campaign("letter", "outbox", "as it is live", func(c *definition.Campaign, _ *definition.Template) {
		c.Status, c.Who = definition.Draft, []string{"nobody"}
		c.Limits = definition.CampaignLimits{Holdout: "100%", Cap: &definition.Cap{Count: 1, Per: 1 << 40}}
	})
	v.users["u1"] = &profile.Profile{UserID: "u1", FirstSeen: 1, Traits: []profile.Entry{{Key: "name", Value: `"Ada"`}}}
	v.start()
	draft := &engager.Trial{
		Campaign:  *v.set.Campaigns["letter"],
		Templates: []definition.Template{{Name: v.set.Campaigns["letter"].What[0].Template, Channel: "outbox", Text: definition.Text{Body: "{{ profile.traits.name }} won {{ event.properties.stake }}"}}},
		User:      "u1",
		Event:     json.RawMessage(`{"messageId":"m","type":"track","event":"win","userId":"u1","source":"shop","timestamp":"2026-11-01T10:00:00Z","receivedAt":"2026-11-01T10:00:00Z","properties":{"stake":5}}`),
	}
	for range 2 { // more often than the cap
		id, err := v.e.Try(t.Context(), draft)
		if err != nil {
			t.Fatal(err)
		}
		var got engager.Tried
		for !got.Done {
			var known bool
			if got, known, err = v.e.Tried(t.Context(), id); err != nil || !known {
				t.Fatal(known, err)
			}
		}
		if got.Status != engager.StatusSent || got.Reason != policy.None || got.Channel != "outbox" || got.Body != "Ada won 5" {
			t.Errorf("%+v", got)
		}
	}
	if letters := v.letters(); len(letters) != 2 || letters[0] != "u1 Ada won 5" {
		t.Errorf("%q", letters)
	}
	for _, o := range v.outcomes("u1", 2) {
		if !o.Test || o.Campaign != "letter" {
			t.Errorf("%+v", o)
		}
	}
}

// A trial that is over is forgotten, and one that nobody knows is none.
func TestTrialEnds(t *testing.T) {
	v := newEnv(t)
	v.cfg.JanitorEvery = time.Millisecond
	v.campaign("letter", "outbox", "hello")
	old := documents.Write{Collection: engager.CollectionTrials, Key: "0000000000000001-old", Value: []byte(`{}`), Expect: documents.Absent}
	if err := v.db.Documents().Apply(t.Context(), documents.Relaxed, old); err != nil {
		t.Fatal(err)
	}
	wake, cancel := v.db.Documents().Watch(engager.CollectionTrials)
	defer cancel()
	v.start()
	id, err := v.e.Try(t.Context(), &engager.Trial{Campaign: *v.set.Campaigns["letter"], User: "u1"})
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, known, err := v.e.Tried(t.Context(), old.Key); err != nil {
			t.Fatal(err)
		} else if !known {
			break
		}
		<-wake
	}
	if _, known, err := v.e.Tried(t.Context(), id); err != nil || !known {
		t.Error("one of now is gone", err)
	}
	if _, err := v.e.Try(t.Context(), &engager.Trial{User: "u1"}); err == nil {
		t.Error("a trial of nothing")
	}
}
