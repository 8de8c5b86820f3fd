package message

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hamba/avro/v2"

	"heed/internal/definition"
	"heed/internal/event"
)

// now is the time of receipt in the tests.
const now = 1_795_849_200_000_000 // 2026-11-28T07:00:00Z

// parse reads a stream whose brokers and topic do not matter.
func parse(t *testing.T, text string) *definition.Stream {
	t.Helper()
	docs, problems := definition.Parse("", []byte("kind: stream\nname: crm\nkafka: {brokers: ['127.0.0.1:9092']}\ntopic: crm.events\n"+text))
	if problems == nil {
		_, problems = definition.NewSet(1, docs)
	}
	if err := problems.Err(); err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	return docs[0].Spec.(*definition.Stream)
}

func mapped(t *testing.T, text string, msg *Message) string {
	t.Helper()
	m, err := New(parse(t, text), nil)
	if err != nil {
		t.Fatal(err)
	}
	msg.Topic, msg.Partition, msg.Offset = "crm.events", 3, 42
	if msg.Time == 0 {
		msg.Time = now - 5_000_000
	}
	events, err := m.Events(t.Context(), msg, now)
	if err != nil {
		return err.Error()
	}
	var out []string
	for i := range events {
		out = append(out, string(event.AppendJSON(nil, &events[i])))
	}
	return strings.Join(out, "\n")
}

func TestEvents(t *testing.T) {
	const times = `"timestamp":"2026-11-28T06:59:55.000Z","receivedAt":"2026-11-28T07:00:00.000Z"`
	const tail = `,"source":"crm","context":{"verified":true}`
	f := func(text, key, value, want string) {
		t.Helper()
		msg := Message{Value: []byte(value), Headers: []Header{{"kind", []byte("renewed")}, {"x.y", []byte("z")}}}
		if key != "" {
			msg.Key = []byte(key)
		}
		if got := mapped(t, text, &msg); got != want {
			t.Errorf("%s\n%s %s\ngot  %s\nwant %s", text, key, value, got, want)
		}
	}
	const id = `{"messageId":"crm.events/3/42@1795849195000",`
	// By default all fields are properties.
	f("userId: value.customer.id\nevent: registered", "", `{"customer":{"id":"u1"}, "plan":"gold"}`,
		id+`"type":"track","event":"registered","userId":"u1",`+times+tail+`,"properties":{"customer":{"id":"u1"}, "plan":"gold"}}`)
	f("userId: key\nevent: registered", "u1", `{}`, id+`"type":"track","event":"registered","userId":"u1",`+times+tail+`}`)
	// Keys in JSON, headers, numbers as ids, elements of arrays.
	f("userId: key.id\neventFrom: headers.kind\nproperties: {sku: value.lines.1.sku, none: value.nothing, void: value.void, dotted: headers.x.y}", `{"id":4711}`,
		`{"lines":[{"sku":"a"},{"sku":"b"}],"void":null}`,
		id+`"type":"track","event":"renewed","userId":"4711",`+times+tail+`,"properties":{"dotted":"z","sku":"b","void":null}}`)
	f("anonymousId: value.session\nuserId: value.user\nevent: seen\nproperties: {n: value.n}\nmessageId: value.id", "", `{"session":"s1","user":null,"n":1.50,"id":"m\u0031"}`,
		`{"messageId":"m1","type":"track","event":"seen","anonymousId":"s1",`+times+tail+`,"properties":{"n":1.50}}`)
	// What it tells of the user comes first.
	f("userId: value.id\nevent: registered\nproperties: {plan: value.plan}\ntraits: {email: value.mail, city: value.city}", "", `{"id":"u1","mail":"a@b.example","plan":"gold"}`,
		`{"messageId":"crm.events/3/42@1795849195000#traits","type":"identify","event":"identify","userId":"u1",`+times+tail+`,"traits":{"email":"a@b.example"}}`+"\n"+
			id+`"type":"track","event":"registered","userId":"u1",`+times+tail+`,"properties":{"plan":"gold"}}`)

	bad := func(text, value, want string) {
		t.Helper()
		f("event: registered\n"+text, "", value, want)
	}
	bad("userId: value.id", `{"id":""}`, "value.id is missing")
	bad("userId: value.id.x", `{"id":"u1"}`, "value.id.x is missing")
	bad("userId: value.id", `{"id":{"x":1}}`, "value.id is neither text nor a number")
	bad("userId: value.id", `{"id":"undefined"}`, "userId is not an id of anybody")
	bad("userId: value.id", `{"id":"a\nb"}`, "an id or name holds a control character")
	bad("userId: value.id", `{"id":"`+strings.Repeat("x", 129)+`"}`, "an id is longer than 128 bytes")
	bad("userId: value.id\nanonymousId: value.b", `{}`, "userId or anonymousId is required")
	bad("userId: key", `{"id":"u1"}`, "key is missing")
	bad("userId: value.id", `["u1"]`, "is not a JSON object")
	bad("userId: value.id", ``, "is not a JSON object")
	bad("userId: value.id", `{"id":"u1"`, "is not valid JSON")
	bad("userId: value.id", `{"id":"u1"} {}`, "is not valid JSON")
	bad("userId: value.id", "\xff\xfe", "is not a JSON object")
	bad("userId: value.id", "{\"id\":\"u1\",\"x\":\"\xff\"}", "invalid UTF-8")
	bad("userId: value.id", `{"id":"u1","id":"u2"}`, "duplicate key")
	bad("userId: value.id\nmessageId: value.m", `{"id":"u1"}`, "value.m is missing")
	f("userId: value.id\neventFrom: value.t", "", `{"id":"u1","t":"heed.delivery"}`, "names beginning with heed. are Heed's own")
	f("userId: key.id\nevent: x", "plain", `{}`, "key is not a JSON object")
	f("userId: key\nevent: x", "\xff", `{}`, "key is not text")
	bad("userId: value.id", `{"id":"u1","x":`+strings.Repeat("[", 200)+strings.Repeat("]", 200)+`}`, "nested too deep")

	// Bounds are those of all events; a choice of fields may come from more.
	big := `{"id":"u1","x":"` + strings.Repeat("x", event.MaxEventBytes) + `","deep":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`
	bad("userId: value.id", big, "is bigger than 32 KB")
	f("userId: value.id\nevent: registered\nproperties: {id: value.id}", "", big, id+`"type":"track","event":"registered","userId":"u1",`+times+tail+`,"properties":{"id":"u1"}}`)
	bad("userId: value.id\nproperties: {deep: value.deep}", big, "nested too deep")
	bad("userId: value.id", `{"id":"u1","x":"`+strings.Repeat("x", MaxBytes)+`"}`, "is bigger than 1 MB")
	bad("userId: value.id", `{"id":"u1","x":`+strings.Repeat("[", 2000)+strings.Repeat("]", 2000)+`}`, "is not valid JSON")
}

