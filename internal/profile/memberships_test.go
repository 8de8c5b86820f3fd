package profile

import (
	"slices"
	"testing"
)

func TestMembershipsAreReadBack(t *testing.T) {
	ms := Memberships{{"a", 0}, {"b", 1 << 40}}
	b := ms.Append(nil)
	if got, err := DecodeMemberships(b); err != nil || !slices.Equal(got, ms) {
		t.Errorf("%v, %v", got, err)
	}
	for n := 1; n < len(b); n++ {
		if _, err := DecodeMemberships(b[:n]); err == nil {
			t.Errorf("%d of %d bytes are taken for memberships", n, len(b))
		}
	}
}

func TestMembershipsOfAnEarlierEpochAreVoid(t *testing.T) {
	ms := Memberships{}.Set(Membership{"vip", 1}, true).Set(Membership{"gone", 0}, true).Set(Membership{"gone", 0}, false)
	for _, c := range []struct {
		audience string
		epochs   Memberships
		want     bool
	}{
		{"vip", Memberships{{"vip", 1}}, true},
		{"vip", Memberships{{"vip", 2}}, false},
		{"vip", nil, false},
		{"gone", nil, false},
	} {
		if got := ms.In(c.audience, c.epochs); got != c.want {
			t.Errorf("in %s with epochs %v: %t", c.audience, c.epochs, got)
		}
	}
}
