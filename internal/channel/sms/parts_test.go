package sms_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"heed/internal/channel"
	"heed/internal/channel/sms/smstest"
)

// partOf is a part of a long text, as an order to the message centre.
func partOf(ref, number, of int, text string) map[string]any {
	return map[string]any{"do": "deliver", "from": ada[1:], "to": "Heed", "text": text, "udh": fmt.Sprintf("050003%02x%02x%02x", ref, of, number)}
}

// bring has a message centre deliver something, which must be answered with a status.
func bring(t *testing.T, c *smstest.Centre, order map[string]any, status int) {
	t.Helper()
	c.Do(order)
	if e := c.Await("delivered"); e.Status != status {
		t.Errorf("%v was answered with %d, want %d", order, e.Status, status)
	}
}

// stopped is the next feedback, which must be a STOP.
func (w *world) stopped(detail string) {
	w.t.Helper()
	if f := w.said(); f.Kind != channel.Unsubscribed || f.Address != ada || f.Detail != detail {
		w.t.Errorf("%+v, want %q", f, detail)
	}
}

// spaces make a word long: what a phone does that fills up a text.
var spaces = strings.Repeat(" ", 150)

// A long text is heard as a whole, however it is cut and in whatever order its parts
// come; its parts mean nothing.
func TestPartsAreJoined(t *testing.T) {
	c := smstest.Start(t)
	w := newWorld(t, "", overSMPP(c))
	w.run()
	c.Await("bind")
	const whole = "text message: stop"

	// "please do not" / "STOP"
	bring(t, c, partOf(1, 2, 2, "STOP"), 0)
	bring(t, c, partOf(1, 1, 2, "Please do not "), 0)
	w.silent()

	bring(t, c, partOf(2, 3, 3, "P"), 0)
	bring(t, c, partOf(2, 1, 3, "ST"+spaces), 0)
	bring(t, c, partOf(2, 1, 3, "ST"+spaces), 0) // once more
	w.silent()
	bring(t, c, partOf(2, 2, 3, "O"), 0)
	w.stopped(whole)
	if e := c.Await("submit"); !strings.Contains(e.Text, "unsubscribed") {
		t.Errorf("answer %+v", e)
	}
	bring(t, c, partOf(2, 2, 3, "O"), 0) // its answer was lost: it is the same text
	w.silent()

	// A reference of two bytes, behind another element; characters cut in two.
	utf16 := hex.EncodeToString([]byte{0, 'S', 0, 'T', 0, 'O', 0, 'P', 0, ' ', 0xd8, 0x3d, 0xde, 0x00}) // STOP 😀
	for _, n := range []int{2, 1} {
		data := utf16[:24]
		if n == 2 {
			data = utf16[24:]
		}
		bring(t, c, map[string]any{
			"do": "deliver", "from": ada[1:], "to": "Heed", "data": data, "coding": 8, "udh": fmt.Sprintf("0a0102030408040102%02x%02x", 2, n),
		}, 0)
	}
	w.stopped(whole)

	for _, n := range []int{1, 2} {
		bring(t, c, map[string]any{"do": "deliver", "from": ada[1:], "to": "Heed", "text": []string{"ST", "OP"}[n-1], "sar": []int{7, 2, n}, "payload": n == 2}, 0)
	}
	w.stopped(whole)

	// What two people write at the same time is not mixed, nor what comes to two senders.
	other := partOf(9, 1, 2, "ST")
	other["from"] = "436641234567"
	bring(t, c, other, 0)
	elsewhere := partOf(9, 1, 2, "ST")
	elsewhere["to"] = "12345"
	bring(t, c, elsewhere, 0)
	bring(t, c, partOf(9, 2, 2, "OP"), 0)
	w.silent()

	// A header that makes no sense is no reason to lose a text.
	for _, udh := range []string{"050003010100", "050003010203", "050003010000", "00"} {
		bring(t, c, map[string]any{"do": "deliver", "from": ada[1:], "to": "Heed", "text": "STOP", "udh": udh}, 0)
	}
	for range 4 {
		w.stopped(whole)
	}
}

// Parts come over several sessions of several processes, and survive their restart:
// what was answered is kept.
func TestPartsOverTwoSessions(t *testing.T) {
	one, two := smstest.Start(t), smstest.Start(t)
	w := newWorld(t, "", overSMPP(one))
	stop := w.run()
	one.Await("bind")
	bring(t, one, partOf(3, 2, 3, "TO"), 0)
	bring(t, one, partOf(3, 1, 3, "S"), 0)
	stop()
	w.defs.define(overSMPP(two))
	w.Channel = w.open("")
	w.run()
	two.Await("bind")
	w.inbound(errors.New("the disk is full"))
	bring(t, two, partOf(3, 3, 3, "P"), 0x64)
	w.inbound(nil)
	bring(t, two, partOf(3, 3, 3, "P"), 0)
	w.stopped("text message: stop")
	w.silent()
}

// Nobody waits for ever: what came is read, with a note, and what is missing may not
// make a yes of a no.
func TestPartsThatDoNotCome(t *testing.T) {
	c := smstest.Start(t)
	w := newWorld(t, "", overSMPP(c))
	w.run()
	c.Await("bind")
	bring(t, c, partOf(1, 1, 2, "Stop!"), 0)
	w.Sweep(t.Context())
	w.silent()
	w.pass(11 * time.Minute)
	w.Sweep(t.Context())
	w.stopped("text message: stop (1 of 2 parts came)")
	w.Sweep(t.Context())
	w.silent()

	bring(t, c, partOf(2, 2, 2, "START"), 0) // "Please do not ever again"
	w.pass(11 * time.Minute)
	w.Sweep(t.Context())
	w.silent()

	// A reference comes round: the text that was waited for is read, and the new one begins.
	bring(t, c, partOf(3, 1, 2, "STOP"), 0)
	bring(t, c, partOf(3, 1, 2, "END"), 0)
	w.stopped("text message: stop (1 of 2 parts came)")
	bring(t, c, partOf(3, 2, 2, "..."), 0)
	w.stopped("text message: stop")

	// A text that says it has more parts than anybody writes is not waited for.
	bring(t, c, partOf(4, 7, 200, "STOP"), 0)
	w.stopped("text message: stop (1 of 200 parts came)")
	w.silent()
}
