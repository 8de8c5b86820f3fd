package event

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hamba/avro/v2"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// wire mirrors the schemas for the reference implementation.
type wireEvent struct {
	MessageID   string      `avro:"messageId"`
	Type        string      `avro:"type"`
	Name        string      `avro:"event"`
	UserID      string      `avro:"userId"`
	AnonymousID string      `avro:"anonymousId"`
	GroupID     string      `avro:"groupId"`
	PreviousID  string      `avro:"previousId"`
	Timestamp   int64       `avro:"timestamp"`
	ReceivedAt  int64       `avro:"receivedAt"`
	Source      string      `avro:"source"`
	SessionID   string      `avro:"sessionId"`
	Depth       int         `avro:"depth"`
	ReplyTo     string      `avro:"replyTo"`
	Properties  []byte      `avro:"properties"`
	Traits      []byte      `avro:"traits"`
	Context     wireContext `avro:"context"`
}

type wireContext struct {
	Page struct {
		URL      string `avro:"url"`
		Path     string `avro:"path"`
		Referrer string `avro:"referrer"`
		Title    string `avro:"title"`
	} `avro:"page"`
	Campaign struct {
		Source  string `avro:"source"`
		Medium  string `avro:"medium"`
		Name    string `avro:"name"`
		Term    string `avro:"term"`
		Content string `avro:"content"`
	} `avro:"campaign"`
	Device     string `avro:"device"`
	OS         string `avro:"os"`
	Browser    string `avro:"browser"`
	Screen     string `avro:"screen"`
	Locale     string `avro:"locale"`
	Timezone   string `avro:"timezone"`
	Country    string `avro:"country"`
	UserAgent  string `avro:"userAgent"`
	IP         string `avro:"ip"`
	Bot        bool   `avro:"bot"`
	Historical bool   `avro:"historical"`
	Verified   bool   `avro:"verified"`
	Consent    []byte `avro:"consent"`
	Extra      []byte `avro:"extra"`
}

type wireIntent struct {
	FireID   string `avro:"fireId"`
	User     string `avro:"user"`
	Trigger  string `avro:"trigger"`
	Campaign string `avro:"campaign"`
	Key      string `avro:"key"`
	At       int64  `avro:"at"`
	Offset   int64  `avro:"offset"`
	CauseID  string `avro:"causeId"`
	ReplyTo  string `avro:"replyTo"`
	Depth    int    `avro:"depth"`
	Test     bool   `avro:"test"`
}

func toWire(e *Event) wireEvent {
	w := wireEvent{
		e.MessageID, e.Type.String(), e.Name, e.UserID, e.AnonymousID, e.GroupID, e.PreviousID, e.Timestamp, e.ReceivedAt,
		e.Source, e.SessionID, e.Depth, e.ReplyTo, e.Properties, e.Traits,
		wireContext{},
	}
	c, x := &e.Context, &w.Context
	x.Page.URL, x.Page.Path, x.Page.Referrer, x.Page.Title = c.Page.URL, c.Page.Path, c.Page.Referrer, c.Page.Title
	k := c.Campaign
	x.Campaign.Source, x.Campaign.Medium, x.Campaign.Name, x.Campaign.Term, x.Campaign.Content = k.Source, k.Medium, k.Name, k.Term, k.Content
	x.Device, x.OS, x.Browser, x.Screen, x.Locale, x.Timezone, x.Country = c.Device, c.OS, c.Browser, c.Screen, c.Locale, c.Timezone, c.Country
	x.UserAgent, x.IP, x.Bot, x.Historical, x.Verified, x.Consent, x.Extra = c.UserAgent, c.IP, c.Bot, c.Historical, c.Verified, c.Consent, c.Extra
	return w
}

