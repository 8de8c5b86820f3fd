package inbox_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"heed/internal/inbox"
)

// FuzzParseMessage: whatever is stored is read as what encodes to the same, or refused.
func FuzzParseMessage(f *testing.F) {
	m := inbox.Message{
		ID: "id", User: "u", Campaign: "c", Template: "t", Kind: "popup", Slot: "top", HTML: "<b>x</b>", Created: -1, Expires: 1 << 50,
		CauseID: "m", ReplyTo: "r", Personal: true, Depth: 3, Test: true, Seq: 1 << 60, State: inbox.Clicked,
	}
	encoded := inbox.AppendMessage(nil, &m)
	var back inbox.Message
	if err := inbox.ParseMessage(encoded, &back); err != nil || back != m {
		f.Fatalf("%v: %s", err, cmp.Diff(m, back))
	}
	f.Add(encoded)
	f.Add([]byte{1, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var m, again inbox.Message
		if inbox.ParseMessage(b, &m) != nil {
			return
		}
		once := inbox.AppendMessage(nil, &m)
		if err := inbox.ParseMessage(once, &again); err != nil || again != m || !bytes.Equal(once, inbox.AppendMessage(nil, &again)) {
			t.Fatalf("%+v is read again as %+v, %v", m, again, err)
		}
	})
}
