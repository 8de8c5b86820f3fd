package audiences

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"heed/internal/event"
	"heed/internal/eventlog"
)

// recordBytes bounds the ids in a membership record, beside their number.
const recordBytes = 24 << 10

// batches makes what an entry tells the log: in each partition the membership
// records of its users, and behind them an event for each who entered or left.
// The ids of all that follow from the entry alone, so that telling it again
// repeats nothing.
func batches(name string, born int64, e *entry, partitions int, ids func(user string) (userID, anonymousID string, err error)) ([]*eventlog.Batch, error) {
	out := make([]*eventlog.Batch, partitions)
	put := func(p int, ev *event.Event) {
		b := out[p]
		if b == nil {
			b = &eventlog.Batch{Partition: p, Own: true}
			out[p] = b
		}
		ev.MessageID = "audience-" + name + "-" + strconv.FormatInt(born, 36) + "-" + strconv.FormatUint(e.seq, 36) +
			"-" + strconv.Itoa(p) + "-" + strconv.Itoa(len(b.Ends))
		ev.Source, ev.Timestamp, ev.ReceivedAt = event.SourceHeed, e.at, e.at
		b.Data = event.AppendEvent(b.Data, ev)
		b.Ends = append(b.Ends, len(b.Data))
		b.Keys = append(b.Keys, event.KeyOf(ev.Source, ev.MessageID))
	}
	record := func(p int, op string, users []string) error {
		properties, err := json.Marshal(event.Membership{Audience: name, Op: op, Users: users})
		if err != nil {
			return fmt.Errorf("write membership record: %w", err)
		}
		put(p, &event.Event{Type: event.System, Name: event.NameMembership, Properties: properties})
		return nil
	}
	for _, op := range []struct {
		name  string
		lists [2][]string
	}{
		{event.MembershipRemove, [2][]string{e.left, e.removed}},
		{event.MembershipAdd, [2][]string{e.entered, e.added}},
	} {
		users := make([][]string, partitions)
		for _, list := range op.lists {
			for _, id := range list {
				p := eventlog.PartitionOf(id, partitions)
				users[p] = append(users[p], id)
			}
		}
		for p, list := range users {
			how := op.name
			if e.replace && op.name == event.MembershipAdd {
				how = event.MembershipReplace // of nobody, where nobody is added
			}
			for len(list) > 0 || how == event.MembershipReplace {
				n, size := 0, 0
				for n < len(list) && n < event.MaxMembershipUsers && size < recordBytes {
					size += len(list[n])
					n++
				}
				if err := record(p, how, list[:n]); err != nil {
					return nil, err
				}
				list, how = list[n:], op.name
			}
		}
	}
	properties, err := json.Marshal(struct {
		Audience string `json:"audience"`
	}{name})
	if err != nil {
		return nil, fmt.Errorf("write event: %w", err)
	}
	for _, of := range []struct {
		name  string
		users []string
	}{{event.NameAudienceEntered, e.entered}, {event.NameAudienceLeft, e.left}} {
		for _, id := range of.users {
			userID, anonymousID, err := ids(id)
			if err != nil {
				return nil, err
			}
			put(eventlog.PartitionOf(id, partitions), &event.Event{
				Type: event.Track, Name: of.name, UserID: userID, AnonymousID: anonymousID, Depth: 1, Properties: properties,
			})
		}
	}
	made := out[:0]
	for _, b := range out {
		if b != nil {
			made = append(made, b)
		}
	}
	return made, nil
}

// ids tells which kind of id a profile id is.
func (k *Keeper) ids(ctx context.Context, user string) (userID, anonymousID string, err error) {
	p, err := k.deps.Profiles.Profile(ctx, user)
	if err != nil {
		return "", "", fmt.Errorf("read profile: %w", err)
	}
	if p != nil && p.UserID == user {
		return user, "", nil
	}
	return "", user, nil
}
