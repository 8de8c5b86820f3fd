package definition

import (
	"strings"
	"testing"
)

const news = `kind: channel
name: news
type: email
address: Shop Ltd, 1 High Street
smtp:
  host: smtp.example
  from: Shop <news@shop.example>
`

const key = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n-----END PRIVATE KEY-----\n"

func TestEmailChannel(t *testing.T) {
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
	edit := func(old, replacement string) string { return strings.Replace(news, old, replacement, 1) }
	signed := func(from, domain, selector, key string) string {
		return edit("news@shop.example", from) + "dkim:\n  domain: " + domain + "\n  selector: " + selector + "\n  key: |\n    " + strings.ReplaceAll(strings.TrimSpace(key), "\n", "\n    ") + "\n"
	}
	f(news)
	f(news + "  port: 2525\n  tls: implicit\n  user: heed\n  password: ${env:SMTP_PASSWORD}\n  replyTo: help@shop.example\n  rate: 50\nbounces: bounces.shop.example\ntracking: none\n")
	f("kind: channel\nname: news\ntype: email", "smtp: is missing")
	f("kind: channel\nname: crm\ntype: webhook\nurl: https://x.example\nsmtp: {host: x, from: a@b.example}", "f.yaml:5:7: channel crm: smtp: only a channel of type email has it")
	f("kind: channel\nname: crm\ntype: webhook\nurl: https://x.example\ntracking: all", "tracking: only a channel of type email has it")
	f(news+"secret: x\n", "secret: only a channel of type webhook has it")
	f(news+"  pasword: x\n", `unknown field "pasword" (did you mean password?)`)
	f(edit("smtp.example", "smtp.example:587"), "f.yaml:6:9: channel news: smtp.host: \"smtp.example:587\" is not the name of a server (smtp.example; the port stands beside it)")
	f(edit("smtp.example", "''"), `smtp.host: "" is not the name`)
	f(news+"  port: 70000\n", "smtp.port: 70000 is not a port")
	f(news+"  tls: maybe\n", "smtp.tls: \"maybe\" is no way")
	f(news+"  user: heed\n", "smtp.user: user and password go together")
	f(news+"  tls: none\n  allowPlain: true\n  user: heed\n  password: x\n", "smtp.allowPlain: a password must not cross a network in the clear")
	f(news+"  rate: -1\n", "smtp.rate: -1 is not from 0 to 10000")
	f(edit("Shop <news@shop.example>", "Shop"), `smtp.from: "Shop" is not an address`)
	f(edit("Shop <news@shop.example>", `"Shop <news@shop.example>\r\nBcc: x@y.example"`), "smtp.from: ")
	f(news+"  replyTo: nobody\n", `smtp.replyTo: "nobody" is not an address`)
	f(edit("Shop Ltd, 1 High Street", `"Shop Ltd\n1 High Street"`), "address: is not a postal address on one line")
	f(news+"bounces: b@shop.example\n", `bounces: "b@shop.example" is not a domain`)
	f(news + "onUnknown: hold\n")
	f(news+"onUnknown: maybe\n", `onUnknown: "maybe" is not what can be done (hold (at most once) or retry (at least once))`)
	f("kind: channel\nname: crm\ntype: webhook\nurl: https://x.example\nonUnknown: hold", "f.yaml:5:12: channel crm: onUnknown: only a channel of type email, sms or push has it")
	f(news+"tracking: some\n", `tracking: "some" is not a way to track (all, clicks or none)`)

	f(signed("news@shop.example", "shop.example", "heed", key))
	f(signed("news@mail.shop.example", "Shop.example", "heed", "${file:/etc/heed/dkim.pem}"))
	f(news + "dkim: {domain: shop.example, selector: heed, key: '***'}\n")
	f(edit("smtp.example", "'::1'"))
	f(signed("news@other.example", "shop.example", "heed", key), "dkim.domain: a signature of shop.example says nothing for mail from other.example")
	f(signed("news@notshop.example", "shop.example", "heed", key), "dkim.domain: a signature of")
	f(signed("news@shop.example", "shop.example", "h d", key), `dkim.selector: "h d" is not a name in the DNS`)
	f(signed("news@shop.example", "shop.example", "heed", "hello"), "dkim.key: is not a private key in PEM (openssl genpkey")
	f(signed("news@shop.example", "shop.example", "heed", strings.Replace(key, "MC4C", "MC5C", 1)), "dkim.key: is not a private key as PKCS")
}

// Marketing does not go live without what lets its reader end it, and say who
// sent it.
func TestMarketingByEmail(t *testing.T) {
	f := func(channel, body, campaign string, want ...string) {
		t.Helper()
		docs, problems := Parse("f.yaml", []byte(channel+`---
kind: trigger
name: won
pattern: [{event: win}]
---
kind: template
name: wow
channel: news
subject: You won
body: '`+body+`'
---
kind: campaign
name: winners
when: {trigger: won}
what: [{channel: news, template: wow}]
`+campaign))
		if problems == nil {
			_, problems = NewSet(1, docs)
		}
		if len(problems) != len(want) {
			t.Errorf("%s %s: %v", body, campaign, problems)
			return
		}
		for i, p := range problems {
			if !strings.Contains(p.String(), want[i]) {
				t.Errorf("%s %s: %v, want %s", body, campaign, p, want[i])
			}
		}
	}
	const (
		link    = `<a href="{{ unsubscribe_url }}">Unsubscribe</a>`
		without = "what[0].template: marketing by e-mail needs a link to unsubscribe, and template wow has none"
		nowhere = "what[0].channel: marketing by e-mail needs a postal address, and channel news has none"
	)
	homeless := strings.Replace(news, "address: Shop Ltd, 1 High Street\n", "", 1)
	f(news, link, "status: live\n")
	f(news, "<p>Hi", "status: live\n", without)
	f(news, link+"'\nlocales: {fr: {subject: Bonjour}, de: {body: <p>Hallo}}\n#", "status: live\n", without+" in de")
	f(homeless, link, "status: live\n", nowhere)
	f(homeless, "unsubscribe_url", "status: live\npurpose: marketing\n", without, nowhere)
	f(homeless, "<p>Hi", "status: draft\n")
	f(homeless, "<p>Hi", "status: paused\n")
	f(homeless, "<p>Hi", "status: live\npurpose: transactional\n")
	f(news, `{% assign unsubscribe_url = "x" %}{{ unsubscribe_url }}`, "status: live\n", `must not take the name`)
}
