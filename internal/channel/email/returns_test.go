package email

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/smtp"
	"net/textproto"
	"os"
	"strings"
	"sync"
	"testing"

	"heed/internal/channel"
)

// returns runs the listener, and gives what sends to it: as a server does.
func (f *fixture) returns(t *testing.T) (send func(from, to, message string) error) {
	t.Helper()
	address := f.listen(t, nil)
	return func(from, to, message string) error {
		return smtp.SendMail(address, nil, from, []string{to}, []byte(message))
	}
}

// listen runs the listener until the test ends.
func (f *fixture) listen(t *testing.T, secure *tls.Config) (address string) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		if err := f.serveReturns(ctx, l, secure); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); done.Wait() })
	return l.Addr().String()
}

func example(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile("report/testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), "\n", "\r\n")
}

func code(err error) int {
	if e, ok := errors.AsType[*textproto.Error](err); ok {
		return e.Code
	}
	return 0
}

func TestReturns(t *testing.T) {
	f := newFixture(t)
	send := f.returns(t)
	path := f.seal.returnPath(idOf(7))
	failed := example(t, "failed.eml")
	hear := func(what string, want channel.Feedback) {
		t.Helper()
		heard := f.heard.take()
		if want.Kind == "" {
			if len(heard) != 0 {
				t.Errorf("%s: heard %+v", what, heard)
			}
			return
		}
		want.Delivery, want.Type, want.At = idOf(7), Type, f.deps.Now().UnixMicro()
		if len(heard) != 1 || heard[0].Detail == "" || heard[0].ID == "" {
			t.Fatalf("%s: heard %+v", what, heard)
		}
		want.Detail, want.ID = heard[0].Detail, heard[0].ID
		if heard[0] != want {
			t.Errorf("%s: heard %+v, want %+v", what, heard[0], want)
		}
	}
	take := func(what, to, message string, want channel.Feedback) {
		t.Helper()
		if err := send("", to, message); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		hear(what, want)
	}
	take("no such mailbox", path+"@bounces.shop.example", failed, channel.Feedback{Kind: channel.Bounced, Hard: true})
	take("in capitals", strings.ToUpper(path)+"@BOUNCES.shop.example", failed, channel.Feedback{Kind: channel.Bounced, Hard: true})
	take("full", path+"@bounces.shop.example", strings.Replace(failed, "Status: 5.1.1", "Status: 5.2.2", 1), channel.Feedback{Kind: channel.Bounced})
	take("delivered", path+"@bounces.shop.example", strings.Replace(failed, "Action: failed", "Action: delivered", 1), channel.Feedback{Kind: channel.Delivered})
	take("delayed", path+"@bounces.shop.example", strings.Replace(failed, "Action: failed", "Action: delayed", 1), channel.Feedback{})
	take("out of office", path+"@bounces.shop.example", "Subject: I am away\r\n\r\nAction: failed\r\n", channel.Feedback{})
	take("not a message", path+"@bounces.shop.example", "\x00\x01\r\n\r\n", channel.Feedback{})

	complaint := example(t, "complaint.eml")
	about := strings.Replace(complaint, "b-abc", path, 1)
	take("spam", "complaints@bounces.shop.example", about, channel.Feedback{Kind: channel.Complained})
	take("spam by header", "complaints@bounces.shop.example", strings.Replace(complaint, "b-def", path, 1), channel.Feedback{Kind: channel.Complained})
	take("not spam", "complaints@bounces.shop.example", strings.Replace(about, "Feedback-Type: abuse", "Feedback-Type: not-spam", 1), channel.Feedback{})
	// What is not signed is believed by nobody.
	take("a forged complaint", "complaints@bounces.shop.example", complaint, channel.Feedback{})
	take("a bounce where complaints go", "complaints@bounces.shop.example", strings.Replace(failed, "X-Heed-Delivery: b-abc", "X-Heed-Delivery: "+path, 1), channel.Feedback{})
	tampered := path[:len(path)-3] + "aaa"
	for _, to := range []string{"b-abc@bounces.shop.example", tampered + "@x.example", path[:20] + "@x.example", "postmaster@x.example", "b-@x.example", other(t).returnPath(idOf(7)) + "@x.example"} {
		if err := send("", to, failed); code(err) != 550 {
			t.Errorf("to %s: %v", to, err)
		}
		hear(to, channel.Feedback{})
	}
	if err := send("", path+"@x.example", failed+strings.Repeat("x\r\n", 200<<10)); code(err) != 552 {
		t.Errorf("a long one: %v", err)
	}
	// What cannot be kept comes again.
	f.heard.err = errors.New("the disk is full")
	if err := send("", path+"@x.example", failed); code(err) != 451 {
		t.Errorf("%v", err)
	}
}

// other signs as another installation does.
func other(t *testing.T) sealer {
	t.Helper()
	return newSealer([]byte("another installation's secret"))
}

func TestReturnPath(t *testing.T) {
	s := newFixture(t).seal
	path := s.returnPath(idOf(1))
	if delivery, ok := s.returned("<" + path + "@bounces.shop.example>"); !ok || delivery != idOf(1) || len(path) > 64 {
		t.Errorf("%q, %t, %q", delivery, ok, path)
	}
	for i := range path {
		changed := []byte(path)
		if changed[i]++; changed[i] == path[i] {
			continue
		}
		if _, ok := s.returned(string(changed)); ok {
			t.Errorf("%s is taken for %s", changed, path)
		}
	}
	if s.returnPath("d1") != "" {
		t.Error("an id that is none has a path to return by")
	}
}

// Whatever an address looks like, only one that was signed here names a delivery.
func FuzzReturned(f *testing.F) {
	s := newSealer([]byte("0123456789abcdef0123456789abcdef"))
	path := s.returnPath(idOf(1))
	for _, seed := range []string{path, "<" + path + "@bounces.shop.example>", strings.ToUpper(path), path[:20], "b-", "", "b-=", "b-\x00@"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		delivery, ok := s.returned(address)
		if ok && !strings.Contains(strings.ToLower(address), s.returnPath(delivery)) {
			t.Errorf("%q names %q", address, delivery)
		}
	})
}
