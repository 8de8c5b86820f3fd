package rows

import (
	"database/sql"
	"time"

	"heed/internal/event"
)

// Past is one row that is read back, by column.
type Past struct {
	part                             uint16
	pos, lag                         int64
	time                             time.Time
	user                             uint32
	anonymous                        sql.Null[uint32]
	session                          sql.Null[uint64]
	known, bot, historical, internal bool
	text                             [columnCount]sql.NullString // of the columns of text
	out                              event.Event
}

// Targets is where to read the columns of Names to.
func (r *Past) Targets() []any {
	out := make([]any, columnCount)
	for i := range out {
		out[i] = &r.text[i]
	}
	for i, target := range map[int]any{
		colPart: &r.part, colPos: &r.pos, colTime: &r.time, colLag: &r.lag, colUser: &r.user, colAnonymous: &r.anonymous,
		colSession: &r.session, colKnown: &r.known, colBot: &r.bot, colHistorical: &r.historical, colInternal: &r.internal,
	} {
		out[i] = target
	}
	return out
}

// Event is the row as the event that it was, but for its session, of which only
// a hash is kept. id tells the id of a user. The event is valid until the next row.
func (r *Past) Event(id func(number uint32) string) *event.Event {
	text := func(column int) string { return r.text[column].String }
	blob := func(column int) []byte {
		if !r.text[column].Valid {
			return nil
		}
		return []byte(r.text[column].String)
	}
	kind, _ := event.ParseType(text(colType)) // it was one
	r.out = event.Event{
		MessageID: text(colMessage), Type: kind, Name: text(colEvent), GroupID: text(colGroup), Source: text(colSource),
		Timestamp: r.time.UnixMicro(), ReceivedAt: r.time.UnixMicro() + r.lag, Properties: blob(colProperties), Traits: blob(colTraits),
		Context: event.Context{
			Page: event.PageContext{URL: text(colURL), Path: text(colPath), Referrer: text(colReferrer), Title: text(colTitle)},
			Campaign: event.CampaignContext{
				Source: text(colCampaignSource), Medium: text(colCampaignMedium), Name: text(colCampaignName),
				Term: text(colCampaignTerm), Content: text(colCampaignContent),
			},
			Device: text(colDevice), OS: text(colOS), Browser: text(colBrowser), Screen: text(colScreen), Locale: text(colLocale),
			Timezone: text(colTimezone), Country: text(colCountry), Bot: r.bot, Historical: r.historical, Consent: blob(colConsent), Extra: blob(colExtra),
		},
	}
	if r.known {
		r.out.UserID = id(r.user)
		if r.anonymous.Valid {
			r.out.AnonymousID = id(r.anonymous.V)
		}
	} else {
		r.out.AnonymousID = id(r.user)
	}
	return &r.out
}
