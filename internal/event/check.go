package event

import "strings"

// Refusals of events that could be read.
const (
	RefusedSize     Refusal = "is bigger than 32 KB"
	RefusedNoUser   Refusal = "userId or anonymousId is required"
	RefusedUser     Refusal = "userId is not an id of anybody"
	RefusedAnon     Refusal = "anonymousId is not an id of anybody"
	RefusedPrevious Refusal = "previousId is not an id of anybody"
	RefusedNoPrev   Refusal = "previousId is required"
	RefusedNoGroup  Refusal = "groupId is required"
	RefusedName     Refusal = "event is longer than 128 bytes"
	RefusedReserved Refusal = "names beginning with heed. are Heed's own"
	RefusedLongID   Refusal = "an id is longer than 128 bytes"
	RefusedControl  Refusal = "an id or name holds a control character"
)

// Check applies the rules for events from outside; "": it may be taken.
func (e *Event) Check() Refusal {
	switch {
	case e.Type == System:
		return RefusedType
	case e.Name == "":
		return RefusedNoName
	case len(e.Name) > MaxNameBytes:
		return RefusedName
	case strings.HasPrefix(e.Name, ReservedPrefix):
		return RefusedReserved
	case len(e.MessageID) > MaxIDBytes || len(e.UserID) > MaxIDBytes || len(e.AnonymousID) > MaxIDBytes ||
		len(e.GroupID) > MaxIDBytes || len(e.PreviousID) > MaxIDBytes || len(e.SessionID) > MaxIDBytes:
		return RefusedLongID
	case controls(e.Name) || controls(e.UserID) || controls(e.AnonymousID) || controls(e.PreviousID) || controls(e.GroupID):
		return RefusedControl
	case e.UserID != "" && Nobody(e.UserID):
		return RefusedUser
	case e.AnonymousID != "" && Nobody(e.AnonymousID):
		return RefusedAnon
	case e.PreviousID != "" && Nobody(e.PreviousID):
		return RefusedPrevious
	case e.UserID == "" && e.AnonymousID == "":
		return RefusedNoUser
	case e.Type == Group && e.GroupID == "":
		return RefusedNoGroup
	case e.Type == Alias && e.PreviousID == "":
		return RefusedNoPrev
	}
	return ""
}

// controls tells texts with line breaks and the like: they would forge lines in
// lists and logs, and are nobody's name.
func controls(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return true
		}
	}
	return false
}
