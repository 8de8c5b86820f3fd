package measure_test

import (
	"testing"

	"heed/internal/measure"
)

func TestInert(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := measure.Inert(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
	for _, text := range []string{"", "ada", "a=1", "ünï", "+49 170 1234567", "-12.5", "-", "'=1"} {
		f(text, text)
	}
	for _, text := range []string{`=HYPERLINK("http://x")`, "=1+1", "@SUM(1)", "+1+cmd|' /C calc'!A0", "-2-3", "\t=1", "\r=1"} {
		f(text, "'"+text)
	}
	q := &measure.Query{Breakdown: &measure.Breakdown{By: []measure.Dimension{{Field: "=by"}}}}
	name := "=cmd"
	table := measure.Table(q, &measure.Result{Breakdown: &measure.BreakdownResult{Rows: []measure.Row{{Values: []*string{&name}, Count: -3}}}})
	if got := table[1]; got[0] != "'=cmd" || got[1] != "-3" {
		t.Errorf("a row is %q", got)
	}
}

// A sum is a number however great what is summed: JSON has no other.
func TestAmount(t *testing.T) {
	f := func(text string, want float64) {
		t.Helper()
		if got := measure.Amount(text); got != want {
			t.Errorf("%q adds %g, want %g", text, got, want)
		}
	}
	f("9.5", 9.5)
	f("-3", -3)
	f("1e288", 1e288)
	f("1e289", 0)
	f("-1.7e308", 0)
	f("1e400", 0)
	f("NaN", 0)
	f("abc", 0)
	f("", 0)
}
