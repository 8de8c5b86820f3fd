package definition

import (
	"strings"
	"testing"
)

func TestStreams(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		docs, problems := Parse("f.yaml", []byte("kind: stream\nname: crm\n"+text))
		if problems == nil {
			_, problems = NewSet(1, docs)
		}
		got := ""
		if err := problems.Err(); err != nil {
			got = err.Error()
		}
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
	const kafka = "kafka: {brokers: ['kafka-1.example:9093', '10.0.0.2:9093'], tls: {}, sasl: {mechanism: plain, user: heed, password: '***'}}\n"
	const topic = kafka + "topic: crm.events\n"
	const mapped = topic + "userId: value.customer.id\nevent: registered\n"
	f(mapped, "")
	f(topic+"anonymousId: key\neventFrom: headers.ce_type.v1\ntime: value.at\ntimeFormat: us\nmessageId: value.lines.0.id\nproperties: {a: key.x, b: headers.y}\ntraits: {email: value.mail}\ngroup: mine\nstart: 2026-11-01T00:00:00Z\npaused: true\nformat: json", "")
	f(mapped+"start: earliest", "")
	const schema = `schema: '{"type":"record","name":"R","fields":[{"name":"id","type":"string"}]}'`
	f(mapped+"format: avro\navro: {"+schema+"}", "")
	f(mapped+"format: avro\navro: {framing: confluent, "+schema+"}", "")
	f(mapped+"format: avro\navro: {framing: confluent, registry: 'https://schemas.example/api', user: u, password: '${env:P}'}", "")

	f("topic: t\nuserId: key\nevent: e", "stream crm: kafka.brokers: none is named")
	f("kafka: {brokers: ['nowhere']}\ntopic: t\nuserId: key\nevent: e", `f.yaml:3:18: stream crm: kafka.brokers: "nowhere" is not host:port`)
	f("kafka: {brokers: ['k:1'], sasl: {mechanism: plain, user: u, password: p}}\ntopic: t\nuserId: key\nevent: e", "kafka.sasl: plain would send the password in the clear")
	f("kafka: {brokers: ['k:1'], tsl: {}}\ntopic: t\nuserId: key\nevent: e", `unknown field "tsl" (did you mean tls?)`)
	f(kafka+"userId: key\nevent: e", `topic: "" is no name of a topic`)
	f(kafka+"topic: 'a b'\nuserId: key\nevent: e", `topic: "a b" is no name of a topic`)
	f(mapped+"group: 'a b'", `group: "a b" is no id of a consumer group`)
	f(mapped+"start: first", `f.yaml:7:8: stream crm: start: "first" is no place to start (latest, earliest, or a time`)
	f(mapped+"format: xml", `format: "xml" is not a format (json or avro)`)
	f(mapped+"avro: {}", "avro: only messages of the format avro have it")
	f(mapped+"format: avro", "avro: says how messages are written, and is missing")
	f(mapped+"format: avro\navro: {}", "avro.schema: is missing")
	f(mapped+"format: avro\navro: {framing: tight}", `avro.framing: "tight" is not a framing (single-object, confluent or none)`)
	f(mapped+"format: avro\navro: {schema: '{'}", "avro.schema: is not a schema in Avro")
	f(mapped+"format: avro\navro: {schema: string}", "avro.schema: is of the type string, and events are made of a record")
	f(mapped+"format: avro\navro: {framing: confluent}", "avro: give either schema or registry")
	f(mapped+"format: avro\navro: {framing: confluent, registry: 'https://a.example', "+schema+"}", "avro: give either schema or registry")
	f(mapped+"format: avro\navro: {registry: 'https://a.example', "+schema+"}", "avro.registry: is of use only where messages name their schema")
	f(mapped+"format: avro\navro: {framing: confluent, registry: 'ftp://a.example'}", `avro.registry: "ftp://a.example" is not the address of a registry`)
	f(mapped+"format: avro\navro: {framing: confluent, registry: 'https://u:p@a.example'}", "is not the address of a registry")
	f(mapped+"format: avro\navro: {user: u, "+schema+"}", "avro.user: only a registry asks for it")
	f(topic+"event: e", "userId: is missing: nobody would have done it")
	f(topic+"userId: key", "event: give either event or eventFrom")
	f(mapped+"eventFrom: value.t", "event: give either event or eventFrom")
	f(topic+"userId: key\nevent: heed.delivery", "event: names beginning with heed. are Heed's own")
	f(mapped+"timeFormat: s", "timeFormat: is that of time, which is missing")
	f(mapped+"time: value.at\ntimeFormat: iso", `timeFormat: "iso" is not a way to write times`)
	for _, place := range []string{"value", "customer.id", "value..id", "'value.'", "headers", "''", "Value.id"} {
		if place != "''" {
			f(topic+"event: e\nuserId: "+place, "is no place in a message (key, key.id, value.customer.id or headers.source)")
		}
		f(mapped+"properties: {x: "+place+"}", "properties.x: ")
	}
	f(mapped+"traits: {email: mail}", `f.yaml:7:17: stream crm: traits.email: "mail" is no place`)
	f(strings.Replace(mapped, "topic", "topik", 1), `unknown field "topik" (did you mean topic?)`)
	f(mapped+"---\nkind: source\nname: crm\n", "name: is the name of a source too")

	// What a stream starts.
	const rest = "---\nkind: template\nname: t\nchannel: outbox\nbody: x\n---\nkind: campaign\nname: c\nwhat: [{channel: outbox, template: t}]\nstatus: live\n"
	f(mapped+rest+"when: {stream: crm}", "")
	f(mapped+rest+"when: {stream: crn}", `when.stream: stream "crn" does not exist (did you mean crm?)`)
	f(mapped+rest+"when: {stream: crm, event: registered}", "when.event: belongs to a stream whose messages say")
	f(mapped+rest+"when: {stream: crm, trigger: t}", "when: says several things")
	f(mapped+rest+"when: {event: registered}", "when.event: needs a stream")
	named := strings.Replace(mapped, "event: registered", "eventFrom: value.type", 1)
	f(named+rest+"when: {stream: crm, event: registered}", "")
	f(named+rest+"when: {stream: crm}", "when.event: belongs to a stream whose messages say")
}