func TestTimes(t *testing.T) {
	f := func(format, value, want string) {
		t.Helper()
		m, err := New(parse(t, "userId: key\nevent: x\ntime: value.at\n"+format), nil)
		if err != nil {
			t.Fatal(err)
		}
		var got string
		events, err := m.Events(t.Context(), &Message{Topic: "t", Key: []byte("u1"), Value: []byte(`{"at":` + value + `}`)}, now)
		if err != nil {
			got = err.Error()
		} else {
			got = time.UnixMicro(events[0].Timestamp).UTC().Format(time.RFC3339Nano)
		}
		if got != want {
			t.Errorf("%s %s: %s, want %s", format, value, got, want)
		}
	}
	f("", `"2026-11-28T07:30:00.25+01:00"`, "2026-11-28T06:30:00.25Z")
	f("timeFormat: rfc3339", `"2030-01-01T00:00:00Z"`, "2026-11-28T07:00:00Z") // nothing happens later than it is told
	f("", `"28.11.2026"`, "value.at is not a time as RFC 3339 has it")
	f("", `1795849199`, "value.at is not a time as RFC 3339 has it")
	f("", `null`, "value.at is missing")
	f("timeFormat: s", `1795849199`, "2026-11-28T06:59:59Z")
	f("timeFormat: s", `"1795849199"`, "2026-11-28T06:59:59Z")
	f("timeFormat: s", `1795849199.5`, "2026-11-28T06:59:59.5Z")
	f("timeFormat: ms", `1795849199001`, "2026-11-28T06:59:59.001Z")
	f("timeFormat: us", `1795849199000001`, "2026-11-28T06:59:59.000001Z")
	for _, v := range []string{`-1`, `0`, `"x"`, `9223372036854775807`, `1e300`, `true`} {
		want := "value.at is not a time in ms since 1970"
		if v == "true" {
			want = "value.at is neither text nor a number"
		}
		f("timeFormat: ms", v, want)
	}
}

