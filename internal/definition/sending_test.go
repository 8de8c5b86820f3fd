package definition

import "testing"

// Schedules, delays, quiet hours and what holds for all campaigns: every mistake is
// one message with its place and a hint.
func TestSendingProblems(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		docs, problems := Parse("f.yaml", []byte(text))
		if problems == nil {
			_, problems = NewSet(1, docs)
		}
		if got := problems.Error(); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
	campaign := func(line, want string) {
		t.Helper()
		f("kind: template\nname: t\nchannel: outbox\nbody: x\n---\nkind: campaign\nname: c\nwhat: [{channel: outbox, template: t}]\nstatus: live\n"+line, want)
	}
	const schedule = ` (when: {schedule: "0 9 * * *", zone: Europe/Berlin})`
	const quiet = ` (quiet: {from: "21:00", to: "08:00"}, or {off: true})`
	campaign(`when: {schedule: "0 25 * * *"}`, `f.yaml:10:18: campaign c: when.schedule: schedule "0 25 * * *": end of range (25) above maximum (23): 25`+schedule)
	campaign(`when: {schedule: "0 9 * * *", zone: Mars/Base}`, `f.yaml:10:18: campaign c: when.schedule: zone "Mars/Base" is not known`+schedule)
	campaign(`when: {schedule: "0 9 * * *", once: o}`, `f.yaml:10:7: campaign c: when: says several things (make a campaign of each)`)
	campaign("when: {schedule: \"@daily\"}\ndelay: 31d", `f.yaml:11:8: campaign c: delay: 31d is not from 0 to 30d (delay: 30m)`)
	campaign("when: {schedule: \"@daily\"}\nlimits: {quiet: {from: 9pm, to: \"08:00\"}}", `f.yaml:11:17: campaign c: limits.quiet: "9pm" is not a time like 21:00`+quiet)
	campaign("when: {schedule: \"@daily\"}\nlimits: {quiet: {from: \"21:00\", to: \"08:00\", off: true}}", `f.yaml:11:17: campaign c: limits.quiet: it is off, and has hours`+quiet)
	f("kind: settings\nname: sendig", `f.yaml:2:7: settings sendig: name: there are no settings of the name "sendig" (sending)`)
	f("kind: settings\nname: sending\nholdout: 5", `f.yaml:3:10: settings sending: holdout: "5" is not a share: write it like 10% (5%)`)
	f("kind: settings\nname: sending\ncap: {count: 0, per: 24h}", `f.yaml:3:6: settings sending: cap: needs a count from 1 to 1000 and a period (cap: {count: 1, per: 24h})`)
	f("kind: settings\nname: sending\nrelease: 20000", `f.yaml:3:10: settings sending: release: 20000 is no rate (deliveries a second, 1 to 10000; unset is 100)`)
	asking := func(channel, template, body, want string) {
		t.Helper()
		f("kind: channel\nname: news\ntype: email\nsmtp: {host: localhost, from: a@shop.example}\n---\nkind: channel\nname: texts\ntype: sms\nsmpp: {host: smsc.example, systemId: shop, password: secret, sender: Shop}\n---\n"+
			"kind: template\nname: t\nchannel: news\nbody: '"+body+"'\n---\nkind: settings\nname: sending\noptIn: {email: {channel: "+channel+", template: "+template+"}}", want)
	}
	const link = "{{ confirm_url }}"
	asking("news", "t", link, "")
	asking("newz", "t", link, `f.yaml:18:26: settings sending: optIn.email.channel: channel "newz" does not exist (did you mean news?)`)
	asking("news", "u", link, `f.yaml:18:42: settings sending: optIn.email.template: template "u" does not exist (did you mean t?)`)
	asking("texts", "t", link, `f.yaml:18:26: settings sending: optIn.email.channel: channel texts is of the type sms, and email is asked for`)
	asking("news", "t", "hello", `f.yaml:18:42: settings sending: optIn.email.template: template t has no link to confirm (<a href="{{ confirm_url }}">Confirm</a>)`)
	f("kind: channel\nname: hook\ntype: webhook\nurl: https://a.example\ncap: {count: 1, per: 0s}", `f.yaml:5:6: channel hook: cap: needs a count from 1 to 1000 and a period (cap: {count: 1, per: 24h})`)
}

// What people say of a campaign and what holds for all of them come together.
func TestQuietHoursAndOnce(t *testing.T) {
	set, problems := NewSet(1, mustParse(t, `kind: settings
name: sending
quiet: {from: "21:00", to: "08:00"}
---
kind: channel
name: outbox
type: outbox
cap: {count: 2, per: 24h}
`))
	if problems != nil {
		t.Fatal(problems)
	}
	f := func(k Campaign, from int, once bool) {
		t.Helper()
		q, err := set.QuietHours(&k)
		if err != nil || q.From != from*60 || k.OncePerUser() != once {
			t.Errorf("%+v: quiet %+v, once %v, %v", k, q, k.OncePerUser(), err)
		}
	}
	no := false
	f(Campaign{When: When{Trigger: "t"}}, 21, false)
	f(Campaign{When: When{Audience: "vip"}}, 21, true)
	f(Campaign{When: When{Schedule: "@daily"}, Limits: CampaignLimits{Once: &no}}, 21, false)
	f(Campaign{Purpose: "transactional"}, 0, false)
	f(Campaign{Purpose: "transactional", Limits: CampaignLimits{Quiet: &Quiet{From: "22:00", To: "07:00"}}}, 22, false)
	f(Campaign{Limits: CampaignLimits{Quiet: &Quiet{Off: true}}}, 0, false)
	// A channel that exists anyway is listed once somebody has said something of it.
	if docs := set.Documents(); len(docs) != 2 {
		t.Errorf("%d documents", len(docs))
	}
}