// fill sets every field of a struct at random, so that a field that is added
// and forgotten in the codec is found.
func fill(r *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for _, f := range v.Fields() {
			fill(r, f)
		}
	case reflect.String:
		v.SetString(randomText(r))
	case reflect.Slice:
		if r.IntN(3) > 0 {
			v.SetBytes([]byte(fmt.Sprintf(`{"a":%q}`, randomText(r))))
		}
	case reflect.Int64:
		v.SetInt([]int64{0, 1, -1, math.MaxInt64, math.MinInt64, r.Int64()}[r.IntN(6)])
	case reflect.Uint64:
		v.SetUint([]uint64{0, 1, math.MaxUint64, r.Uint64()}[r.IntN(4)])
	case reflect.Int:
		v.SetInt(int64(r.Int32()) - math.MaxInt32/2)
	case reflect.Bool:
		v.SetBool(r.IntN(2) > 0)
	case reflect.Uint8:
		v.SetUint(uint64(r.IntN(int(System) + 1)))
	default:
		panic("a kind of field that the test does not know: " + v.Kind().String())
	}
}

func randomText(r *rand.Rand) string {
	n := []int{0, 1, 5, 36, 63, 64, 127, 128, 300, 9000}[min(r.IntN(40), 9)]
	if n == 9000 && r.IntN(200) > 0 {
		n = 12
	}
	var b strings.Builder
	runes := []rune("abcdefghijklmnopqrstuvwxyz0123456789 /:-_\"\\äß€😀")
	for b.Len() < n {
		b.WriteRune(runes[r.IntN(len(runes))])
	}
	return b.String()
}

func randomEvent(r *rand.Rand) *Event {
	e := &Event{}
	fill(r, reflect.ValueOf(e).Elem())
	return e
}

func TestReferenceImplementationAgrees(t *testing.T) {
	schema, err := avro.Parse(Schema)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		e := randomEvent(r)
		w := toWire(e)
		want, err := avro.Marshal(schema, w)
		if err != nil {
			t.Fatal(err)
		}
		if got := AppendAvro(nil, e); !bytes.Equal(got, want) {
			t.Fatalf("bytes differ from the reference for %+v\n got %x\nwant %x", e, got, want)
		}
		var back wireEvent
		if err := avro.Unmarshal(schema, AppendAvro(nil, e), &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(nilled(w), nilled(back)); diff != "" {
			t.Fatal(diff)
		}
		var got Event
		if err := DecodeAvro(want, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(e, &got); diff != "" {
			t.Fatal(diff)
		}
	}
}

// nilled makes empty and absent bytes the same.
func nilled(w wireEvent) wireEvent {
	for _, b := range []*[]byte{&w.Properties, &w.Traits, &w.Context.Consent, &w.Context.Extra} {
		if len(*b) == 0 {
			*b = nil
		}
	}
	return w
}

func TestReferenceImplementationAgreesOnIntents(t *testing.T) {
	schema, err := avro.Parse(IntentSchema)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		var in, got Intent
		fill(r, reflect.ValueOf(&in).Elem())
		b := AppendIntent([]byte("before"), &in)[len("before"):]
		n, err := DecodeIntent(append(b, "behind"...), &got)
		if err != nil || n != len(b) {
			t.Fatalf("decoded %d of %d bytes: %v", n, len(b), err)
		}
		if diff := cmp.Diff(in, got); diff != "" {
			t.Fatal(diff)
		}
		record, _, err := cut(b)
		if err != nil {
			t.Fatal(err)
		}
		var w wireIntent
		if err := avro.Unmarshal(schema, record, &w); err != nil {
			t.Fatal(err)
		}
		want := wireIntent{in.FireID, in.User, in.Trigger, in.Campaign, in.Key, in.At, int64(in.Offset), in.CauseID, in.ReplyTo, in.Depth, in.Test}
		if diff := cmp.Diff(want, w); diff != "" {
			t.Fatal(diff)
		}
	}
}

