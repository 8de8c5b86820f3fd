package event

import (
	"encoding/hex"
	"strconv"
)

// Names of the control records (System) by which the partitions of two ids of
// one person agree (docs/adr/0006-identity.md). AnonymousID is the id that is
// linked, UserID (but for NameLink) the user that it is linked to.
const (
	// NameLink stands in the partition of the id that an identify or alias
	// links; properties: to, trusted.
	NameLink = "heed.link"
	// NameHandOver brings to the user's partition what was known of the id.
	NameHandOver = "heed.handover"
	// NameForward brings an event of an id that has moved.
	NameForward = "heed.forward"
	// NameMerge says that a link holds from now on; properties: from, to, at
	// (RFC 3339). With from = to an id that was linked is its own again.
	NameMerge = "heed.merge"
)

// Forwarded is what the properties of a NameForward record hold: the event that
// it brings, in its bare Avro form, and where that stands.
type Forwarded struct {
	Event     []byte `json:"event,omitempty"`
	Partition int    `json:"partition,omitempty"`
	Offset    uint64 `json:"offset,omitempty"`
	Time      int64  `json:"time,omitempty"` // log time there, µs
}

// Plumbing tells of the name of a control record that it says nothing to anybody
// but the Decider: files for others leave it out.
func Plumbing(name string) bool {
	switch name {
	case NameTick, NameLink, NameHandOver, NameForward:
		return true
	}
	return false
}

// Links tells which other id an identify or alias claims to be of its user too:
// the anonymous id, or the previous one.
func (e *Event) Links() (from string, ok bool) {
	switch e.Type {
	case Identify:
		from = e.AnonymousID
	case Alias:
		from = e.PreviousID
	default:
		return "", false
	}
	return from, from != "" && e.UserID != "" && from != e.UserID
}

// LinkRecord is the control record for the partition of the id that e links,
// and its dedup key: one record for one event. trusted: the link may unite two
// known users.
func (e *Event) LinkRecord(from string, trusted bool) (record Event, key [16]byte) {
	id := KeyOf(e.Source, e.MessageID)
	record = Event{
		MessageID: "link-" + hex.EncodeToString(id[:]), Type: System, Name: NameLink, Source: SourceHeed,
		AnonymousID: from, Timestamp: e.Timestamp, ReceivedAt: e.ReceivedAt,
	}
	record.Properties = append(AppendQuoted([]byte(`{"to":`), e.UserID), `,"trusted":`...)
	record.Properties = append(strconv.AppendBool(record.Properties, trusted), '}')
	return record, KeyOf(SourceHeed, record.MessageID)
}

// Offsets of events that stand in another partition than that of their user
// name it in their upper bits.
const (
	elsewhereShift = 48
	elsewhereMask  = 1<<elsewhereShift - 1
)

// OffsetIn is the offset of an event as somebody names it who reads another
// partition. An offset that names its partition already stays as it is.
func OffsetIn(partition int, offset uint64) uint64 {
	if offset > elsewhereMask {
		return offset
	}
	return uint64(partition+1)<<elsewhereShift | offset
}

// PlaceOf is where an offset leads that was named in a partition: there, unless
// it says otherwise. offset is not NoOffset.
func PlaceOf(partition int, offset uint64) (int, uint64) {
	if named := offset >> elsewhereShift; named != 0 {
		partition = int(named) - 1
	}
	return partition, offset & elsewhereMask
}
