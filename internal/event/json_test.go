package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"heed/internal/jsonscan"
)

// statable makes a random event one that JSON can state as it is.
func statable(e *Event) *Event {
	e.Timestamp = e.Timestamp % 4e15
	e.ReceivedAt = e.ReceivedAt % 4e15
	if e.Timestamp < 0 {
		e.Timestamp = -e.Timestamp
	}
	if e.ReceivedAt < 0 {
		e.ReceivedAt = -e.ReceivedAt
	}
	if fixed := e.Type.DefaultName(); fixed != "" {
		e.Name = fixed
	} else if e.Name == "" {
		e.Name = "x"
	}
	c := &e.Context
	for _, s := range []*string{
		&c.Page.Title, &c.Campaign.Source, &c.Campaign.Medium, &c.Campaign.Name, &c.Campaign.Term, &c.Campaign.Content,
		&c.Device, &c.OS, &c.Browser, &c.Screen, &c.Locale, &c.Timezone, &c.Country, &c.UserAgent, &c.IP,
	} {
		*s = Cut(*s, MaxContextText)
	}
	for _, s := range []*string{&c.Page.URL, &c.Page.Path, &c.Page.Referrer} {
		*s = Cut(*s, MaxContextURL)
	}
	for _, b := range []*[]byte{&e.Properties, &e.Traits, &c.Consent, &c.Extra} {
		if *b != nil {
			*b = []byte(`{"a":[1,{"b":"ü\n\u00e9"}],"c":null}`)
		}
	}
	return e
}

func TestJSONRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for i := range 500 {
		e := &Event{Name: "x"}
		if i > 0 {
			e = statable(randomEvent(r))
		}
		b := AppendJSON([]byte("before"), e)[len("before"):]
		if !json.Valid(b) {
			t.Fatalf("not JSON: %s", b)
		}
		var got Event
		if err := ParseJSON(b, &got); err != nil {
			t.Fatalf("%v in %s", err, b)
		}
		if diff := cmp.Diff(e, &got); diff != "" {
			t.Fatalf("%s\nof %s", diff, b)
		}
	}
}

