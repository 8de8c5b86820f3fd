// Package consent owns what people said about being written to: the form in
// which a statement is kept, and whether a purpose may use a channel by what was
// said. It is pure.
//
// It does not own where statements are kept (profile), which addresses must
// never be written to (reach), or the decision (policy).
//
// A statement is a key of a user's consent with a value. The key is a type of
// channel ("email", "sms", "push", "web", ...): marketing by that channel; or
// Marketing: marketing by any; or GPC, the browser's signal. The value is true,
// false, or an object {granted, confirmed, source, wording, at}.
package consent

import (
	"encoding/json"
	"slices"
	"time"
)

// Purpose is what a message is for.
type Purpose string

// The purposes. Transactional messages (a receipt, a password) need no consent.
const (
	Marketing     Purpose = "marketing"
	Transactional Purpose = "transactional"
)

// Keys that are no type of channel.
const (
	KeyMarketing = string(Marketing)
	KeyGPC       = "gpc"
)

// State is what a person's word comes to.
type State uint8

// The states.
const (
	Unknown State = iota // nothing was said
	Granted
	Refused
	Pending // granted, and not confirmed yet by the owner of the address
)

// String names the state.
func (s State) String() string {
	switch s {
	case Granted:
		return "granted"
	case Refused:
		return "refused"
	case Pending:
		return "pending"
	case Unknown:
	}
	return "unknown"
}

// Statement is a value of a consent, read.
type Statement struct {
	State   State
	Source  string // where it was given: "checkout", "import: crm.csv"
	Wording string // what was agreed to
	At      int64  // µs since the Unix epoch; 0: as of the event that brought it
	// Confirmed: whoever brought it vouches that the owner of the address confirmed
	// it. Only what comes from servers may say so (profile).
	Confirmed bool
}

// object is the long form of a value.
type object struct {
	Granted   *bool  `json:"granted"`
	Confirmed bool   `json:"confirmed,omitempty"`
	Source    string `json:"source,omitempty"`
	Wording   string `json:"wording,omitempty"`
	At        string `json:"at,omitempty"` // RFC 3339
}

// Read reads a value in JSON. What is not understood says nothing.
func Read(value string) Statement {
	switch value {
	case "true":
		return Statement{State: Granted}
	case "false":
		return Statement{State: Refused}
	}
	var o object
	if len(value) == 0 || value[0] != '{' || json.Unmarshal([]byte(value), &o) != nil || o.Granted == nil {
		return Statement{}
	}
	s := Statement{State: Refused, Source: o.Source, Wording: o.Wording}
	if *o.Granted {
		s.State, s.Confirmed = Granted, o.Confirmed
	}
	if t, err := time.Parse(time.RFC3339Nano, o.At); err == nil {
		s.At = max(t.UnixMicro(), 1)
	}
	return s
}

// Value writes a statement as Read reads it; nothing is said with null.
func (s Statement) Value() string {
	if s.State == Unknown {
		return "null"
	}
	granted := s.State == Granted
	o := object{Granted: &granted, Confirmed: s.Confirmed, Source: s.Source, Wording: s.Wording}
	if s.At != 0 {
		o.At = time.UnixMicro(s.At).UTC().Format(time.RFC3339Nano)
	}
	b, err := json.Marshal(o)
	if err != nil { // texts and a flag always have a JSON form
		return "null"
	}
	return string(b)
}

// Required tells whether marketing by a type of channel needs that somebody
// agreed to it. By the others it needs only that nobody refused.
func Required(channel string) bool { return slices.Contains(byAddress(), channel) }

func byAddress() []string { return []string{"email", "sms", "push"} }

// Matters tells whether a key decides about messages: its refusal must never be
// lost.
func Matters(key string) bool {
	return key == KeyMarketing || key == KeyGPC || Required(key) || slices.Contains([]string{"web", "outbox", "webhook", "pull", "kafka"}, key)
}

// Answer is what was said about a purpose and a channel.
type Answer struct {
	State State
	Key   string // the statement that decides; "" if none was made or none is needed
}

// Allows tells whether the channel may be used.
func (a Answer) Allows() bool { return a.State == Granted }

// Ask answers whether a purpose may use a type of channel. said gives the value
// of a key and since when it holds (µs), "" if nothing was said.
//
// The word about the channel counts, unless marketing as a whole was refused at
// the same time or later: agreeing to marketing as a whole is no consent to
// letters, text messages or notifications. Where none is required, a browser's
// GPC refuses unless somebody agreed explicitly.
func Ask(p Purpose, channel string, said func(key string) (value string, at int64)) Answer {
	if p == Transactional {
		return Answer{State: Granted}
	}
	read := func(key string) (State, int64) {
		value, at := said(key)
		return Read(value).State, at
	}
	own, ownAt := read(channel)
	all, allAt := read(KeyMarketing)
	switch {
	case own == Refused:
		return Answer{Refused, channel}
	case all == Refused && (own != Granted || allAt >= ownAt):
		return Answer{Refused, KeyMarketing}
	case own == Granted:
		return Answer{Granted, channel}
	case Required(channel):
		return Answer{State: Unknown}
	case all == Granted:
		return Answer{Granted, KeyMarketing}
	}
	if value, _ := said(KeyGPC); Read(value).State == Granted {
		return Answer{Refused, KeyGPC}
	}
	return Answer{State: Granted}
}