func TestDecoderReadsWhatWasAppended(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 20 {
		var want []*Event
		var data []byte
		for range r.IntN(30) {
			e := randomEvent(r)
			want = append(want, e)
			data = AppendEvent(data, e)
		}
		d, skipper := NewDecoder(data), NewDecoder(data)
		for i, e := range want {
			var got Event
			if ok, err := d.Next(&got); !ok || err != nil {
				t.Fatalf("event %d: %v %v", i, ok, err)
			}
			if diff := cmp.Diff(e, &got); diff != "" {
				t.Fatal(diff)
			}
			if ok, err := skipper.Skip(); !ok || err != nil {
				t.Fatalf("skip %d: %v %v", i, ok, err)
			}
		}
		for _, d := range []*Decoder{&d, &skipper} {
			if ok, err := d.Skip(); ok || err != nil {
				t.Fatalf("at the end: %v %v", ok, err)
			}
		}
	}
}

func TestFingerprints(t *testing.T) {
	f := func(schema string, want uint64) {
		t.Helper()
		s, err := avro.Parse(schema)
		if err != nil {
			t.Fatal(err)
		}
		b, err := s.FingerprintUsing(avro.CRC64Avro)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", b); got != fmt.Sprintf("%016x", want) {
			t.Errorf("fingerprint is 0x%s, the constant says 0x%016x: a new version of the schema needs a decision, see docs/format/event.md", got, want)
		}
	}
	f(Schema, Fingerprint)
	f(IntentSchema, IntentFingerprint)
}

func TestPublishedSchemasAreTheOnesInUse(t *testing.T) {
	for name, want := range map[string]string{"event.avsc": Schema, "intent.avsc": IntentSchema} {
		got, err := os.ReadFile(filepath.Join("..", "..", "docs", "format", name))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("docs/format/%s differs from internal/event/%s", name, name)
		}
	}
}