func TestGoldenJSON(t *testing.T) {
	want := `{"messageId":"9b2f3c1e-0000-4000-8000-000000000001","type":"page","event":"page","userId":"u-1","anonymousId":"a-1","groupId":"g-1","previousId":"a-0",` +
		`"timestamp":"2026-01-01T00:00:00.123456Z","receivedAt":"2026-01-01T00:00:01.000Z","source":"shop","sessionId":"s-1","depth":2,"replyTo":"r-1",` +
		`"context":{"page":{"url":"https://shop.example/p/1","path":"/p/1","referrer":"https://search.example/","title":"Päge 😀"},` +
		`"campaign":{"source":"news","medium":"mail","name":"spring","term":"t","content":"c"},"device":"desktop","os":"Linux","browser":"Chromium","screen":"1280x720",` +
		`"locale":"de-DE","timezone":"Europe/Berlin","country":"DE","userAgent":"Mozilla/5.0","ip":"192.0.2.0","bot":true,"historical":true,"verified":true,` +
		`"consent":{"ads":false},"library":{"name":"x"}},"properties":{"sku":"A1","n":16,"price":10.3},"traits":{"firstName":"Ada"}}`
	if got := string(AppendJSON(nil, fullEvent())); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := string(AppendJSON(nil, &Event{MessageID: "m\n\"\\\x01", Name: "n", Type: Track})), `{"messageId":"m\u000a\"\\\u0001","type":"track","event":"n"}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestParseJSON(t *testing.T) {
	f := func(text string, want Event) {
		t.Helper()
		var got Event
		if err := ParseJSON([]byte(text), &got); err != nil {
			t.Errorf("%s: %v", text, err)
			return
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
	f(`{"event":"x"}`, Event{Name: "x"})
	f(` {"event" : "\u0078" , "unknown":[{}], "integrations":{"All":true}, "userId":null} `, Event{Name: "x"})
	f(`{"event":"x","timestamp":1767225600123,"userId":42}`, Event{Name: "x", Timestamp: 1767225600123000, UserID: "42"})
	f(`{"event":"x","timestamp":1767225600123.5}`, Event{Name: "x", Timestamp: 1767225600123500})
	f(`{"event":"x","timestamp":"2026-01-01T01:00:00.123+01:00"}`, Event{Name: "x", Timestamp: 1767225600123000})
	f(`{"type":"page","event":"ignored","name":"Home"}`, Event{Type: Page, Name: "page", Properties: []byte(`{"name":"Home"}`)})
	f(`{"type":"screen","name":"Home","properties":{"a":1}}`, Event{Type: Screen, Name: "screen", Properties: []byte(`{"name":"Home","a":1}`)})
	f(`{"type":"page","name":"Home","properties":{"a":{"name":1},"name":"Own"}}`, Event{Type: Page, Name: "page", Properties: []byte(`{"a":{"name":1},"name":"Own"}`)})
	f(`{"type":"identify","traits":{},"properties":null}`, Event{Type: Identify, Name: "identify"})
	f(`{"event":"x","context":{"os":{"name":"iOS","version":"8.1"},"device":{"model":"m","id":"secret"},"screen":{"width":320,"height":568,"density":2},"timezone":7,"locale":{},"sessionId":"s"}}`,
		Event{Name: "x", SessionID: "s", Context: Context{OS: "iOS 8.1", Device: "m", Screen: "320x568", Timezone: "7"}})
	f(`{"event":"x","context":{"a":1,"page":{"url":"u","search":"?q"},"b":"\n"}}`,
		Event{Name: "x", Context: Context{Page: PageContext{URL: "u"}, Extra: []byte(`{"a":1,"b":"\n"}`)}})
	f(`{"event":"x","context":{"page":"nonsense","campaign":[],"consent":1,"bot":"yes"}}`, Event{Name: "x"})
	f(`{"event":"x","context":{"browser":"`+strings.Repeat("ä", 200)+`"}}`, Event{Name: "x", Context: Context{Browser: strings.Repeat("ä", 128)}})
	f(`{"type":"system","event":"heed.tick","depth":3}`, Event{Type: System, Name: "heed.tick", Depth: 3})
}

func TestParseJSONRefuses(t *testing.T) {
	f := func(text string, want error) {
		t.Helper()
		var e Event
		if err := ParseJSON([]byte(text), &e); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
	f(`{"event":"x"`, jsonscan.ErrSyntax)
	f(`{"event":"x"} x`, jsonscan.ErrSyntax)
	f(``, jsonscan.ErrSyntax)
	f(`[]`, RefusedNotObject)
	f(`"x"`, RefusedNotObject)
	f(`{}`, RefusedNoName)
	f(`{"type":"track"}`, RefusedNoName)
	f(`{"type":"trick","event":"x"}`, RefusedType)
	f(`{"event":{}}`, RefusedText)
	f(`{"event":"x","userId":true}`, RefusedText)
	f(`{"event":"x","timestamp":"yesterday"}`, RefusedTime)
	f(`{"event":"x","timestamp":1e200}`, RefusedTime)
	f(`{"event":"x","properties":[]}`, RefusedProperties)
	f(`{"event":"x","traits":"x"}`, RefusedTraits)
	f(`{"event":"x","context":1}`, RefusedContext)
	f(`{"event":"x","event":"y"}`, Refusal("duplicate key"))
	f(`{"event":"x","properties":{"a":1e999}}`, Refusal("number out of range"))
	f(`{"event":"x\u0000"}`, Refusal("NUL character in a string"))
	f("{\"event\":\"\xff\"}", Refusal("invalid UTF-8"))
	f(`{"event":"\ud800"}`, Refusal("half a surrogate pair in a string"))
	f(`{"event":"x","properties":`+strings.Repeat(`{"a":`, 33)+"1"+strings.Repeat("}", 33)+"}", Refusal("nested too deep"))
	var e Event
	if err := ParseJSON([]byte(`{"event":"x","properties":`+strings.Repeat(`{"a":`, 32)+"1"+strings.Repeat("}", 32)+"}"), &e); err != nil {
		t.Errorf("depth of 32: %v", err)
	}
}

func TestInherit(t *testing.T) {
	var r Reader
	var st Stated
	var e Event
	var batch Event
	read := func(e *Event) {
		t.Helper()
		if refused := r.Event(e, &st); refused != "" {
			t.Fatal(refused)
		}
	}
	r.Reset([]byte(`{"context":{"os":"A","locale":"de","x":1,"y":{"z":1},"consent":{"ads":true},"page":{"title":"T"}}}`))
	read(&batch)
	r.Scan.Reset([]byte(`{"context":{"os":"B","y":2,"page":{"url":"u"}}}`))
	read(&e)
	r.Inherit(&e.Context, &batch.Context)
	want := Context{
		OS: "B", Locale: "de", Page: PageContext{URL: "u", Title: "T"}, Consent: []byte(`{"ads":true}`), Extra: []byte(`{"y":2,"x":1}`),
	}
	if diff := cmp.Diff(want, e.Context); diff != "" {
		t.Error(diff)
	}
}

func TestReaderDoesNotAllocate(t *testing.T) {
	b := AppendJSON(nil, fullEvent())
	var r Reader
	var e Event
	var st Stated
	if n := testing.AllocsPerRun(100, func() {
		r.Reset(b)
		if refused := r.Event(&e, &st); refused != "" {
			t.Fatal(refused)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParseJSON(f *testing.F) {
	f.Add(AppendJSON(nil, fullEvent()))
	f.Add([]byte(`{"type":"page","name":"Home","properties":{"a":1},"context":{"os":{"name":"iOS"},"a":1}}`))
	f.Add([]byte(`{"event":"x","timestamp":1767225600123,"userId":42}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var e, again Event
		if err := ParseJSON(text, &e); err != nil {
			return
		}
		if !json.Valid(text) {
			t.Fatalf("accepted %q", text)
		}
		b := AppendJSON(nil, &e)
		if !json.Valid(b) {
			t.Fatalf("wrote %q for %q", b, text)
		}
		if len(b) > 6*len(text)+500 {
			t.Fatalf("%d bytes became %d", len(text), len(b))
		}
		if err := ParseJSON(b, &again); err != nil {
			t.Fatalf("%v in %q of %q", err, b, text)
		}
		if diff := cmp.Diff(&e, &again); diff != "" && !bytes.Contains(text, []byte("name")) {
			t.Fatalf("%s\nof %q", diff, text)
		}
	})
}

func BenchmarkReader(b *testing.B) {
	text := AppendJSON(nil, fullEvent())
	var r Reader
	var e Event
	var st Stated
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(text)
		if refused := r.Event(&e, &st); refused != "" {
			b.Fatal(refused)
		}
	}
}
