package channel_test

import (
	"errors"
	"fmt"
	"testing"

	"heed/internal/channel"
)

func TestClass(t *testing.T) {
	f := func(err error, want channel.ErrorClass) {
		t.Helper()
		if got := channel.Class(err); got != want {
			t.Errorf("%v is %v, want %v", err, got, want)
		}
	}
	f(errors.New("connection reset"), channel.Uncertain)
	f(&channel.Error{Class: channel.Temporary, Err: errors.New("421")}, channel.Temporary)
	f(fmt.Errorf("sms: %w", &channel.Error{Class: channel.Permanent, Err: errors.New("550")}), channel.Permanent)
}
