package segment_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"heed/internal/channel/sms/segment"
)

type vector struct {
	Name  string
	Parts [][2]any // text and how often
	segment.Count
}

func vectors(t *testing.T) []vector {
	t.Helper()
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var out []vector
	if err := json.Unmarshal(b, &out); err != nil || len(out) < 10 {
		t.Fatal(len(out), err)
	}
	return out
}

func (v *vector) text() string {
	var b strings.Builder
	for _, p := range v.Parts {
		text, _ := p[0].(string)
		times, _ := p[1].(float64)
		b.WriteString(strings.Repeat(text, int(times)))
	}
	return b.String()
}

func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		text := v.text()
		if got := segment.Of(text); got != v.Count {
			t.Errorf("%s: %+v, want %+v", v.Name, got, v.Count)
		}
		whole(t, text)
	}
}

// whole checks that the segments of a text are within bounds and together are the
// text.
func whole(t *testing.T, text string) {
	t.Helper()
	e, parts := segment.Split(text)
	single, limit, read := 160, 153, segment.Text
	if e == segment.UCS2 {
		single, limit, read = 140, 134, segment.TextUCS2
	}
	if len(parts) == 1 {
		limit = single
	}
	var got strings.Builder
	for i, p := range parts {
		if len(p) > limit || len(p) == 0 {
			t.Errorf("segment %d of %.20q has %d bytes in %s", i, text, len(p), e)
		}
		got.WriteString(read(p))
	}
	want := strings.ToValidUTF8(text, "\ufffd")
	if strings.ToValidUTF8(text, "") == text && got.String() != want {
		t.Errorf("%q came out as %q", text, got.String())
	}
	if again, one := segment.Encode(text); again != e || !bytes.Equal(one, bytes.Join(parts, nil)) {
		t.Errorf("%q as one piece is %s %x", text, again, one)
	}
}

func TestText(t *testing.T) {
	for septets, want := range map[string]string{
		"\x00\x11\x1b\x65": "@_€", "\x1b": "\ufffd", "\x1b\x01": "\ufffd", "a\x80": "a\ufffd", "": "", "\x0a": "\n",
	} {
		if got := segment.Text([]byte(septets)); got != want {
			t.Errorf("%q: %q, want %q", septets, got, want)
		}
	}
	if got := segment.TextUCS2([]byte{0x04, 0x16, 0xd8, 0x3d, 0xde, 0x00, 0x00}); got != "Ж😀" {
		t.Errorf("%q", got)
	}
}

func FuzzSplit(f *testing.F) {
	f.Add("Hello € 😀")
	f.Add(strings.Repeat("€", 200))
	f.Add("\xff\x1b\x00")
	f.Fuzz(func(t *testing.T, text string) {
		whole(t, text)
		e, parts := segment.Split(text)
		if c := segment.Of(text); c.Encoding != e || c.Segments != len(parts) {
			t.Errorf("%q: %+v, %s in %d", text, c, e, len(parts))
		}
	})
}
