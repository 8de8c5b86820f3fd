package email

import (
	"errors"
	"fmt"
	"net/textproto"
	"strings"

	"heed/internal/channel"
	"heed/internal/channel/email/report"
)

// stage is how far an attempt had come.
type stage string

// The stages.
const (
	stageConnect stage = "connect" // greeting, TLS and AUTH too
	stageSender  stage = "sender"
	stageAddress stage = "address"
	stageContent stage = "content" // up to the dot that ends it
	stageEnd     stage = "end"     // the dot was sent: it may have been taken
)

// failure is what an attempt came to.
type failure struct {
	stage stage
	code  int // of the reply; 0 if there was none that can be read
	text  string
	err   error
}

func failed(s stage, err error) *failure {
	f := &failure{stage: s, err: err}
	if reply, ok := errors.AsType[*textproto.Error](err); ok {
		f.code, f.text = reply.Code, reply.Msg
	}
	return f
}

func (f *failure) Error() string { return fmt.Sprintf("%s: %v", f.stage, f.err) }

// class says what the failure means for the delivery. What goes wrong with the
// session is no fault of the message: a wrong password must not cost anybody one.
// What is unanswered after its end is not repeated blindly.
func (f *failure) class() channel.ErrorClass {
	switch {
	case f.stage == stageConnect, f.code/10 == 53: // AUTH or TLS is missing or wrong
		return channel.Temporary
	case f.code/100 == 5:
		return channel.Permanent
	case f.code/100 == 4, f.stage != stageEnd:
		return channel.Temporary
	}
	return channel.Uncertain
}

// bounced tells whether the address will never work, by the reply's enhanced code.
func (f *failure) bounced() (status string, yes bool) {
	if f.code/100 != 5 || f.stage == stageConnect || f.stage == stageSender {
		return "", false
	}
	status, _, _ = strings.Cut(strings.TrimSpace(f.text), " ")
	return status, report.Hard(status)
}

// destination is what the failure says of the server: nil if it is well and only
// minds this message.
func (f *failure) destination() error {
	if f.stage != stageConnect && f.code/100 == 4 && f.code != 421 {
		return nil
	}
	return &channel.Error{Class: f.class(), Err: f}
}
