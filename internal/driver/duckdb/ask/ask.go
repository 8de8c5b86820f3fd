// Package ask owns how a measure is asked of a database of facts: the plan of each
// kind as SQL statements, and the walks over users' events that SQL is no good
// for. What is a matter of DuckDB's dialect stands in ask.go.
//
// It does not own what a measure means (measure) nor the database (duckdb). What it
// cannot answer exactly it refuses.
package ask

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"heed/internal/condition"
	"heed/internal/event"
	"heed/internal/facts"
	"heed/internal/measure"
)

// The functions that a database of facts must have.
const (
	RootFunction   = "heed_user_root" // number of a profile id -> that of the user whose it is today
	IDFunction     = "heed_user_id"   // number -> id of the user whose it is today
	HoldsFunction  = "heed_holds"     // calls: BOOLEAN,
	TextFunction   = "heed_text"      // VARCHAR,
	NumberFunction = "heed_number"    // DOUBLE
)

// Call is what SQL asks Go: what a condition, a dimension or a calendar says of a
// row is computed by the very code that says it of the stream, so the two cannot
// disagree. The first argument of the function is the number of the call, the
// others are texts; one that is null is empty. It may be called concurrently;
// state is one thread's own and begins as what Begin makes.
type Call struct {
	Begin  func() any
	Holds  func(state any, args []string) bool
	Text   func(state any, args []string) (string, bool)
	Number func(state any, args []string) float64
}

// Database is the facts as of one moment: a relation named facts with the columns
// that docs/format/facts.md lists, and the functions above.
type Database interface {
	Query(ctx context.Context, text string) (*sql.Rows, error)
	// Call makes a call known for as long as the database is used.
	Call(c *Call) (number int64)
	// Promoted tells of a property that has a column of its own.
	Promoted(key string) (p Promoted, ok bool)
	// User is the number and id of the user whose an id is today.
	User(id string) (number uint32, today string, ok bool)
	// Numbers are all those that are one user today.
	Numbers(user uint32) []uint32
	// Flagged counts the activity within a span that is a bot's, internal, or both.
	Flagged(ctx context.Context, in measure.Span) (bots, internal, both int64, err error)
	// Times are what those of all events lie between, both inclusive, in µs.
	Times() (from, to int64)
}

// asking is one measure being answered: the relations that its statements are
// made of.
type asking struct {
	ctx    context.Context
	db     Database
	q      *measure.Query
	frame  measure.Frame
	span   measure.Span
	oldest int64  // times of all events lie from here
	newest int64  // to here
	only   string // a further condition on what is looked at
}

// unsupported says what cannot be answered here.
func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: %s", facts.ErrUnsupported, fmt.Sprintf(format, args...))
}

// Answer answers a measure that was resolved. now is in µs since the Unix epoch.
func Answer(ctx context.Context, db Database, q *measure.Query, now int64) (out measure.Result, err error) {
	a := &asking{ctx: ctx, db: db, q: q}
	if a.frame, err = q.Frame(now); err != nil {
		return out, err
	}
	if a.span, err = a.frame.Span(q.Range); err != nil {
		return out, err
	}
	if q.Live != nil {
		a.span = measure.Span{From: a.frame.AsOf - int64(q.Live.Minutes)*60e6, To: a.frame.AsOf}
	}
	a.oldest, a.newest = db.Times()
	out = measure.Result{Kind: q.Kind(), From: a.span.From, To: a.span.To, AsOf: a.frame.AsOf, Zone: a.frame.Zone.String()}
	if err := a.answer(ctx, &out); err != nil {
		return measure.Result{}, err
	}
	return out, a.excluded(ctx, &out.Excluded)
}

func (a *asking) answer(ctx context.Context, out *measure.Result) (err error) {
	switch q := a.q; q.Kind() {
	case measure.KindSeries:
		out.Series, err = a.series(ctx, q.Series)
	case measure.KindBreakdown:
		out.Breakdown, err = a.breakdown(ctx, q.Breakdown)
	case measure.KindFunnel:
		out.Funnel, err = a.funnel(ctx, q.Funnel)
	case measure.KindRetention:
		out.Retention, err = a.retention(ctx, q.Retention)
	case measure.KindLive:
		out.Live, err = a.live(ctx, q.Live)
	case measure.KindUsers:
		out.Users, err = a.listed(ctx, q.Users)
	case measure.KindTimeline:
		out.Timeline, err = a.timeline(ctx, q.Timeline)
	case measure.KindPaths:
		out.Paths, err = a.paths(ctx, q.Paths)
	case measure.KindSessions:
		out.Sessions, err = a.sessions(ctx, q.Sessions)
	case measure.KindAttribution:
		out.Attribution, err = a.attribution(ctx, q.Attribution)
	case measure.KindReturn:
		out.Return, err = a.campaignReturn(ctx, q.Return)
	default:
		err = unsupported("%s over the facts", q.Kind())
	}
	return err
}

