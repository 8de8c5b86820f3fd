package mongo

import (
	"strings"
	"testing"
)

func FuzzKeys(f *testing.F) {
	f.Add("a", "a\xff")
	f.Add("!", "~")
	f.Add("\x00", "")
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := ascii(a), ascii(b)
		if strings.Compare(a, b) != strings.Compare(x, y) || strings.HasPrefix(a, b) != strings.HasPrefix(x, y) {
			t.Fatalf("%q and %q became %q and %q", a, b, x, y)
		}
		if back, ok := bytesOf(x); !ok || back != a {
			t.Fatalf("%q became %q became %q", a, x, back)
		}
		for i := range len(x) {
			if x[i] < '!' || x[i] > '~' {
				t.Fatalf("%q became %q", a, x)
			}
		}
		if back, ok := bytesOf(a); ok && ascii(back) != a {
			t.Fatalf("%q was read as %q", a, back)
		}
	})
}
