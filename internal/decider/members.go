package decider

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"heed/internal/event"
	"heed/internal/userstate"
	"heed/internal/varint"
)

// An audience that is no condition over the profile is whatever the membership
// records of the log say (event.NameMembership). What they say of a user is one
// of the user's values; what begins an audience anew is counted per partition,
// and memberships of an earlier count are void.

// membersVersion is the first byte of a value (docs/format/state.md).
const membersVersion = 1

var errMembers = errors.New("unreadable memberships")

// membership says that the user was put into an audience while it had begun
// anew so many times.
type membership struct {
	audience string
	epoch    uint64
}

// memberships are those of a user, or, as the value of no user, the epochs of
// the partition.
type memberships []membership

func (ms memberships) find(audience string) int {
	return slices.IndexFunc(ms, func(m membership) bool { return m.audience == audience })
}

func (ms memberships) epoch(audience string) uint64 {
	if i := ms.find(audience); i >= 0 {
		return ms[i].epoch
	}
	return 0
}

// set puts a membership in, or takes it out.
func (ms memberships) set(m membership, in bool) memberships {
	if i := ms.find(m.audience); i >= 0 {
		ms = slices.Delete(ms, i, i+1)
	}
	if in {
		ms = append(ms, m)
	}
	return ms
}

func (ms memberships) append(dst []byte) []byte {
	dst = binary.AppendUvarint(append(dst, membersVersion), uint64(len(ms)))
	for _, m := range ms {
		dst = append(binary.AppendUvarint(dst, uint64(len(m.audience))), m.audience...)
		dst = binary.AppendUvarint(dst, m.epoch)
	}
	return dst
}

func decodeMemberships(b []byte) (memberships, error) {
	if len(b) == 0 {
		return nil, nil
	}
	if b[0] != membersVersion {
		return nil, fmt.Errorf("%w: version %d", errMembers, b[0])
	}
	r := varint.NewReader(b[1:])
	ms := make(memberships, r.Count(2))
	for i := range ms {
		ms[i] = membership{r.String(), r.Uvarint()}
	}
	if r.Bad() || len(r.Rest()) > 0 {
		return nil, fmt.Errorf("%w: cut short", errMembers)
	}
	return ms, nil
}

// openMembers reads the epochs of the partition.
func (w *worker) openMembers(ctx context.Context) error {
	values, err := w.part.Load(ctx, userstate.Members, []string{""})
	if err != nil {
		return fmt.Errorf("load the epochs of audiences: %w", err)
	}
	w.epochs, err = decodeMemberships(values[0])
	return err
}

// member tells what the records say of a user.
func (w *worker) member(u *user, audience string) bool {
	i := u.members.find(audience)
	return i >= 0 && u.members[i].epoch == w.epochs.epoch(audience)
}

// needMembers asks for what the records say of a user.
func (b *batch) needMembers(u *user) {
	if !u.hasMembers {
		u.hasMembers = true
		b.newMembers = append(b.newMembers, u)
	}
}

// admitMembership takes a membership record, which its batch ends with.
func (b *batch) admitMembership(e *event.Event) bool {
	m := new(event.Membership)
	if err := json.Unmarshal(e.Properties, m); err != nil || m.Validate() != nil {
		b.w.logger.Error("a membership record is unreadable: it is skipped")
		b.counted.poisoned++
		return false
	}
	b.membership = m
	for _, id := range m.Users {
		b.needMembers(b.user(id))
	}
	return true
}

// readMembers loads what the records said of users so far.
func (b *batch) readMembers(ctx context.Context) error {
	values, err := b.values(ctx, userstate.Members, b.newMembers)
	if err != nil {
		return err
	}
	for i, u := range b.newMembers {
		if u.members, err = decodeMemberships(values[i]); err != nil {
			b.w.logger.Error("the memberships of a user are unreadable: they are dropped", "error", err)
			b.counted.corrupt++
		}
	}
	return nil
}

// encodeMembers obeys the membership record at the end of the batch.
func (b *batch) encodeMembers() {
	m, w := b.membership, b.w
	if m == nil {
		return
	}
	write := func(user string, ms memberships) {
		n := len(b.encoded)
		b.encoded = ms.append(b.encoded)
		b.rows = append(b.rows, userstate.Row{Kind: userstate.Members, User: user, Value: b.encoded[n:]})
	}
	epoch := w.epochs.epoch(m.Audience)
	if m.Op == event.MembershipReplace {
		epoch++
		w.epochs = w.epochs.set(membership{m.Audience, epoch}, true)
		write("", w.epochs)
	}
	in := m.Op != event.MembershipRemove
	users := slices.Clone(m.Users)
	slices.Sort(users)
	for _, id := range slices.Compact(users) {
		u := b.user(id)
		u.members = u.members.set(membership{m.Audience, epoch}, in)
		write(id, u.members)
		if in {
			w.targets.join(m.Audience, id)
		}
	}
}
