package api

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"heed/internal/definition"
	"heed/internal/event"
)

// maxShown bounds properties and traits of a summary, in bytes.
const maxShown = 4 << 10

// Time is the API's form of µs since the Unix epoch; 0 is the zero time, which
// is left out.
func Time(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// Place is an event's place in the log, as the API writes it.
func Place(partition int, offset uint64) string {
	b := make([]byte, 0, 24)
	b = strconv.AppendInt(b, int64(partition), 10)
	b = append(b, '-')
	return string(strconv.AppendUint(b, offset, 10))
}

// SummaryOf copies what the pages show of an event; it does not alias it.
func SummaryOf(partition int, offset uint64, e *event.Event) EventSummary {
	s := EventSummary{
		Id:          Place(partition, offset),
		MessageId:   strings.Clone(e.MessageID),
		Type:        typeName(e.Type),
		Event:       strings.Clone(e.Name),
		User:        strings.Clone(e.User()),
		UserId:      strings.Clone(e.UserID),
		AnonymousId: strings.Clone(e.AnonymousID),
		Source:      strings.Clone(e.Source),
		Timestamp:   time.UnixMicro(e.Timestamp).UTC(),
		ReceivedAt:  time.UnixMicro(e.ReceivedAt).UTC(),
		Url:         strings.Clone(e.Context.Page.URL),
		Historical:  e.Context.Historical,
	}
	s.Properties = s.shown(e.Properties)
	s.Traits = s.shown(e.Traits)
	return s
}

// shown is a copy of a JSON object that an answer can hold.
func (s *EventSummary) shown(object []byte) JSONObject {
	switch {
	case len(object) == 0:
		return nil
	case len(object) > maxShown || !json.Valid(object):
		s.Truncated = true
		return nil
	}
	return append(JSONObject(nil), object...)
}

func typeName(t event.Type) EventSummaryType {
	switch t {
	case event.Track:
		return Track
	case event.Page:
		return Page
	case event.Screen:
		return Screen
	case event.Identify:
		return Identify
	case event.Group:
		return Group
	case event.Alias:
		return Alias
	default:
		return System
	}
}

// ProblemsOf lists what is wrong with definitions.
func ProblemsOf(ps definition.Problems) []Problem {
	out := make([]Problem, len(ps))
	for i, p := range ps {
		out[i] = Problem{
			File: p.File, Line: p.Line, Column: p.Column, Kind: string(p.Kind), Name: p.Name,
			Path: p.Path, Message: p.Message, Hint: p.Hint,
		}
	}
	return out
}

// IsDelivery tells whether events of that name are outcomes or what followed one.
func IsDelivery(name string) bool {
	return name == event.NameDelivery || follows(name) != ""
}

// follows is the status of what follows an outcome, "" if the event does not.
func follows(name string) DeliveryStatus {
	switch name {
	case event.NameShown:
		return StatusShown
	case event.NameClicked:
		return StatusClicked
	case event.NameDismissed:
		return StatusDismissed
	case event.NameDelivered:
		return StatusDelivered
	case event.NameBounced:
		return StatusBounced
	case event.NameComplained:
		return StatusComplained
	case event.NameOpened:
		return StatusOpened
	case event.NameUnsubscribed:
		return StatusUnsubscribed
	case event.NameResubscribed:
		return StatusResubscribed
	case event.NameConfirmed:
		return StatusConfirmed
	}
	return ""
}

// Follows tells whether the status is of something that followed an outcome, and
// so is none itself.
func (s DeliveryStatus) Follows() bool {
	switch s {
	case StatusShown, StatusClicked, StatusDismissed, StatusDelivered, StatusBounced, StatusComplained, StatusOpened, StatusUnsubscribed, StatusResubscribed, StatusConfirmed:
		return true
	case StatusSent, StatusFailed, StatusHeld, StatusRefused:
	}
	return false
}

// DeliveryOf reads the outcome that an event with IsDelivery carries; it does
// not alias it.
func DeliveryOf(partition int, offset uint64, e *event.Event) (Delivery, error) {
	var p struct {
		Status     string `json:"status"`
		Reason     string `json:"reason"`
		Campaign   string `json:"campaign"`
		Template   string `json:"template"`
		Locale     string `json:"locale"`
		Channel    string `json:"channel"`
		Delivery   string `json:"delivery"`
		Activation string `json:"activation"`
		Fire       string `json:"fire"`
		Trigger    string `json:"trigger"`
		Machine    bool   `json:"machine"`
		Detail     string `json:"detail"`
		Test       bool   `json:"test"`
		Settles    bool   `json:"settles"`
	}
	if len(e.Properties) > 0 {
		if err := json.Unmarshal(e.Properties, &p); err != nil {
			return Delivery{}, fmt.Errorf("read the outcome at %s: %w", Place(partition, offset), err)
		}
	}
	d := Delivery{
		Id: Place(partition, offset), At: time.UnixMicro(e.Timestamp).UTC(), User: strings.Clone(e.User()),
		Status: DeliveryStatus(p.Status), Reason: p.Reason, Campaign: p.Campaign, Template: p.Template, Locale: p.Locale, Channel: p.Channel,
		Delivery: p.Delivery, Activation: p.Activation, Fire: p.Fire, Trigger: p.Trigger, Test: p.Test,
		Machine: p.Machine, Detail: p.Detail, Settles: p.Settles,
	}
	if s := follows(e.Name); s != "" {
		d.Status = s
	}
	return d, nil
}
