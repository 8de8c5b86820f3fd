package consent_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"heed/internal/consent"
)

// The script: purpose, channel, then what was said as key=value@seconds.
func TestAsk(t *testing.T) {
	datadriven.RunTest(t, "testdata/ask", func(t *testing.T, d *datadriven.TestData) string {
		var out strings.Builder
		for line := range strings.Lines(d.Input) {
			words := strings.Fields(line)
			type word struct {
				value string
				at    int64
			}
			said := map[string]word{}
			for _, w := range words[2:] {
				key, rest, _ := strings.Cut(w, "=")
				value, at, ok := strings.Cut(rest, "@")
				sec := int64(1)
				if ok {
					if _, err := fmt.Sscan(at, &sec); err != nil {
						t.Fatal(err)
					}
				}
				said[key] = word{value, sec * 1e6}
			}
			a := consent.Ask(consent.Purpose(words[0]), words[1], func(key string) (string, int64) { return said[key].value, said[key].at })
			fmt.Fprintf(&out, "%s %s\n", a.State, a.Key)
		}
		return out.String()
	})
}

func TestRead(t *testing.T) {
	f := func(value string, want consent.Statement) {
		t.Helper()
		if got := consent.Read(value); got != want {
			t.Errorf("%s reads %+v, want %+v", value, got, want)
		}
		if again := consent.Read(want.Value()); again != want {
			t.Errorf("%+v is written %s and reads %+v", want, want.Value(), again)
		}
	}
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC).UnixMicro()
	f(`true`, consent.Statement{State: consent.Granted})
	f(`false`, consent.Statement{State: consent.Refused})
	f(`{"granted":true,"source":"checkout","wording":"Yes, write to me","at":"2026-05-01T14:00:00+02:00"}`,
		consent.Statement{State: consent.Granted, Source: "checkout", Wording: "Yes, write to me", At: at})
	f(`{"granted":false,"at":"yesterday"}`, consent.Statement{State: consent.Refused})
	for _, nothing := range []string{``, `null`, `1`, `"true"`, `"granted"`, `{}`, `{"granted":null}`, `{"granted":"yes"}`, `[true]`, `{`} {
		f(nothing, consent.Statement{})
	}
}

func FuzzRead(f *testing.F) {
	f.Add(`true`)
	f.Add(`{"granted":false,"source":"x","wording":"y","at":"2026-05-01T14:00:00+02:00"}`)
	f.Fuzz(func(t *testing.T, value string) {
		s := consent.Read(value)
		if again := consent.Read(s.Value()); again.State != s.State || again.At != s.At {
			t.Fatalf("%q reads %+v, and that reads %+v", value, s, again)
		}
	})
}