// The golden files hold bytes as a former version wrote them: they must be read
// for ever.
func TestGoldenWire(t *testing.T) {
	f := func(name string, e *Event) {
		t.Helper()
		path := filepath.Join("testdata", "wire", name+".hex")
		if *rewrite {
			if err := os.WriteFile(path, []byte(hex.EncodeToString(AppendEvent(nil, e))+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		if got := AppendEvent(nil, e); !bytes.Equal(got, want) {
			t.Errorf("%s is written as\n%x, was\n%x", name, got, want)
		}
		d := NewDecoder(want)
		var got Event
		if ok, err := d.Next(&got); !ok || err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(e, &got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	f("empty", &Event{})
	f("tick", &Event{Type: System, Name: NameTick, Timestamp: 1767225600000000, Source: SourceHeed})
	f("full", fullEvent())
}

func fullEvent() *Event {
	return &Event{
		MessageID: "9b2f3c1e-0000-4000-8000-000000000001", Type: Page, Name: NamePage, UserID: "u-1", AnonymousID: "a-1", GroupID: "g-1", PreviousID: "a-0",
		Timestamp: 1767225600123456, ReceivedAt: 1767225601000000, Source: "shop", SessionID: "s-1", Depth: 2, ReplyTo: "r-1",
		Context: Context{
			Page:     PageContext{URL: "https://shop.example/p/1", Path: "/p/1", Referrer: "https://search.example/", Title: "Päge 😀"},
			Campaign: CampaignContext{Source: "news", Medium: "mail", Name: "spring", Term: "t", Content: "c"},
			Device:   "desktop", OS: "Linux", Browser: "Chromium", Screen: "1280x720", Locale: "de-DE", Timezone: "Europe/Berlin", Country: "DE",
			UserAgent: "Mozilla/5.0", IP: "192.0.2.0", Bot: true, Historical: true, Verified: true,
			Consent: []byte(`{"ads":false}`), Extra: []byte(`{"library":{"name":"x"}}`),
		},
		Properties: []byte(`{"sku":"A1","n":16,"price":10.3}`), Traits: []byte(`{"firstName":"Ada"}`),
	}
}

func TestDecodingCorruptBytesFails(t *testing.T) {
	full := AppendEvent(nil, fullEvent())
	for cutAt := 1; cutAt < len(full); cutAt++ {
		d := NewDecoder(full[:cutAt])
		var e Event
		if ok, err := d.Next(&e); ok || !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut at %d of %d: %v %v", cutAt, len(full), ok, err)
		}
		if ok, err := d.Skip(); ok || err != nil {
			t.Fatalf("goes on behind an error: %v %v", ok, err)
		}
	}
	record, _, err := cut(full)
	if err != nil {
		t.Fatal(err)
	}
	f := func(what string, record []byte) {
		t.Helper()
		var e Event
		if err := DecodeAvro(record, &e); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", what, err)
		}
	}
	f("a byte too much", append(bytes.Clone(record), 0))
	f("unknown type", AppendAvro(nil, &Event{Type: System + 1}))
	f("negative length", []byte{1})
	f("huge length", []byte{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f("nothing", nil)
}

func TestCodecDoesNotAllocate(t *testing.T) {
	e := fullEvent()
	buf := make([]byte, 0, 4096)
	var got Event
	if n := testing.AllocsPerRun(100, func() {
		buf = AppendEvent(buf[:0], e)
		d := NewDecoder(buf)
		if ok, err := d.Next(&got); !ok || err != nil {
			t.Fatal(err)
		}
		_ = KeyOf(e.Source, e.MessageID)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestKeyOf(t *testing.T) {
	seen := map[[16]byte]string{}
	for _, pair := range [][2]string{{"", ""}, {"a", "bc"}, {"ab", "c"}, {"abc", ""}, {"", "abc"}, {"a", "bd"}, {strings.Repeat("x", 300), "y"}} {
		k := KeyOf(pair[0], pair[1])
		if other, doubled := seen[k]; doubled {
			t.Errorf("%q has the key of %q", pair, other)
		}
		if k == ([16]byte{}) {
			t.Errorf("%q has the zero key", pair)
		}
		seen[k] = fmt.Sprint(pair)
	}
	// In logs and fire ids for ever.
	if got, want := fmt.Sprintf("%x", KeyOf("shop", "m-1")), "2a08ba9af1634ca0c091e92ef361990f"; got != want {
		t.Errorf("key of shop m-1 is %s, was %s", got, want)
	}
}

func FuzzDecoder(f *testing.F) {
	f.Add(AppendEvent(nil, fullEvent()))
	f.Add(AppendEvent(AppendEvent(nil, &Event{}), &Event{Type: System, Name: NameTick}))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2, 3})
	f.Fuzz(func(t *testing.T, data []byte) {
		d := NewDecoder(data)
		for n := 0; ; n++ {
			var e, again Event
			ok, err := d.Next(&e)
			if !ok {
				if err != nil && !errors.Is(err, ErrCorrupt) {
					t.Fatal(err)
				}
				break
			}
			if n > len(data) {
				t.Fatal("more events than bytes")
			}
			back := NewDecoder(AppendEvent(nil, &e))
			if ok, err := back.Next(&again); !ok || err != nil {
				t.Fatal(ok, err)
			}
			if diff := cmp.Diff(&e, &again); diff != "" {
				t.Fatal(diff)
			}
		}
		var in, again Intent
		if n, err := DecodeIntent(data, &in); err == nil {
			if n > len(data) {
				t.Fatal(n)
			}
			if _, err := DecodeIntent(AppendIntent(nil, &in), &again); err != nil || in != again {
				t.Fatal(err, in, again)
			}
		}
	})
}

func BenchmarkAppendEvent(b *testing.B) {
	e := fullEvent()
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendEvent(buf[:0], e)
	}
}

func BenchmarkDecode(b *testing.B) {
	data := AppendEvent(nil, fullEvent())
	var e Event
	b.ReportAllocs()
	for b.Loop() {
		d := NewDecoder(data)
		if ok, err := d.Next(&e); !ok {
			b.Fatal(err)
		}
	}
}

func BenchmarkKeyOf(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		KeyOf("shop", "9b2f3c1e-0000-4000-8000-000000000001")
	}
}
