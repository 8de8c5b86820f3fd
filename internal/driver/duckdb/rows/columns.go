// Package rows owns the rows of facts: the columns that they are stored in, the
// blocks of memory that hold them until they are written, and which properties
// have a column of their own. docs/format/facts.md describes the columns.
//
// It does not own files, queries or users (duckdb), nor DuckDB itself: a block has
// the layout of its vectors, no more.
package rows

import (
	"github.com/cespare/xxhash/v2"

	"heed/internal/event"
	"heed/internal/journey"
)

// The stored columns, in the order of every file and of the hot rows. They are
// described in docs/format/facts.md; appending one is compatible (older files
// read as null), anything else is a new format.
const (
	colPart = iota
	colPos
	colTime
	colLag
	colUser
	colAnonymous
	colSession
	colKnown
	colBot
	colHistorical
	colInternal
	colMessage
	colType
	colEvent
	colSource
	colURL
	colPath
	colReferrer
	colTitle
	colCampaignSource
	colCampaignMedium
	colCampaignName
	colCampaignTerm
	colCampaignContent
	colDevice
	colOS
	colBrowser
	colScreen
	colLocale
	colTimezone
	colCountry
	colGroup
	colProperties
	colTraits
	colConsent
	colExtra
	columnCount
)

// Type is the type of a column in DuckDB.
type Type string

// The types.
const (
	Double    Type = "DOUBLE"
	USmallInt Type = "USMALLINT"
	UInteger  Type = "UINTEGER"
	BigInt    Type = "BIGINT"
	UBigInt   Type = "UBIGINT"
	Timestamp Type = "TIMESTAMP"
	Boolean   Type = "BOOLEAN"
	Varchar   Type = "VARCHAR"
)

// Width is the bytes of one value in a DuckDB vector.
func (t Type) Width() int {
	switch t {
	case USmallInt:
		return 2
	case UInteger:
		return 4
	case BigInt, UBigInt, Timestamp, Double:
		return 8
	case Boolean:
		return 1
	default:
		return 16 // a string: length, then the text or its beginning and a pointer
	}
}

// Column says how one column is called and stored. The names in files are not
// those of the public views.
type Column struct {
	Name     string
	Type     Type
	Nullable bool
}

// fixed is the columns that every row has; index it with the constants above.
func fixed() [columnCount]Column {
	text := func(name string) Column { return Column{name, Varchar, true} }
	return [columnCount]Column{
		colPart:            {"part", USmallInt, false},
		colPos:             {"pos", BigInt, false},
		colTime:            {"time", Timestamp, false},
		colLag:             {"lag", BigInt, false},
		colUser:            {"usr", UInteger, false},
		colAnonymous:       {"anonymous", UInteger, true},
		colSession:         {"session", UBigInt, true},
		colKnown:           {"known", Boolean, false},
		colBot:             {"bot", Boolean, false},
		colHistorical:      {"historical", Boolean, false},
		colInternal:        {"internal", Boolean, false},
		colMessage:         {"message", Varchar, false},
		colType:            {"type", Varchar, false},
		colEvent:           {"event", Varchar, false},
		colSource:          {"source", Varchar, false},
		colURL:             text("url"),
		colPath:            text("path"),
		colReferrer:        text("referrer"),
		colTitle:           text("title"),
		colCampaignSource:  text("campaign_source"),
		colCampaignMedium:  text("campaign_medium"),
		colCampaignName:    text("campaign_name"),
		colCampaignTerm:    text("campaign_term"),
		colCampaignContent: text("campaign_content"),
		colDevice:          text("device"),
		colOS:              text("os"),
		colBrowser:         text("browser"),
		colScreen:          text("screen"),
		colLocale:          text("locale"),
		colTimezone:        text("timezone"),
		colCountry:         text("country"),
		colGroup:           text("group_id"),
		colProperties:      text("properties"),
		colTraits:          text("traits"),
		colConsent:         text("consent"),
		colExtra:           text("extra"),
	}
}

// Names lists the columns that every row has, in order.
func Names() []string {
	names := make([]string, columnCount)
	for i, c := range fixed() {
		names[i] = c.Name
	}
	return names
}

// None is no number of a user.
const None = ^uint32(0)

// Put writes the event as the next row of the block. user and anonymous are the
// numbers of its profile id and, if that is another, of its anonymous id.
func (b *Block) Put(e *event.Event, part int, pos uint64, user, anonymous uint32) {
	row := b.Rows
	b.u16(colPart, row, uint16(part))
	b.u64(colPos, row, pos)
	b.u64(colTime, row, uint64(e.Timestamp))
	b.u64(colLag, row, uint64(e.ReceivedAt-e.Timestamp))
	b.u32(colUser, row, user)
	if anonymous != None {
		b.u32(colAnonymous, row, anonymous)
		b.valid(colAnonymous, row)
	}
	if e.SessionID != "" {
		b.u64(colSession, row, xxhash.Sum64String(e.SessionID))
		b.valid(colSession, row)
	}
	b.bit(colKnown, row, e.UserID != "")
	b.bit(colBot, row, e.Context.Bot)
	b.bit(colHistorical, row, e.Context.Historical)
	b.bit(colInternal, row, journey.Internal(e))
	b.text(colMessage, row, e.MessageID)
	b.text(colType, row, e.Type.String())
	b.text(colEvent, row, e.Name)
	b.text(colSource, row, e.Source)
	c := &e.Context
	b.text(colURL, row, c.Page.URL)
	b.text(colPath, row, c.Page.Path)
	b.text(colReferrer, row, c.Page.Referrer)
	b.text(colTitle, row, c.Page.Title)
	b.text(colCampaignSource, row, c.Campaign.Source)
	b.text(colCampaignMedium, row, c.Campaign.Medium)
	b.text(colCampaignName, row, c.Campaign.Name)
	b.text(colCampaignTerm, row, c.Campaign.Term)
	b.text(colCampaignContent, row, c.Campaign.Content)
	b.text(colDevice, row, c.Device)
	b.text(colOS, row, c.OS)
	b.text(colBrowser, row, c.Browser)
	b.text(colScreen, row, c.Screen)
	b.text(colLocale, row, c.Locale)
	b.text(colTimezone, row, c.Timezone)
	b.text(colCountry, row, c.Country)
	b.text(colGroup, row, e.GroupID)
	b.properties(row, e.Properties)
	b.blob(colTraits, row, e.Traits)
	b.blob(colConsent, row, c.Consent)
	b.blob(colExtra, row, c.Extra)
	b.Rows++
}
