package definition

import (
	"strings"
	"testing"
)

func TestSMSChannels(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		docs, problems := Parse("f.yaml", []byte("kind: channel\nname: texts\n"+text))
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
	const smpp = "type: sms\nsmpp: {host: smsc.example, systemId: heed, password: s3cret, sender: Shop"
	const twilio = "type: sms\ntwilio: {accountSid: AC1, authToken: t"
	f(smpp+"}", "")
	f(smpp+", port: 3550, tls: true, window: 50, perSecond: 20, long: payload, receiptIds: decimal}\nsms: {country: DE, limits: {perDay: 10, perNumberPerDay: 1, countries: [DE, AT]}, replies: {stop: Bye}}", "")
	f(twilio+", from: '+4915112345678'}", "")
	f(twilio+", messagingService: MG1, url: 'https://sms.example/v1'}", "")
	f(twilio+", from: '12345', url: 'http://127.0.0.1:1'}\nallowPrivate: true", "")

	f("type: sms", "a channel of type sms has either smpp or twilio")
	f(smpp+"}\ntwilio: {accountSid: AC1, authToken: t, from: Shop}", "has either smpp or twilio")
	f("type: webhook\nurl: https://crm.example\nsms: {country: DE}", "f.yaml:5:6: channel texts: sms: only a channel of type sms has it")
	f(smpp+", sendr: x}", `unknown field "sendr" (did you mean sender?)`)
	f(smpp+", window: 5000}", "f.yaml:4:84: channel texts: smpp.window: 5000 is not from 1 to 1000 (10)")
	f(smpp+", port: 70000}", "70000 is not a port")
	f(smpp+", perSecond: -1}", "smpp.perSecond: is negative")
	f(smpp+", long: sar}", `"sar" is not a way to send long messages (segments or payload)`)
	f(smpp+", receiptIds: hex}", `"hex" is not a way to write ids`)
	f("type: sms\nsmpp: {host: '', systemId: heedheedheedheed, sender: Shop}", "smpp.host: is missing")
	f("type: sms\nsmpp: {host: h, systemId: heedheedheedheed, sender: Shop}", "smpp.systemId: has more than 15 bytes")
	f("type: sms\nsmpp: {host: h, systemId: hééd, sender: Shop}", "not ASCII")
	for _, bad := range []string{"''", "'12'", "'+1234567890123456'", "My big shop 24", "Köln", "' Shop'", "'+'", `"a\nb"`} {
		f("type: sms\nsmpp: {host: h, systemId: heed, sender: "+bad+"}", "is no sender")
	}
	f(twilio+"}", "give either from or messagingService")
	f(twilio+", from: Shop, messagingService: MG1}", "give either from or messagingService")
	f(twilio+", from: Shop, url: 'http://sms.example'}", "is not the address of an API")
	f(twilio+", from: Shop, url: 'https://u:p@sms.example'}", "is not the address of an API")
	f("type: sms\ntwilio: {from: Shop, accountSid: '', authToken: ''}", "twilio.authToken: is missing")
	f(smpp+"}\nsms: {country: Germany}", `sms.country: "Germany" is not the code of a country`)
	f(smpp+"}\nsms: {limits: {countries: [DE, XX]}}", `sms.limits.countries[1]: "XX" is not the code of a country`)
	f(smpp+"}\nsms: {limits: {perDay: -1}}", "sms.limits.perDay: is negative")
	f(smpp+"}\nsms: {replies: {help: '"+strings.Repeat("a", 500)+"'}}", "has more than 480 bytes")
	f("type: smpp", "web, outbox, webhook, pull, email, sms, push or kafka")

	// Without a provider, and whom a connection trusts.
	f("type: sms\nlocal: true\nsms: {country: DE}", "")
	f("type: email\nlocal: true\naddress: Shop Ltd, 1 High Street", "")
	f(smpp+"}\nlocal: true", "local: what a local channel sends goes nowhere, and there is a provider")
	f("type: email\nlocal: true\nbounces: b.example", "local: what a local channel sends goes nowhere")
	f("type: email\nlocal: true\naddress: \"a\\nb\"", "is not a postal address")
	f("type: webhook\nurl: https://crm.example\nlocal: true", "only channels of type email and sms have it")
	f(smpp+", tls: true}\ntls: {ca: /etc/heed/ca.pem, cert: c.pem, key: k.pem, serverName: smsc.internal}", "")
	f(twilio+", from: Shop}\ntls: {ca: ca.pem}", "")
	f("type: webhook\nurl: https://crm.example\ntls: {}", "")
	f("type: webhook\nurl: https://crm.example\ntls: {cacert: x}", `unknown field "cacert"`)
	f("type: webhook\nurl: https://crm.example\ntls: {cert: c.pem}", "f.yaml:5:6: channel texts: tls: cert and key belong together")
	f("type: webhook\nurl: http://crm.example\ntls: {ca: ca.pem}", "tls: the channel's connections are not encrypted")
	f(smpp+"}\ntls: {ca: ca.pem}", "tls: the channel's connections are not encrypted (smpp.tls: true")
	f("type: email\nsmtp: {host: localhost, from: a@b.example, tls: none}\ntls: {ca: ca.pem}", "tls: the channel's connections are not encrypted")
	f("type: sms\nlocal: true\ntls: {ca: ca.pem}", "tls: the channel's connections are not encrypted")
	f("type: outbox\ntls: {ca: ca.pem}", "only channels of type email, sms and webhook have it")

	const template = "type: sms\nsmpp: {host: h, systemId: heed, sender: Shop}\n---\nkind: template\nname: t\nbody: '<b>{{ user }}'\n"
	f(template+"channel: texts", "nothing is called")
	f(strings.Replace(template, "{{ user }}", "x", 1)+"channel: outbox\nas: sms", "")
	f(strings.Replace(template, "{{ user }}", "x", 1)+"channel: outbox\nas: fax", `"fax" is nothing that the outbox stands for (email, sms or push)`)
	f(strings.Replace(template, "{{ user }}", "x", 1)+"channel: texts\nas: sms", "only templates for web and outbox have it")
}
