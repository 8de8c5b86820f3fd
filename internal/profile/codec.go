package profile

import (
	"encoding/binary"
	"errors"
	"fmt"

	"heed/internal/event"
	"heed/internal/touch"
)

// version is the first byte of an encoded profile.
const version = 1

// ErrFormat: the bytes are not a profile, or of a later version.
var ErrFormat = errors.New("profile: unreadable bytes")

// Fields of an encoded profile; each is uvarint(tag), uvarint(length), bytes.
// Numbers are never reused; unknown ones are skipped.
const (
	tagUserID      = 1
	tagAnonymousID = 2 // repeated
	tagSeen        = 3 // varint first, varint last - first
	tagCampaign    = 4 // source, medium, name, term, content
	tagReferrer    = 5
	tagMonth       = 6
	tagCountry     = 7
	tagLocale      = 8
	tagTimezone    = 9
	tagDevice      = 10
	tagOS          = 11
	tagBrowser     = 12
	tagTraits      = 13 // repeated (key, value, varint at - first)
	tagConsent     = 14 // the same
	tagEmail       = 15 // value, byte verified, varint at - first
	tagPhone       = 16
	tagMoved       = 17 // text user, byte trusted, varint at - first
	tagWaiting     = 18 // no bytes
	tagLastTouch   = 19 // source, medium, campaign, varint at - first
)

// Append writes the profile's bytes.
func (p *Profile) Append(dst []byte) []byte {
	dst = append(dst, version)
	// tagSeen comes first: other times are relative to it.
	var scratch [2 * binary.MaxVarintLen64]byte
	seen := binary.AppendVarint(scratch[:0], p.FirstSeen)
	seen = binary.AppendVarint(seen, p.LastSeen-p.FirstSeen)
	dst = append(appendHead(dst, tagSeen, len(seen)), seen...)

	dst = appendText(dst, tagUserID, p.UserID)
	for _, id := range p.AnonymousIDs {
		dst = appendText(dst, tagAnonymousID, id)
	}
	if c := &p.Acquisition.Campaign; *c != (event.CampaignContext{}) {
		parts := [...]string{c.Source, c.Medium, c.Name, c.Term, c.Content}
		n := 0
		for _, s := range parts {
			n += uvarintLen(uint64(len(s))) + len(s)
		}
		dst = appendHead(dst, tagCampaign, n)
		for _, s := range parts {
			dst = appendString(dst, s)
		}
	}
	dst = appendText(dst, tagReferrer, p.Acquisition.Referrer)
	dst = appendText(dst, tagMonth, p.Acquisition.Month)
	if l := &p.LastTouch; l.At != 0 {
		dst = p.appendTouch(dst, l)
	}
	dst = appendText(dst, tagCountry, p.Country)
	dst = appendText(dst, tagLocale, p.Locale)
	dst = appendText(dst, tagTimezone, p.Timezone)
	dst = appendText(dst, tagDevice, p.Device)
	dst = appendText(dst, tagOS, p.OS)
	dst = appendText(dst, tagBrowser, p.Browser)
	dst = p.appendEntries(dst, tagTraits, p.Traits)
	dst = p.appendEntries(dst, tagConsent, p.Consent)
	dst = p.appendAddress(dst, tagEmail, p.Email)
	dst = p.appendAddress(dst, tagPhone, p.Phone)
	if m := &p.Moved; m.To != "" {
		dst = p.appendFlagged(dst, tagMoved, m.To, m.Trusted, m.At)
	}
	if p.Waiting {
		dst = appendHead(dst, tagWaiting, 0)
	}
	return dst
}

func (p *Profile) appendEntries(dst []byte, tag uint64, entries []Entry) []byte {
	for _, e := range entries {
		at := e.At - p.FirstSeen
		n := uvarintLen(uint64(len(e.Key))) + len(e.Key) + uvarintLen(uint64(len(e.Value))) + len(e.Value) + varintLen(at)
		dst = appendHead(dst, tag, n)
		dst = appendString(dst, e.Key)
		dst = appendString(dst, e.Value)
		dst = binary.AppendVarint(dst, at)
	}
	return dst
}

func (p *Profile) appendAddress(dst []byte, tag uint64, a Address) []byte {
	if a == (Address{}) {
		return dst
	}
	return p.appendFlagged(dst, tag, a.Value, a.Verified, a.At)
}

func (p *Profile) appendFlagged(dst []byte, tag uint64, text string, flag bool, at int64) []byte {
	at -= p.FirstSeen
	dst = appendHead(dst, tag, uvarintLen(uint64(len(text)))+len(text)+1+varintLen(at))
	dst = appendString(dst, text)
	set := byte(0)
	if flag {
		set = 1
	}
	return binary.AppendVarint(append(dst, set), at)
}

