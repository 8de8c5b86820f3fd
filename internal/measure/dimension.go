package measure

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// Fields of the user that a dimension can be of, beside traits.* and consent.*.
// Those of user.* are what the user's latest event that says it said. Those of
// acquisition.* belong to the user's earliest event: its local day, week and
// month ("2026-05-04", the week's first day, "2026-05") and the touch that
// brought it (see touch.Of). Those of lastTouch.* belong to the latest event that
// something brought: who only ever came directly has the source "direct", and no
// day.
func Fields() []string {
	return []string{
		"user.country", "user.locale", "user.timezone", "user.device", "user.os", "user.browser",
		"acquisition.day", "acquisition.week", "acquisition.month",
		"acquisition.source", "acquisition.medium", "acquisition.campaign",
		"lastTouch.day", "lastTouch.week", "lastTouch.month",
		"lastTouch.source", "lastTouch.medium", "lastTouch.campaign",
	}
}

func userField(field string) error {
	if slices.Contains(Fields(), field) {
		return nil
	}
	if key, ok := strings.CutPrefix(field, "consent."); ok && key != "" {
		return nil
	}
	if strings.HasPrefix(field, "traits.") {
		return fieldPath(field)
	}
	return wrong("", "%q is no field of a user or an event: traits.*, consent.*, event.*, properties.*, context.*, %s",
		field, strings.Join(Fields(), ", "))
}

// OfEvent tells whether the dimension is of the event and not of the user. A
// reference is of the user until it is resolved.
func (d *Dimension) OfEvent() bool {
	head, _, _ := strings.Cut(d.Field, ".")
	return head == "event" || head == "properties" || head == "context"
}

// Bucket is the dimension's value for what it is of.
func (d *Dimension) Bucket(v *string) *string {
	if d.Buckets == nil || v == nil {
		return v
	}
	n, ok := ParseNumber(*v)
	for i := range d.Buckets {
		if b := &d.Buckets[i]; b.In != nil && slices.Contains(b.In, *v) || b.In == nil && ok && b.holds(n) {
			return &b.Name
		}
	}
	return nil
}

// BucketNumber is the value for a number; without buckets it is the number in
// its shortest form.
func (d *Dimension) BucketNumber(n float64) *string {
	text := Number(n)
	return d.Bucket(&text)
}

func (b *Bucket) holds(n float64) bool {
	return (b.From == nil || n >= *b.From) && (b.Below == nil || n < *b.Below)
}

// Number is the text of a number: its shortest decimal form without exponent.
func Number(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

// ParseNumber reads a decimal number, as JSON writes it.
func ParseNumber(s string) (float64, bool) {
	if s == "" || strings.Trim(s, "0123456789+-.eE") != "" || s[0] != '-' && (s[0] < '0' || s[0] > '9') {
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil
}

// MaxAmount is the greatest number that is summed, and -MaxAmount the least: as many
// of them as there can be events have a sum that is a number, too.
const MaxAmount = 1e288

// Amount is what a text adds to a sum: the number that ParseNumber reads, 0 if it reads
// none or one beyond MaxAmount.
func Amount(s string) float64 {
	if n, ok := ParseNumber(s); ok && math.Abs(n) <= MaxAmount {
		return n
	}
	return 0
}

// Holds tells whether a value is one that Is asks for.
func (is *Is) Holds(v *string) bool {
	return slices.ContainsFunc(is.Values, func(want *string) bool { return same(want, v) }) != is.Not
}

func same(a, b *string) bool { return a == b || a != nil && b != nil && *a == *b }

// Compare orders values: by their bytes, missing last.
func Compare(a, b *string) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	return strings.Compare(*a, *b)
}

// Engagement is how many of the last 28 days users were active on.
func Engagement() Dimension {
	return Dimension{
		Name: "engagement", Description: "Active days in the last 28",
		Days: &Behavior{During: Range{Last: "28d"}},
		Buckets: []Bucket{
			{Name: "low", From: new(1.0), Below: new(2.0)},
			{Name: "medium", From: new(2.0), Below: new(5.0)},
			{Name: "medium-high", From: new(5.0), Below: new(10.0)},
			{Name: "high", From: new(10.0)},
		},
	}
}

// BuiltIn are the dimensions that exist without a definition; one of the same
// name takes their place.
func BuiltIn() []Dimension {
	field := func(name, field, description string) Dimension {
		return Dimension{Name: name, Description: description, Field: field}
	}
	return []Dimension{
		Engagement(),
		field("acquisition-month", "acquisition.month", "Month of the first event"),
		field("acquisition-source", "acquisition.source", "What brought the first visit"),
		field("last-touch-source", "lastTouch.source", "What brought the latest visit that was not direct"),
		field("country", "user.country", "Country of the latest event"),
		field("device", "user.device", "Device of the latest event"),
	}
}
