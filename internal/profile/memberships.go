package profile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"heed/internal/varint"
)

// An audience that is no condition over the profile is whatever the membership
// records of the log say (event.NameMembership). What they say of a user is one
// of the user's values; what begins an audience anew is counted per partition,
// and memberships of an earlier count are void.

// membershipsVersion is the first byte of a value (docs/format/state.md).
const membershipsVersion = 1

var errMemberships = errors.New("unreadable memberships")

// Membership says that the user was put into an audience while it had begun
// anew so many times.
type Membership struct {
	Audience string
	Epoch    uint64
}

// Memberships are those of a user, or, as the value of no user, the epochs of a
// partition.
type Memberships []Membership

func (ms Memberships) find(audience string) int {
	return slices.IndexFunc(ms, func(m Membership) bool { return m.Audience == audience })
}

// Epoch is how often an audience has begun anew.
func (ms Memberships) Epoch(audience string) uint64 {
	if i := ms.find(audience); i >= 0 {
		return ms[i].Epoch
	}
	return 0
}

// In tells whether the user is in an audience, by the epochs of the user's
// partition.
func (ms Memberships) In(audience string, epochs Memberships) bool {
	i := ms.find(audience)
	return i >= 0 && ms[i].Epoch == epochs.Epoch(audience)
}

// Set puts a membership in, or takes it out.
func (ms Memberships) Set(m Membership, in bool) Memberships {
	if i := ms.find(m.Audience); i >= 0 {
		ms = slices.Delete(ms, i, i+1)
	}
	if in {
		ms = append(ms, m)
	}
	return ms
}

// Append writes the binary form.
func (ms Memberships) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(append(dst, membershipsVersion), uint64(len(ms)))
	for _, m := range ms {
		dst = append(binary.AppendUvarint(dst, uint64(len(m.Audience))), m.Audience...)
		dst = binary.AppendUvarint(dst, m.Epoch)
	}
	return dst
}

// DecodeMemberships reads what Append wrote; nothing is none.
func DecodeMemberships(b []byte) (Memberships, error) {
	if len(b) == 0 {
		return nil, nil
	}
	if b[0] != membershipsVersion {
		return nil, fmt.Errorf("%w: version %d", errMemberships, b[0])
	}
	r := varint.NewReader(b[1:])
	ms := make(Memberships, r.Count(2))
	for i := range ms {
		ms[i] = Membership{r.String(), r.Uvarint()}
	}
	if r.Bad() || len(r.Rest()) > 0 {
		return nil, fmt.Errorf("%w: cut short", errMemberships)
	}
	return ms, nil
}

// RecordedAudiences are those that the membership records have put a user into;
// get reads the value of a user of the same partition, or of none.
func RecordedAudiences(user string, get func(user string) ([]byte, error)) (names []string, err error) {
	var ms, epochs Memberships
	for _, of := range []struct {
		user string
		into *Memberships
	}{{user, &ms}, {"", &epochs}} {
		value, err := get(of.user)
		if err != nil {
			return nil, fmt.Errorf("memberships of %q: %w", of.user, err)
		}
		if *of.into, err = DecodeMemberships(value); err != nil {
			return nil, fmt.Errorf("memberships of %q: %w", of.user, err)
		}
		if len(ms) == 0 {
			return nil, nil
		}
	}
	for _, m := range ms {
		if ms.In(m.Audience, epochs) {
			names = append(names, m.Audience)
		}
	}
	return names, nil
}
