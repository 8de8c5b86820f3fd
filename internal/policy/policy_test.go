package policy_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"heed/internal/consent"
	"heed/internal/policy"
	"heed/internal/schedule"
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC).UnixMicro()

// The script: each case starts at noon, from a live campaign without limits, and says
// what differs.
func TestDecide(t *testing.T) {
	datadriven.RunTest(t, "testdata/decide", func(t *testing.T, d *datadriven.TestData) string {
		var out strings.Builder
		for line := range strings.Lines(d.Input) {
			c := policy.Case{
				User: "u1", Campaign: "winners", Now: noon, At: noon, Due: noon, Zones: []*time.Location{time.UTC},
				Live: true, InAudience: true, Weights: []int{1}, Reach: policy.Reach{Consent: consent.Granted},
			}
			for word := range strings.FieldsSeq(line) {
				apply(t, &c, word)
			}
			switch v := policy.Decide(&c); {
			case v.Send:
				fmt.Fprintf(&out, "send %d\n", v.Variant)
			case v.Wait != "" && v.Until > 0:
				fmt.Fprintf(&out, "waits: %s until %s\n", v.Wait, time.UnixMicro(v.Until).In(c.Zones[0]).Format("15:04"))
			case v.Wait != "":
				fmt.Fprintf(&out, "waits: %s\n", v.Wait)
			default:
				fmt.Fprintf(&out, "refused: %s\n", v.Reason)
			}
		}
		return out.String()
	})
}

