package period

import (
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	f := func(in string, want time.Duration, text string) {
		t.Helper()
		p, err := Parse(in)
		if err != nil || p.Duration() != want || p.String() != text {
			t.Errorf("Parse(%q) = %v (%q), %v; want %v (%q)", in, p.Duration(), p, err, want, text)
		}
		if back, err := Parse(p.String()); err != nil || back != p {
			t.Errorf("Parse(%q) does not round-trip: %v, %v", p, back, err)
		}
	}
	f("250ms", 250*time.Millisecond, "250ms")
	f("90s", 90*time.Second, "1m30s")
	f("10m", 10*time.Minute, "10m")
	f("24h", 24*time.Hour, "24h")
	f("3d", 72*time.Hour, "3d")
	f("1d12h", 36*time.Hour, "36h")
	f("0.5d", 12*time.Hour, "12h")
	f("0s", 0, "0s")

	for _, bad := range []string{"", "10", "ten", "-5m", "-1d", "5 m", "d", "99999999d", "NaNd"} {
		if p, err := Parse(bad); err == nil {
			t.Errorf("Parse(%q) = %v, want an error", bad, p)
		}
	}
}