// Activity is the condition that an event counts as activity.
const Activity = "NOT starts_with(event, 'heed.')"

// tells is the condition that an event says something about its user, so that the
// user exists by it: activity does, and an import.
const tells = "(" + Activity + " OR event = '" + event.NameImported + "')"

// within is that an event lies in a span. What holds for every event there is is
// not asked of each.
func (a *asking) within(s measure.Span) string {
	var parts []string
	if s.From > a.oldest {
		parts = append(parts, fmt.Sprintf("time >= make_timestamp(%d)", s.From))
	}
	if s.To <= a.newest {
		parts = append(parts, fmt.Sprintf("time < make_timestamp(%d)", s.To))
	}
	return strings.Join(append(parts, "true"), " AND ")
}

// before is that an event lies before the as-of time.
func (a *asking) before() string { return a.within(measure.Span{From: a.oldest, To: a.frame.AsOf}) }

// ever is every event that is not excluded, with its user of today as u and its
// time in µs as t.
func (a *asking) ever() string {
	where := ""
	if !a.q.Bots {
		where += " AND NOT bot"
	}
	if !a.q.Internal {
		where += " AND NOT internal"
	}
	return "(SELECT " + RootFunction + "(usr) AS u, epoch_us(time) AS t, * FROM facts WHERE true" + where + a.only + ")"
}

// base is the events that exist for the query, whatever Where says.
func (a *asking) base() string {
	return fmt.Sprintf("(SELECT * FROM %s WHERE %s)", a.ever(), a.before())
}

// eventsOf makes a relation of the events that meet a predicate. mayBeQuiet: they
// may be no activity, then their user must exist by others.
type eventsOf func(predicate string, mayBeQuiet bool) (string, error)

// events is those of base that the query's Where and audience let pass and that
// meet a predicate.
func (a *asking) events(predicate string, mayBeQuiet bool) (string, error) {
	where, err := a.holds(a.q.Where)
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("(SELECT * FROM %s WHERE %s AND %s", a.base(), predicate, where)
	if a.q.Audience != nil {
		set, err := a.audience(a.q.Audience)
		if err != nil {
			return "", err
		}
		text += " AND u IN " + set
	}
	if mayBeQuiet {
		text += " AND u IN " + a.alive()
	}
	return text + ")", nil
}

// alive is the users that exist.
func (a *asking) alive() string {
	return "(SELECT DISTINCT u FROM " + a.base() + " WHERE " + tells + ")"
}

// match is the predicate of a match.
func (a *asking) match(m measure.Match) (predicate string, quiet bool, err error) {
	predicate = Activity
	if m.Event != "" {
		predicate = "event = " + Quote(m.Event)
		quiet = strings.HasPrefix(m.Event, event.ReservedPrefix)
	}
	where, err := a.holds(m.Where)
	return "(" + predicate + " AND " + where + ")", quiet, err
}

// holds is a condition on an event.
func (a *asking) holds(c condition.Condition) (string, error) {
	names := condition.Fields(c)
	if len(names) == 0 {
		return "true", nil
	}
	p, err := condition.Compile(c, condition.ForEvent)
	if err != nil {
		return "", err
	}
	list, set, err := a.argumentsOf(names)
	if err != nil {
		return "", err
	}
	n := a.db.Call(&Call{Begin: newScratch, Holds: func(state any, args []string) bool {
		return p.Eval(state.(*scratch).fill(set, args))
	}})
	return fmt.Sprintf("%s(%d%s)", HoldsFunction, n, list), nil
}

// scratch is an event that calls fill with the arguments of a row.
type scratch struct {
	event event.Event
	facts condition.Facts
	doc   []byte // properties that came as columns
	rest  string // all of them, as JSON, if a column does not say all
}

func newScratch() any {
	s := &scratch{}
	s.facts.Event = &s.event
	return s
}

