package event

import "testing"

func TestDecodeHeader(t *testing.T) {
	e := Event{
		MessageID: "m", Type: Identify, Name: NameIdentify, UserID: "u", AnonymousID: "a", GroupID: "g", PreviousID: "p",
		Timestamp: 12345, Source: "shop", Properties: []byte(`{"a":1}`),
	}
	record := AppendAvro(nil, &e)
	var h Header
	if err := DecodeHeader(record, &h); err != nil {
		t.Fatal(err)
	}
	if want := (Header{Identify, NameIdentify, "u", "a", 12345}); h != want {
		t.Errorf("DecodeHeader = %+v, want %+v", h, want)
	}
	if h.User() != "u" {
		t.Errorf("User = %q, want u", h.User())
	}
	for n := range 12 {
		if err := DecodeHeader(record[:n], &h); err == nil {
			t.Errorf("the first %d bytes passed as an event", n)
		}
	}
}