func TestTombstone(t *testing.T) {
	m, err := New(parse(t, "userId: key\nevent: x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Events(t.Context(), &Message{Key: []byte("u1")}, now); !errors.Is(err, ErrEmpty) {
		t.Error(err)
	}
}

// TestLongTopics have ids that fit, and are still told apart.
func TestLongTopics(t *testing.T) {
	a, b := Message{Topic: strings.Repeat("a", 249)}, Message{Topic: strings.Repeat("a", 248) + "b"}
	if a.id() == b.id() || len(a.id()) > event.MaxIDBytes-len("#traits") {
		t.Error(a.id(), b.id())
	}
}

// written reads what fastavro (Python) wrote by testdata/registration.avsc, and
// the schema.
func written(t testing.TB) (schema string, data []byte) {
	t.Helper()
	raw, err := os.ReadFile("testdata/registration.avsc")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("testdata/registration.hex")
	if err != nil {
		t.Fatal(err)
	}
	if data, err = hex.DecodeString(strings.TrimSpace(string(text))); err != nil {
		t.Fatal(err)
	}
	return string(raw), data
}

// fingerprint is the header of a single object, as fastavro has it for the schema.
const fingerprint = "c301" + "e348d0488cd255df"

// known is a registry with one schema.
type known struct {
	id     uint32
	schema avro.Schema
}

func (k known) Schema(_ context.Context, id uint32) (avro.Schema, error) {
	if id != k.id {
		return nil, errors.New("the registry is away")
	}
	return k.schema, nil
}

func TestAvro(t *testing.T) {
	text, data := written(t)
	schema, err := definition.ParseSchema(text)
	if err != nil {
		t.Fatal(err)
	}
	single, err := hex.DecodeString(fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	read := func(framing string, s string, value []byte) (string, error) {
		t.Helper()
		d := &definition.Stream{Name: "crm", Format: definition.FormatAvro, Avro: &definition.Avro{Framing: framing, Schema: s}, UserID: "value.customer.id", Event: "registered", Time: "value.at"}
		m, err := New(d, known{7, schema})
		if err != nil {
			t.Fatal(err)
		}
		events, err := m.Events(t.Context(), &Message{Value: value}, now+1e6)
		if err != nil {
			return "", err
		}
		if e := &events[0]; e.UserID != "u-1" || e.Timestamp != now+123_000 {
			t.Errorf("user %s, time %d", e.UserID, e.Timestamp)
		}
		return string(events[0].Properties), nil
	}
	const want = `{"id":4711,"customer":{"id":"u-1","email":"ada@example.org","born":"1990-02-28"},"referredBy":{"id":"ü-2","email":null,"born":null},` +
		`"at":"2026-11-28T07:00:00.123Z","plan":"gold","price":-12.5,"score":0.1,"small":1.5,"ok":true,"none":null,"tags":["a","b\"c"],"limits":{"x":1,"y":-2},` +
		`"raw":"AP8Q","hash":"AQIDBA==","uid":"12345678-1234-5678-1234-567812345678","either":7}`
	for _, f := range []struct {
		framing, schema string
		value           []byte
	}{
		{"none", text, data},
		{"", text, append(bytes.Clone(single), data...)},
		{"single-object", text, append(bytes.Clone(single), data...)},
		{"confluent", text, append([]byte{0, 0, 0, 0, 9}, data...)}, // the schema is given: the number does not matter
		{"confluent", "", append([]byte{0, 0, 0, 0, 7}, data...)},
	} {
		if got, err := read(f.framing, f.schema, f.value); err != nil || got != want {
			t.Errorf("%s: %v\n%s\n%s", f.framing, err, got, want)
		}
	}

	refused := func(framing, schema string, value []byte, want string) {
		t.Helper()
		_, err := read(framing, schema, value)
		if _, is := errors.AsType[event.Refusal](err); !is || err.Error() != want {
			t.Errorf("%s %x: %v, want %s", framing, value[:min(8, len(value))], err, want)
		}
	}
	for n := range data {
		refused("none", text, data[:n], "is not what its schema says")
	}
	refused("none", text, append(bytes.Clone(data), 0), "has more bytes than its schema")
	refused("", text, data, "does not begin as a single object in Avro does")
	refused("", text, []byte{0xc3}, "does not begin as a single object in Avro does")
	refused("", text, append([]byte{0xc3, 1, 1, 2, 3, 4, 5, 6, 7, 8}, data...), "is written with another schema, of the fingerprint 0102030405060708")
	refused("confluent", "", data, "does not begin as messages with a schema registry do")
	_, err = read("confluent", "", append([]byte{0, 0, 0, 0, 8}, data...))
	if _, is := errors.AsType[event.Refusal](err); is || err == nil {
		t.Errorf("a registry that is away makes a message bad: %v", err)
	}
}

// TestAvroBounds has schemas with which few bytes say much.
func TestAvroBounds(t *testing.T) {
	f := func(schema string, value []byte, want string) {
		t.Helper()
		m, err := New(&definition.Stream{Name: "crm", Format: definition.FormatAvro, Avro: &definition.Avro{Framing: "none", Schema: schema}, UserID: "key", Event: "x"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Value(t.Context(), &Message{Value: value}); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", schema, err, want)
		}
	}
	const many = "\xfe\xff\xff\xff\xff\xff\xff\xff\x7f"
	f(`{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"array","items":"null"}}]}`, []byte(many), "is bigger than 1 MB")
	f(`{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"map","values":"null"}}]}`, []byte(many), "is not what its schema says")
	f(`{"type":"record","name":"R","fields":[{"name":"a","type":"bytes"}]}`, []byte(many), "is not what its schema says")
	f(`{"type":"record","name":"R","fields":[{"name":"next","type":["null","R"]}]}`, bytes.Repeat([]byte{2}, 5000), "nested too deep")
}

func FuzzEvents(f *testing.F) {
	f.Add([]byte("u1"), []byte(`{"id":"u1","a":[1,{"b":null}],"at":1795849199001}`))
	f.Add([]byte(`{"id":1}`), []byte(`{"x":"\ud83d\ude00"}`))
	d := &definition.Stream{
		Name: "crm", UserID: "value.id", AnonymousID: "key.id", Event: "x", Time: "value.at", TimeFormat: "ms",
		Properties: map[string]string{"b": "value.a.1.b", "k": "key"}, Traits: map[string]string{"x": "value.x"},
	}
	f.Fuzz(func(t *testing.T, key, value []byte) { check(t, d, &Message{Topic: "t", Key: key, Value: value}) })
}

func FuzzAvro(f *testing.F) {
	text, data := written(f)
	f.Add(data)
	d := &definition.Stream{Name: "crm", Format: definition.FormatAvro, Avro: &definition.Avro{Framing: "none", Schema: text}, UserID: "value.customer.id", Event: "x"}
	f.Fuzz(func(t *testing.T, value []byte) { check(t, d, &Message{Topic: "t", Value: value}) })
}

// check makes events of anything: they are in order, or there is a reason.
func check(t *testing.T, d *definition.Stream, msg *Message) {
	m, err := New(d, nil)
	if err != nil {
		t.Fatal(err)
	}
	events, err := m.Events(t.Context(), msg, now)
	if _, refused := errors.AsType[event.Refusal](err); err != nil && !refused && !errors.Is(err, ErrEmpty) {
		t.Fatal(err)
	}
	for i := range events {
		e := &events[i]
		if why := e.Check(); why != "" {
			t.Fatal(why)
		}
		if e.Timestamp < 1 || e.Timestamp > now {
			t.Fatal(e.Timestamp)
		}
		for _, object := range [][]byte{e.Properties, e.Traits} {
			if err := sound(&m.strict, object); object != nil && err != nil {
				t.Fatal(err)
			}
		}
	}
}
