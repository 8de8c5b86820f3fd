package decider

import (
	"context"
	"encoding/json"
	"fmt"

	"heed/internal/event"
	"heed/internal/profile"
	"heed/internal/userstate"
)

// openMembers reads the epochs of the partition.
func (w *worker) openMembers(ctx context.Context) error {
	values, err := w.part.Load(ctx, userstate.Members, []string{""})
	if err != nil {
		return fmt.Errorf("load the epochs of audiences: %w", err)
	}
	w.epochs, err = profile.DecodeMemberships(values[0])
	return err
}

// member tells what the records say of a user.
func (w *worker) member(u *user, audience string) bool { return u.members.In(audience, w.epochs) }

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
		if u.members, err = profile.DecodeMemberships(values[i]); err != nil {
			b.w.logger.Error("the memberships of a user are unreadable: they are dropped", "error", err)
			b.counted.corrupt++
		}
	}
	return nil
}

// setMember puts a user, whose memberships are loaded, into an audience or out
// of it.
func (b *batch) setMember(u *user, audience string, in bool) {
	u.members = u.members.Set(profile.Membership{Audience: audience, Epoch: b.w.epochs.Epoch(audience)}, in)
	if in {
		b.w.targets.join(audience, u.id)
	}
	if !u.rejoined {
		u.rejoined = true
		b.rejoined = append(b.rejoined, u)
	}
}

// yieldMembers takes a user out of all audiences that the records put the user
// into, and names them.
func (b *batch) yieldMembers(u *user) (audiences []string) {
	for _, m := range u.members {
		if b.w.member(u, m.Audience) {
			audiences = append(audiences, m.Audience)
		}
	}
	for _, name := range audiences {
		b.setMember(u, name, false)
	}
	return audiences
}

// encodeMembers obeys the membership record at the end of the batch, and writes
// whose memberships have changed.
func (b *batch) encodeMembers() {
	w := b.w
	write := func(user string, ms profile.Memberships) {
		row := userstate.Row{Kind: userstate.Members, User: user}
		if len(ms) > 0 {
			n := len(b.encoded)
			b.encoded = ms.Append(b.encoded)
			row.Value = b.encoded[n:]
		}
		b.rows = append(b.rows, row)
	}
	if m := b.membership; m != nil {
		if m.Op == event.MembershipReplace {
			epoch := w.epochs.Epoch(m.Audience) + 1
			w.epochs = w.epochs.Set(profile.Membership{Audience: m.Audience, Epoch: epoch}, true)
			write("", w.epochs)
		}
		for _, id := range m.Users {
			b.setMember(b.user(id), m.Audience, m.Op != event.MembershipRemove)
		}
	}
	for _, u := range b.rejoined {
		u.rejoined = false
		write(u.id, u.members)
	}
}
