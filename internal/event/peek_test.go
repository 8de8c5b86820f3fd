package event

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// peeked is what Peek promises of an event.
func peeked(e *Event) Event {
	p := Event{Type: e.Type, Name: e.Name, UserID: e.UserID, AnonymousID: e.AnonymousID, Timestamp: e.Timestamp, ReplyTo: e.ReplyTo}
	p.Context.Page = PageContext{URL: e.Context.Page.URL, Referrer: e.Context.Page.Referrer}
	p.Context.Campaign = CampaignContext{Source: e.Context.Campaign.Source, Medium: e.Context.Campaign.Medium, Name: e.Context.Campaign.Name}
	return p
}

// checkPeek compares with the decoder that reads everything.
func checkPeek(t *testing.T, record []byte) {
	t.Helper()
	var whole Event
	part := Event{Context: Context{Consent: []byte("{}")}}
	if DecodeAvro(record, &whole) != nil {
		_ = Peek(record, &part) // must not panic
		return
	}
	if err := Peek(record, &part); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(peeked(&whole), part); diff != "" {
		t.Fatalf("decoded, peeked:\n%s", diff)
	}
	object := func(b []byte) bool { return len(b) == 0 || b[len(b)-1] == '}' && utf8.Valid(b) }
	c := &whole.Context
	plain := len(c.Consent) == 0 && len(c.Extra) == 0
	if !bytes.HasSuffix(record, []byte{0, 0}) {
		plain = false // empty fields whose length is written at greater length: it cannot tell
	}
	if object(c.Consent) && object(c.Extra) && Plain(record) != plain {
		t.Fatalf("plain is %t with consent %q and extra %q", !plain, c.Consent, c.Extra)
	}
}

func TestPeekAgreesWithDecode(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 5000 {
		checkPeek(t, AppendAvro(nil, randomEvent(r)))
	}
	record := AppendAvro(nil, fullEvent())
	for n := range record {
		checkPeek(t, record[:n])
		for _, bit := range []byte{1, 0x80} {
			flipped := slices.Clone(record)
			flipped[n] ^= bit
			checkPeek(t, flipped)
		}
	}
	var e Event
	if Peek(record[:40], &e) == nil {
		t.Error("40 bytes are taken for an event")
	}
}

func FuzzPeek(f *testing.F) {
	f.Add(AppendAvro(nil, fullEvent()))
	f.Add(AppendAvro(nil, &Event{}))
	f.Fuzz(checkPeek)
}

func BenchmarkPeek(b *testing.B) {
	record := AppendAvro(nil, fullEvent())
	var e Event
	b.ReportAllocs()
	for b.Loop() {
		if err := Peek(record, &e); err != nil || Plain(record) {
			b.Fatal(err)
		}
	}
}
