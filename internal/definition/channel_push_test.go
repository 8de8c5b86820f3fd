package definition

import (
	"strings"
	"testing"
)

func TestPushProblems(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		docs, problems := Parse("f.yaml", []byte("kind: channel\nname: c\n"+body))
		if problems == nil {
			_, problems = NewSet(1, docs)
		}
		if want == "" && problems != nil || want != "" && (len(problems) != 1 || !strings.HasPrefix(problems.Error(), "f.yaml:"+want)) {
			t.Errorf("%s\ngot  %v\nwant f.yaml:%s", body, problems, want)
		}
	}
	f("type: push\npush: {subject: 'mailto:a@b.example'}", "")
	f("type: push\npush: {subject: https://b.example, ttl: 28d, urgency: very-low, icon: /i.png, link: https://b.example/x, services: [push.b.example]}", "")
	f("type: push\npush: {subject: https://b.example, privateKey: '***'}", "")
	f("type: push\npush: {subject: https://b.example, privateKey: '${env:KEY}'}", "")
	f("type: push", "1:5: channel c: push: a channel of type push needs it (push: {subject:")
	f("type: webhook\nurl: https://b.example\npush: {subject: https://b.example}", "5:7: channel c: push: only a channel of type push has it")
	f("type: push\npush: {subject: a@b.example}", `4:17: channel c: push.subject: "a@b.example" is no mailto: or https: address`)
	f("type: push\npush: {subject: 'mailto:'}", `4:17: channel c: push.subject: "mailto:" is no`)
	f("type: push\npush: {subject: https://b.example, privateKey: AAAA}", "4:48: channel c: push.privateKey: it is not 32 bytes in base64url (leave it out and one is made)")
	f("type: push\npush: {subject: https://b.example, ttl: 29d}", "4:41: channel c: push.ttl: 29d is not from 0 to 28d")
	f("type: push\npush: {subject: https://b.example, urgency: now}", `4:45: channel c: push.urgency: "now" is not an urgency`)
	f("type: push\npush: {subject: https://b.example, link: 'javascript:x'}", `4:42: channel c: push.link: "javascript:x" is no address of a page`)
	f("type: push\npush: {subject: https://b.example, services: ['https://b.example']}", `4:47: channel c: push.services[0]: "https://b.example" is not the name of a host`)
	f("type: push\npush: {subjekt: x}", `4:8: channel c: unknown field "subjekt"`)
}

func TestTemplateLink(t *testing.T) {
	f := func(channel, link, want string) {
		t.Helper()
		docs, problems := Parse("f.yaml", []byte("kind: channel\nname: p\ntype: push\npush: {subject: https://b.example}\n---\nkind: template\nname: t\nchannel: "+channel+"\nbody: x\nlink: "+link))
		if problems == nil {
			_, problems = NewSet(1, docs)
		}
		if got := problems.Err(); (got == nil) != (want == "") || got != nil && !strings.Contains(got.Error(), want) {
			t.Errorf("%s %s: %v, want %q", channel, link, got, want)
		}
	}
	f("p", "/p/{{ event.properties.id }}", "")
	f("p", "'{{ evnt.x }}'", `link: line 1: nothing is called "evnt" here`)
	f("outbox", "/x", "link: only push templates have it")
}

func TestEndpoint(t *testing.T) {
	p := Push{Services: []string{"push.b.example"}}
	f := func(address string, ok bool) {
		t.Helper()
		if _, err := p.Endpoint(address); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
	f("https://fcm.googleapis.com/fcm/send/x", true)
	f("https://updates.push.services.mozilla.com/wpush/v2/x", true)
	f("https://wns2-par02p.notify.windows.com/w/?token=x", true)
	f("https://WEB.push.apple.com/x", true)
	f("https://push.b.example:8443/x", true)
	f("https://b.example/x", false)
	f("https://notfcm.googleapis.com/x", false)
	f("http://fcm.googleapis.com/x", false)
	f("https://a@fcm.googleapis.com/x", false)
	f("/x", false)
}
