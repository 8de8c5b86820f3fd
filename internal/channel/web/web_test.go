package web_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"heed/internal/channel"
	"heed/internal/channel/web"
	"heed/internal/inbox"
)

type put struct {
	got inbox.Message
	err error
}

func (p *put) Put(_ context.Context, m inbox.Message) (bool, error) {
	p.got = m
	return true, p.err
}

func TestSend(t *testing.T) {
	p := &put{}
	r, err := web.New(p).Send(t.Context(), &channel.Delivery{
		ID: "d", ActivationID: "a", User: "u", Campaign: "c", Template: "t", Kind: "slot", Slot: "hero", Subject: "no", Body: "<b>", At: 1,
		Created: 2, Expires: 3, CauseID: "m", ReplyTo: "r", Personal: true, Depth: 4, Test: true, Attempt: 5,
	})
	if err != nil || !r.Fresh {
		t.Fatalf("%+v %v", r, err)
	}
	want := inbox.Message{
		ID: "d", User: "u", Campaign: "c", Template: "t", Kind: "slot", Slot: "hero", HTML: "<b>", Created: 2, Expires: 3,
		CauseID: "m", ReplyTo: "r", Personal: true, Depth: 4, Test: true,
	}
	if diff := cmp.Diff(want, p.got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	p.err = errors.New("disk full")
	if _, err := web.New(p).Send(t.Context(), &channel.Delivery{ID: "d"}); channel.Class(err) != channel.Uncertain || !errors.Is(err, p.err) {
		t.Errorf("got %v", err)
	}
}