func (p *Profile) appendTouch(dst []byte, l *Touch) []byte {
	at := l.At - p.FirstSeen
	n := varintLen(at)
	parts := [...]string{l.Source, l.Medium, l.Campaign}
	for _, s := range parts {
		n += uvarintLen(uint64(len(s))) + len(s)
	}
	dst = appendHead(dst, tagLastTouch, n)
	for _, s := range parts {
		dst = appendString(dst, s)
	}
	return binary.AppendVarint(dst, at)
}

func appendHead(dst []byte, tag uint64, n int) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(dst, tag), uint64(n))
}

func appendText(dst []byte, tag uint64, s string) []byte {
	if s == "" {
		return dst
	}
	return append(appendHead(dst, tag, len(s)), s...)
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func uvarintLen(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

func varintLen(v int64) int { return uvarintLen(uint64(v)<<1 ^ uint64(v>>63)) }

// Decode reads what Append wrote. No bytes at all are the zero Profile.
func Decode(data []byte) (*Profile, error) {
	p := new(Profile)
	if len(data) == 0 {
		return p, nil
	}
	if data[0] != version {
		return nil, fmt.Errorf("%w: version %d", ErrFormat, data[0])
	}
	r := cursor{s: string(data[1:])} // one allocation: every text is a part of it
	for r.s != "" && !r.bad {
		tag := r.uvarint()
		p.field(tag, cursor{s: r.text()}, &r.bad)
	}
	if r.bad {
		return nil, fmt.Errorf("%w: cut short", ErrFormat)
	}
	return p, nil
}

func (p *Profile) field(tag uint64, f cursor, bad *bool) {
	switch tag {
	case tagSeen:
		p.FirstSeen = f.varint()
		p.LastSeen = p.FirstSeen + f.varint()
	case tagUserID:
		p.UserID = f.s
	case tagAnonymousID:
		if f.s != "" {
			p.AnonymousIDs = append(p.AnonymousIDs, f.s)
		}
	case tagCampaign:
		c := &p.Acquisition.Campaign
		for _, s := range [...]*string{&c.Source, &c.Medium, &c.Name, &c.Term, &c.Content} {
			*s = f.text()
		}
	case tagReferrer:
		p.Acquisition.Referrer = f.s
	case tagMonth:
		p.Acquisition.Month = f.s
	case tagLastTouch:
		p.LastTouch = Touch{Touch: touch.Touch{Source: f.text(), Medium: f.text(), Campaign: f.text()}, At: p.FirstSeen + f.varint()}
	case tagCountry:
		p.Country = f.s
	case tagLocale:
		p.Locale = f.s
	case tagTimezone:
		p.Timezone = f.s
	case tagDevice:
		p.Device = f.s
	case tagOS:
		p.OS = f.s
	case tagBrowser:
		p.Browser = f.s
	case tagTraits:
		p.Traits = append(p.Traits, p.entry(&f))
	case tagConsent:
		p.Consent = append(p.Consent, p.entry(&f))
	case tagEmail:
		p.Email = p.address(&f)
	case tagPhone:
		p.Phone = p.address(&f)
	case tagMoved:
		p.Moved = Move{To: f.text(), Trusted: f.byte() == 1, At: p.FirstSeen + f.varint()}
	case tagWaiting:
		p.Waiting = true
	}
	*bad = *bad || f.bad
}

func (p *Profile) entry(f *cursor) Entry {
	return Entry{Key: f.text(), Value: f.text(), At: p.FirstSeen + f.varint()}
}

func (p *Profile) address(f *cursor) Address {
	return Address{Value: f.text(), Verified: f.byte() == 1, At: p.FirstSeen + f.varint()}
}

// cursor reads varints and texts from a string; bad sticks.
type cursor struct {
	s   string
	bad bool
}

func (c *cursor) uvarint() uint64 {
	var v uint64
	for i := 0; i < len(c.s) && i < binary.MaxVarintLen64; i++ {
		b := c.s[i]
		v |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			c.s = c.s[i+1:]
			return v
		}
	}
	c.bad, c.s = true, ""
	return 0
}

func (c *cursor) varint() int64 {
	u := c.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (c *cursor) text() string {
	n := c.uvarint()
	if n > uint64(len(c.s)) {
		c.bad, c.s = true, ""
		return ""
	}
	s := c.s[:n]
	c.s = c.s[n:]
	return s
}

func (c *cursor) byte() byte {
	if c.s == "" {
		c.bad = true
		return 0
	}
	b := c.s[0]
	c.s = c.s[1:]
	return b
}