func (s *scratch) fill(set []func(*scratch, string), args []string) *condition.Facts {
	s.doc, s.rest = s.doc[:0], ""
	for i, v := range args {
		set[i](s, v)
	}
	switch {
	case s.rest != "":
		s.event.Properties = []byte(s.rest)
	case len(s.doc) > 0:
		s.doc = append(s.doc, '}')
		s.event.Properties = s.doc
	}
	return &s.facts
}

// value is the text of a field of an event, put into the dimension's buckets.
func (a *asking) value(d *measure.Dimension) (string, error) {
	if column := plainColumn(d.Field); column != "" && d.Buckets == nil {
		return column, nil
	}
	if key := propertyOf(d.Field); key != "" {
		if p, ok := a.db.Promoted(key); ok {
			return a.promotedValue(key, p, d)
		}
	}
	text, err := a.text(d.Field)
	if err != nil {
		return "", err
	}
	n := a.db.Call(&Call{Begin: newScratch, Text: func(state any, args []string) (string, bool) {
		v := d.Bucket(text.of(state.(*scratch), args))
		if v == nil {
			return "", false
		}
		return *v, true
	}})
	return fmt.Sprintf("%s(%d%s)", TextFunction, n, text.list), nil
}

// amount is the number of a field of an event; 0 if it is none.
func (a *asking) amount(field string) (string, error) {
	if key := propertyOf(field); key != "" {
		if p, ok := a.db.Promoted(key); ok {
			return a.promotedAmount(key, p)
		}
	}
	text, err := a.text(field)
	if err != nil {
		return "", err
	}
	n := a.db.Call(&Call{Begin: newScratch, Number: func(state any, args []string) float64 {
		v := text.of(state.(*scratch), args)
		if v == nil {
			return 0
		}
		return measure.Amount(*v)
	}})
	return fmt.Sprintf("%s(%d%s)", NumberFunction, n, text.list), nil
}

// fieldText reads the first text of a field.
type fieldText struct {
	field *condition.Field
	list  string
	set   []func(*scratch, string)
}

func (a *asking) text(field string) (*fieldText, error) {
	f, err := condition.CompileField(field)
	if err != nil {
		return nil, err
	}
	list, set, err := a.argumentsOf([]string{field})
	return &fieldText{f, list, set}, err
}

func (f *fieldText) of(s *scratch, args []string) *string {
	if got := f.field.Texts(s.fill(f.set, args), nil, 1); len(got) > 0 {
		return &got[0]
	}
	return nil
}

// plainColumn is the column of a field that is text and nothing else, or "".
func plainColumn(field string) string {
	columns := map[string]string{
		"event.event": "event", "event.name": "event", "event.type": "type", "event.source": "source", "event.messageId": "message",
		"event.groupId":    "group_id",
		"context.page.url": "url", "context.page.path": "path", "context.page.referrer": "referrer", "context.page.title": "title",
		"context.campaign.source": "campaign_source", "context.campaign.medium": "campaign_medium", "context.campaign.name": "campaign_name",
		"context.campaign.term": "campaign_term", "context.campaign.content": "campaign_content",
	}
	if c := columns[field]; c != "" {
		return c
	}
	switch field {
	case "context.device", "context.os", "context.browser", "context.screen", "context.locale", "context.timezone", "context.country":
		return strings.TrimPrefix(field, "context.")
	}
	return ""
}

// argumentsOf is the columns that fields need, as the further arguments of a
// call, and how each of them gets into an event.
func (a *asking) argumentsOf(fields []string) (list string, set []func(*scratch, string), err error) {
	promoted := a.promotedOf(fields)
	seen := map[string]bool{}
	for _, f := range fields {
		if key := propertyOf(f); key != "" && promoted != nil {
			if p := promoted[key]; !seen[p.Column] {
				seen[p.Column] = true
				list += ", " + p.text() + ", " + RestOf(key)
				set = append(set, p.member(key), func(s *scratch, v string) {
					if v != "" {
						s.rest = v
					}
				})
			}
			continue
		}
		column, fill, err := argument(f)
		if err != nil {
			return "", nil, err
		}
		if !seen[column] {
			seen[column] = true
			list += ", " + column
			set = append(set, func(s *scratch, v string) { fill(&s.event, v) })
		}
	}
	return list, set, nil
}

