package definition

import (
	"strings"
	"testing"
)

func TestKafkaChannel(t *testing.T) {
	const deliveries = "kind: channel\nname: deliveries\ntype: kafka\nkafka: {brokers: ['k1.example:9093']}\ntopic: heed.deliveries\n"
	f := func(text string, want ...string) {
		t.Helper()
		docs, problems := Parse("f.yaml", []byte(text))
		if problems == nil {
			_, problems = NewSet(1, docs)
		}
		if len(problems) != len(want) {
			t.Errorf("%s\n%v", text, problems)
			return
		}
		for i, p := range problems {
			if !strings.Contains(p.String(), want[i]) {
				t.Errorf("%s\ngot  %s\nwant %s", text, p, want[i])
			}
		}
	}
	edit := func(old, replacement string) string { return strings.Replace(deliveries, old, replacement, 1) }
	f(deliveries)
	f(deliveries + "key: value.customer.id\nheaders: {team: growth}\ntimeout: 2s\ncap: {count: 1, per: 1h}\n")
	f(edit("brokers: ['k1.example:9093']", "brokers: ['k1.example:9093'], tls: {}, sasl: {mechanism: plain, user: heed, password: '${env:P}'}"))
	f("kind: channel\nname: deliveries\ntype: kafka\ntopic: x\n", "kafka: is missing (kafka: {brokers: [")
	f(edit("'k1.example:9093'", "k1.example"), `f.yaml:4:18: channel deliveries: kafka.brokers: "k1.example" is not host:port`)
	f(edit("brokers: ['k1.example:9093']", "brokers: ['k1.example:9093'], sasl: {mechanism: plain, user: heed, password: x}"), "kafka.sasl: plain would send the password in the clear")
	f(edit("brokers: ['k1.example:9093']", "brokers: ['k1.example:9093'], tsls: {}"), `unknown field "tsls" (did you mean tls?)`)
	f(edit("heed.deliveries", "a/b"), `topic: "a/b" is no name of a topic`)
	f(edit("heed.deliveries", "'..'"), `topic: ".." is no name of a topic`)
	f(edit("topic: heed.deliveries\n", ""), `topic: "" is no name of a topic`)
	f(deliveries+"key: customer.id\n", `key: "customer.id" is nothing to make keys of (user, activation`)
	f(deliveries+"key: value.\n", `key: "value." is nothing`)
	f(deliveries+"headers: {Heed-Activation: x}\n", `headers: "Heed-Activation": names beginning with heed- are Heed's own`)
	f(deliveries+"headers: {'': x}\n", "headers: \"\": names and values have 1 to 1024 bytes")
	f(deliveries+"timeout: 1m\n", "timeout: 1m is not from 100ms to 10s")
	f(deliveries+"secret: x\n", "secret: only a channel of type webhook has it")
	f("kind: channel\nname: crm\ntype: webhook\nurl: https://x.example\ntopic: x\nheaders: {a: b}\nkafka: {brokers: ['a:1']}\n",
		"topic: only a channel of type kafka has it", "kafka: only a channel of type kafka has it", "headers: only a channel of type kafka has it")
	f("kind: channel\nname: p\ntype: sms\ntimeout: 5s\nsmpp: {host: h, systemId: x, password: y, sender: z}\n", "timeout: only a channel of type webhook has it")

	// Only this channel has something to say by itself.
	const campaign = "---\nkind: campaign\nname: c\nwhen: {once: o}\nwhat: [{channel: deliveries}]\nstatus: live\n"
	f(deliveries + campaign)
	f(strings.Replace(deliveries+campaign, "[{channel: deliveries}]", "[{channel: outbox}]", 1), "what[0].template: ")
}