func apply(t *testing.T, c *policy.Case, word string) {
	t.Helper()
	key, value, _ := strings.Cut(word, "=")
	duration := func() time.Duration {
		d, err := time.ParseDuration(value)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	switch key {
	case "user":
		c.User = value
	case "test":
		c.Test = true
	case "stopped":
		c.Stopped = true
	case "paused":
		c.Paused, c.Live = true, false
	case "ended":
		c.Live = false
	case "outside":
		c.InAudience = false
	case "transactional":
		c.Transactional = true
	case "unasked":
		c.Consent = consent.Unknown
	case "declined":
		c.Consent = consent.Refused
	case "address":
		c.Address = map[string]policy.Address{"none": policy.AddressMissing, "claimed": policy.AddressUnverified, "verified": policy.AddressVerified}[value]
	case "suppressed":
		c.Suppressed = true
	case "age":
		c.At = c.Now - duration().Microseconds()
		c.Due = c.At
	case "delay":
		c.Due = c.At + duration().Microseconds()
	case "expires":
		c.Expires = duration()
	case "holdout":
		c.Holdout.Share = share(t, value)
	case "arm":
		c.Holdout.Arm = policy.Arm(value)
	case "global":
		c.Global.Share = share(t, value)
	case "globalarm":
		c.Global.Arm = policy.Arm(value)
	case "once":
		c.Once = true
	case "received":
		c.Received = true
	case "cap", "cap_all", "cap_channel":
		count, per, _ := strings.Cut(value, "/")
		value = per
		n, err := strconv.Atoi(count)
		if err != nil {
			t.Fatal(err)
		}
		c.Caps = append(c.Caps, policy.Limit{Reason: policy.Reason(key), Count: n, Per: duration()})
	case "sent": // by the cap before it
		l := &c.Caps[len(c.Caps)-1]
		for ago := range strings.SplitSeq(value, ",") {
			value = ago
			l.Sent = append(l.Sent, c.Now-duration().Microseconds())
		}
	case "quiet":
		from, to, _ := strings.Cut(value, "-")
		q, err := schedule.ParseQuiet(from, to)
		if err != nil {
			t.Fatal(err)
		}
		c.Quiet = q
	case "zone":
		c.Zones = nil
		for name := range strings.SplitSeq(value, ",") {
			zone, err := time.LoadLocation(name)
			if err != nil {
				t.Fatal(err)
			}
			c.Zones = append(c.Zones, zone)
		}
	case "inpage":
		c.InPage = true
	case "converted":
		c.Converted = c.Now - duration().Microseconds()
	case "weights":
		c.Weights = nil
		for w := range strings.SplitSeq(value, ",") {
			n, err := strconv.Atoi(w)
			if err != nil {
				t.Fatal(err)
			}
			c.Weights = append(c.Weights, n)
		}
	case "given":
		n, err := strconv.Atoi(value)
		if err != nil {
			t.Fatal(err)
		}
		c.Given = n
	case "salt":
		c.Salt = value
	default:
		t.Fatalf("unknown word %q", word)
	}
}

func share(t *testing.T, text string) float64 {
	t.Helper()
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestArmsMeet(t *testing.T) {
	f := func(a, b, want policy.Arm) {
		t.Helper()
		if got := a.Meet(b); got != want {
			t.Errorf("%q meets %q: %q, want %q", a, b, got, want)
		}
		if got := b.Meet(a); got != want {
			t.Errorf("%q meets %q: %q, want %q", b, a, got, want)
		}
	}
	f(policy.Exposed, policy.HeldBack, policy.Exposed)
	f(policy.Exposed, policy.Unassigned, policy.Exposed)
	f(policy.HeldBack, policy.Unassigned, policy.HeldBack)
	f(policy.HeldBack, policy.HeldBack, policy.HeldBack)
	f(policy.Unassigned, policy.Unassigned, policy.Unassigned)
}

func TestHoldoutShare(t *testing.T) {
	f := func(share float64) {
		t.Helper()
		const users = 20000
		held := 0
		for i := range users {
			if policy.HeldOut("s", "c", "user-"+strconv.Itoa(i), share) {
				held++
			}
		}
		if got := float64(held) / users; got < share-0.01 || got > share+0.01 {
			t.Errorf("share %v held back %v", share, got)
		}
	}
	f(0)
	f(0.1)
	f(0.5)
	f(1)
}

// A larger share holds back the same users and more; another campaign or
// installation holds back others.
func TestHoldoutIsNestedAndSalted(t *testing.T) {
	same, salted := 0, 0
	for i := range 2000 {
		u := "user-" + strconv.Itoa(i)
		small := policy.HeldOut("s", "c", u, 0.1)
		if small && !policy.HeldOut("s", "c", u, 0.2) {
			t.Fatalf("%s is in 10 %% but not in 20 %%", u)
		}
		if small && policy.HeldOut("s", "other", u, 0.1) {
			same++
		}
		if small && policy.HeldOut("t", "c", u, 0.1) {
			salted++
		}
	}
	if same > 60 || salted > 60 { // about 20 expected, of about 200
		t.Errorf("campaigns share %d, installations %d of those held back", same, salted)
	}
}

// The choice of a variant does not lean on the holdout: among those who are not
// held back, weights still hold.
func TestVariantShare(t *testing.T) {
	counts := [3]int{}
	n := 0
	for i := range 20000 {
		u := "user-" + strconv.Itoa(i)
		if policy.HeldOut("s", "c", u, 0.5) {
			continue
		}
		n++
		v := policy.Choose("s", "c", u, []int{1, 0, 3})
		counts[v]++
		if v != policy.Choose("s", "c", u, []int{1, 0, 3}) {
			t.Fatal("not sticky")
		}
	}
	if got := float64(counts[0]) / float64(n); counts[1] != 0 || got < 0.23 || got > 0.27 {
		t.Errorf("%v of %d", counts, n)
	}
}

func TestReasonsHaveSentences(t *testing.T) {
	seen := map[string]policy.Reason{}
	for _, w := range []policy.Wait{policy.Stopped, policy.Paused, policy.Delay, policy.QuietHours} {
		if w.Sentence() == policy.Wait("?").Sentence() {
			t.Errorf("%q has no sentence", w)
		}
	}
	for _, r := range append(policy.Reasons(), policy.None) {
		s := r.Sentence()
		if other, doubled := seen[s]; doubled || s == policy.Reason("?").Sentence() {
			t.Errorf("%q and %q say %q", r, other, s)
		}
		seen[s] = r
	}
}