// TestImpliedByStream: a live campaign on a stream is a trigger on its events
// alone.
func TestImpliedByStream(t *testing.T) {
	f := func(stream, when, event string) {
		t.Helper()
		docs, problems := Parse("", []byte("kind: stream\nname: crm\nkafka: {brokers: ['k:1']}\ntopic: t\nuserId: key\n"+stream+
			"\n---\nkind: template\nname: t\nchannel: outbox\nbody: x\n---\nkind: campaign\nname: c\nwhat: [{channel: outbox, template: t}]\nstatus: live\nwhen: "+when))
		if err := problems.Err(); err != nil {
			t.Fatal(err)
		}
		set, problems := NewSet(1, docs)
		if err := problems.Err(); err != nil {
			t.Fatal(err)
		}
		name := set.Campaigns["c"].When.Starts()
		implied := set.AllTriggers()[name]
		if implied == nil || len(implied.Pattern) != 1 || implied.Pattern[0].Event != event || implied.Pattern[0].Where.Value != "crm" {
			t.Errorf("%s: %+v", name, implied)
		}
		if on := set.CampaignsOn(name); len(on) != 1 || on[0].Name != "c" {
			t.Errorf("%s starts %v", name, on)
		}
	}
	f("event: registered", "{stream: crm}", "registered")
	f("eventFrom: value.type", "{stream: crm, event: left}", "left")
}

func FuzzParsePlace(f *testing.F) {
	for _, seed := range []string{"key", "value.a.0", "headers.a.b", "value", "."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePlace(text)
		if err == nil && p.String() != text {
			t.Errorf("%q is read as %q", text, p)
		}
	})
}