func argument(field string) (string, func(*event.Event, string), error) {
	texts := map[string]func(*event.Event) *string{
		"event": func(e *event.Event) *string { return &e.Name }, "source": func(e *event.Event) *string { return &e.Source },
		"message": func(e *event.Event) *string { return &e.MessageID }, "group_id": func(e *event.Event) *string { return &e.GroupID },
		"url": func(e *event.Event) *string { return &e.Context.Page.URL }, "path": func(e *event.Event) *string { return &e.Context.Page.Path },
		"referrer": func(e *event.Event) *string { return &e.Context.Page.Referrer }, "title": func(e *event.Event) *string { return &e.Context.Page.Title },
		"campaign_source": func(e *event.Event) *string { return &e.Context.Campaign.Source }, "campaign_medium": func(e *event.Event) *string { return &e.Context.Campaign.Medium },
		"campaign_name": func(e *event.Event) *string { return &e.Context.Campaign.Name }, "campaign_term": func(e *event.Event) *string { return &e.Context.Campaign.Term },
		"campaign_content": func(e *event.Event) *string { return &e.Context.Campaign.Content },
		"device":           func(e *event.Event) *string { return &e.Context.Device }, "os": func(e *event.Event) *string { return &e.Context.OS },
		"browser": func(e *event.Event) *string { return &e.Context.Browser }, "screen": func(e *event.Event) *string { return &e.Context.Screen },
		"locale": func(e *event.Event) *string { return &e.Context.Locale }, "timezone": func(e *event.Event) *string { return &e.Context.Timezone },
		"country": func(e *event.Event) *string { return &e.Context.Country },
	}
	column := plainColumn(field)
	if get := texts[column]; get != nil {
		return column, func(e *event.Event, v string) { *get(e) = v }, nil
	}
	head, rest, _ := strings.Cut(field, ".")
	under, _, _ := strings.Cut(rest, ".")
	switch {
	case head == "properties", head == "event" && under == "properties":
		return "properties", func(e *event.Event, v string) { e.Properties = []byte(v) }, nil
	case head == "event" && under == "traits":
		return "traits", func(e *event.Event, v string) { e.Traits = []byte(v) }, nil
	case field == "event.type":
		return "type", func(e *event.Event, v string) {
			for e.Type = event.Track; e.Type < event.System && e.Type.String() != v; e.Type++ {
			}
		}, nil
	case field == "event.timestamp":
		return "epoch_us(time)::VARCHAR", func(e *event.Event, v string) { e.Timestamp, _ = strconv.ParseInt(v, 10, 64) }, nil
	case field == "event.receivedAt":
		return "(epoch_us(time) + lag)::VARCHAR", func(e *event.Event, v string) { e.ReceivedAt, _ = strconv.ParseInt(v, 10, 64) }, nil
	case field == "context.bot":
		return "bot::VARCHAR", func(e *event.Event, v string) { e.Context.Bot = v == "true" }, nil
	case field == "context.historical":
		return "historical::VARCHAR", func(e *event.Event, v string) { e.Context.Historical = v == "true" }, nil
	case head == "event", head == "pull", field == "context.verified", field == "context.ip", field == "context.userAgent":
		return "", nil, unsupported("facts do not keep %s", field)
	case head == "context" && under == "consent":
		return "consent", func(e *event.Event, v string) { e.Context.Consent = []byte(v) }, nil
	case head == "context":
		return "extra", func(e *event.Event, v string) { e.Context.Extra = []byte(v) }, nil
	}
	return "", nil, unsupported("%s is of the user", field)
}

// excluded counts what was left out.
func (a *asking) excluded(ctx context.Context, out *measure.Excluded) error {
	bots, internal, both, err := a.db.Flagged(ctx, a.span)
	if err != nil {
		return err
	}
	if !a.q.Bots {
		out.Bots = bots + both
	}
	if !a.q.Internal {
		out.Internal = internal
		if a.q.Bots {
			out.Internal += both
		}
	}
	return nil
}

// each runs a statement and visits its rows.
func (a *asking) each(ctx context.Context, text string, visit func(*sql.Rows) error) (err error) {
	rows, err := a.db.Query(ctx, text)
	if err != nil {
		return fmt.Errorf("%w in %s", err, text)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := visit(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Quote makes a text a SQL string. A statement ends at its first NUL.
func Quote(s string) string {
	text := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, "\x00") {
		return "(" + strings.ReplaceAll(text, "\x00", "' || chr(0) || '") + ")"
	}
	return text
}
