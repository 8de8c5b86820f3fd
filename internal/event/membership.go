package event

import (
	"errors"
	"fmt"
	"slices"
)

// Operations of a Membership.
const (
	MembershipAdd     = "add"
	MembershipRemove  = "remove"
	MembershipReplace = "replace" // nobody else is in the audience any more
)

// MaxMembershipUsers is how many users one record names: more take several,
// after a replace as adds.
const MaxMembershipUsers = 1000

// Membership is the properties of a control record NameMembership: who is in an
// audience that is no condition over the profile. Each partition has records of
// its own, with the users that are in it (eventlog.PartitionOf); a replace goes
// to every partition, with no users where there are none. It counts from its
// place in the log on.
type Membership struct {
	Audience string   `json:"audience"`
	Op       string   `json:"op"`
	Users    []string `json:"users,omitempty"`
}

// Validate says what is wrong.
func (m *Membership) Validate() error {
	switch m.Op {
	case MembershipAdd, MembershipRemove, MembershipReplace:
	default:
		return fmt.Errorf("op is %q: add, remove or replace", m.Op)
	}
	if m.Audience == "" {
		return errors.New("no audience is named")
	}
	if len(m.Users) > MaxMembershipUsers {
		return fmt.Errorf("%d users: at most %d", len(m.Users), MaxMembershipUsers)
	}
	if slices.Contains(m.Users, "") {
		return errors.New("a user has no id")
	}
	return nil
}
