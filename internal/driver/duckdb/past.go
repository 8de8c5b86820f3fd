package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"heed/internal/event"
	"heed/internal/facts"
)

// Past is facts.Past's. It goes day by day, so that putting them in order needs
// little room, and it takes a query's place until it is done.
func (s *Store) Past(ctx context.Context, from int64, until []uint64, merged func(from, to string) error, take func(*event.Event) error) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	q, err := s.queries.begin(ctx, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, q.end()) }()
	for n := range s.users.count.Load() {
		if to := s.users.root(n); to != n {
			if err := merged(s.users.id(n), s.users.id(to)); err != nil {
				return err
			}
		}
	}
	for at := dayOf(max(from, q.version.from)) * dayMicros; at <= q.version.to; at += dayMicros {
		if err := s.pastOfDay(ctx, q, max(at, from), at+dayMicros, until, take); err != nil {
			return fmt.Errorf("facts of %s: %w", time.UnixMicro(at).UTC().Format(time.DateOnly), err)
		}
	}
	return nil
}

// pastOfDay hands over the events of [from, to).
func (s *Store) pastOfDay(ctx context.Context, q *running, from, to int64, until []uint64, take func(*event.Event) error) (err error) {
	names := make([]string, columnCount)
	for i, c := range columns() {
		names[i] = c.name
	}
	ends := make([]string, len(until))
	for p, next := range until {
		ends[p] = strconv.FormatUint(next, 10)
	}
	rows, err := q.conn.QueryContext(ctx, fmt.Sprintf(
		"SELECT %s FROM facts WHERE time >= make_timestamp(%d) AND time < make_timestamp(%d) AND pos < [%s][part + 1] ORDER BY time, part, pos",
		strings.Join(names, ", "), from, to, strings.Join(ends, ", ")))
	if err != nil {
		return s.judgePast(ctx, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var r pastRow
	targets := r.targets()
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		if err := take(r.event(s.users)); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return s.judgePast(ctx, err)
	}
	return nil
}

func (s *Store) judgePast(ctx context.Context, err error) error {
	if s.life.Err() != nil {
		return facts.ErrClosed
	}
	return s.judge(ctx, err)
}

// pastRow is one row, by column.
type pastRow struct {
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

func (r *pastRow) targets() []any {
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

// event is the row as the event that it was, but for its session, of which only
// a hash is kept. It is valid until the next row.
func (r *pastRow) event(users *users) *event.Event {
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
		r.out.UserID = users.id(r.user)
		if r.anonymous.Valid {
			r.out.AnonymousID = users.id(r.anonymous.V)
		}
	} else {
		r.out.AnonymousID = users.id(r.user)
	}
	return &r.out
}
