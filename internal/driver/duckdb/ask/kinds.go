package ask

import (
	"context"
	"database/sql"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"heed/internal/measure"
)

func (a *asking) date(at int64, layout string) string {
	return time.UnixMicro(at).In(a.frame.Zone).Format(layout)
}

// hits is what a count is of, as a relation of u, t, amount and a value v0, v1
// ... per dimension.
func (a *asking) hits(of *measure.Match, count measure.Count, field string, by []measure.Dimension) (string, error) {
	amount := "0.0"
	var err error
	if count == measure.CountSum {
		if amount, err = a.amount(field); err != nil {
			return "", err
		}
	}
	var from string
	if of == nil {
		from = a.alive()
		if a.q.Audience != nil {
			set, err := a.audience(a.q.Audience)
			if err != nil {
				return "", err
			}
			from = "(FROM " + from + " INTERSECT FROM " + set + ")"
		}
		from, amount = "(SELECT u, 0 AS t FROM "+from+")", "0.0"
	} else {
		predicate, quiet, err := a.match(*of)
		if err != nil {
			return "", err
		}
		if from, err = a.events(predicate+" AND "+a.within(a.span), quiet); err != nil {
			return "", err
		}
	}
	columns, joins := "", ""
	for i := range by {
		if by[i].OfEvent() {
			v, err := a.value(&by[i])
			if err != nil {
				return "", err
			}
			columns += fmt.Sprintf(", %s AS v%d", v, i)
			continue
		}
		values, err := a.valuesOf(&by[i])
		if err != nil {
			return "", err
		}
		columns += fmt.Sprintf(", d%d.v AS v%d", i, i)
		joins += fmt.Sprintf(" JOIN %s d%d ON d%d.u = e.u", values, i, i)
	}
	return fmt.Sprintf("(SELECT e.u, e.t, %s AS amount%s FROM %s e%s)", amount, columns, from, joins), nil
}

func aggregate(c measure.Count) string {
	switch c {
	case measure.CountUsers:
		return "count(DISTINCT u)::DOUBLE"
	case measure.CountSum:
		return "coalesce(sum(amount), 0)::DOUBLE"
	case measure.CountEvents:
	}
	return "count(*)::DOUBLE"
}

// number is the one number of a statement.
func (a *asking) number(ctx context.Context, text string) (n float64, err error) {
	err = a.each(ctx, text, func(rows *sql.Rows) error { return rows.Scan(&n) })
	return n, err
}

// top is the rows with the most, whether there are others, and the sum of all.
func (a *asking) top(ctx context.Context, hits string, count measure.Count, dimensions, limit int) (rows []measure.Row, more bool, sum float64, err error) {
	names := make([]string, dimensions)
	for i := range names {
		names[i] = "v" + strconv.Itoa(i)
	}
	list := strings.Join(names, ", ")
	order := strings.Join(names, " NULLS LAST, ") + " NULLS LAST"
	text := fmt.Sprintf("SELECT sum(n) OVER (), n, %[2]s FROM (SELECT %[1]s AS n, %[2]s FROM %[3]s GROUP BY %[2]s) ORDER BY n DESC, %[4]s LIMIT %[5]d",
		aggregate(count), list, hits, order, limit+1)
	err = a.each(ctx, text, func(r *sql.Rows) error {
		row := measure.Row{Values: make([]*string, dimensions)}
		targets := []any{&sum, &row.Count}
		for i := range row.Values {
			targets = append(targets, &row.Values[i])
		}
		if err := r.Scan(targets...); err != nil {
			return err
		}
		rows = append(rows, row)
		return nil
	})
	if more = len(rows) > limit; more {
		rows = rows[:limit]
	}
	return rows, more, sum, err
}

// rowOf is the number of the row that a hit is in, from 0; -1: none of them. It is
// looked up: a thousand comparisons for each hit would take longer than all else.
func (a *asking) rowOf(rows []measure.Row) string {
	if len(rows) == 0 {
		return "-1"
	}
	numbers, list := make(map[string]int, len(rows)), ""
	for i, r := range rows {
		numbers[together(r.Values, func(v *string) string {
			if v == nil {
				return ""
			}
			return *v
		})] = i
	}
	for i := range rows[0].Values {
		list += fmt.Sprintf(", v%d", i)
	}
	n := a.db.Call(&Call{Number: func(_ any, args []string) float64 {
		if i, ok := numbers[together(args, func(v string) string { return v })]; ok {
			return float64(i)
		}
		return -1
	}})
	return fmt.Sprintf("%s(%d%s)::INTEGER", NumberFunction, n, list)
}

// together is several texts as one, another one for others.
func together[T any](values []T, text func(T) string) string {
	if len(values) == 1 {
		return text(values[0])
	}
	var b strings.Builder
	for _, v := range values {
		s := text(v)
		b.WriteString(strconv.Itoa(len(s)))
		b.WriteByte(' ')
		b.WriteString(s)
	}
	return b.String()
}

func (a *asking) breakdown(ctx context.Context, b *measure.Breakdown) (*measure.BreakdownResult, error) {
	hits, err := a.hits(b.Of, b.Count, b.Field, b.By)
	if err != nil {
		return nil, err
	}
	out := &measure.BreakdownResult{}
	var more bool
	if out.Rows, more, out.Total, err = a.top(ctx, hits, b.Count, len(b.By), b.Top); err != nil {
		return nil, err
	}
	if b.Count == measure.CountEvents { // each is in one row
		if more {
			out.Other = &measure.Row{Count: out.Total}
			for _, r := range out.Rows {
				out.Other.Count -= r.Count
			}
		}
		return out, nil
	}
	if out.Total, err = a.number(ctx, "SELECT "+aggregate(b.Count)+" FROM "+hits); err != nil || !more {
		return out, err
	}
	out.Other = &measure.Row{}
	out.Other.Count, err = a.number(ctx, fmt.Sprintf("SELECT %s FROM %s WHERE %s = -1", aggregate(b.Count), hits, a.rowOf(out.Rows)))
	return out, err
}

func (a *asking) series(ctx context.Context, s *measure.Series) (*measure.SeriesResult, error) {
	starts, err := a.frame.Buckets(a.span, s.Per, measure.MaxBuckets)
	if err != nil {
		return nil, err
	}
	out := &measure.SeriesResult{Buckets: starts, Lines: []measure.Line{}}
	bucket := a.bucket(starts)
	for i := range s.Of {
		var by []measure.Dimension
		if s.By != nil {
			by = []measure.Dimension{*s.By}
		}
		hits, err := a.hits(&s.Of[i], s.Count, s.Field, by)
		if err != nil {
			return nil, err
		}
		rows, more := []measure.Row{{}}, false
		which := "0"
		if s.By != nil {
			if rows, more, _, err = a.top(ctx, hits, s.Count, 1, s.Top); err != nil {
				return nil, err
			}
			which = a.rowOf(rows)
		}
		lines := make([]measure.Line, len(rows), len(rows)+1)
		for j, r := range rows {
			lines[j] = measure.Line{Match: i, Points: make([]float64, len(starts))}
			if s.By != nil {
				lines[j].Value = r.Values[0]
			}
		}
		if more {
			lines = append(lines, measure.Line{Match: i, Other: true, Points: make([]float64, len(starts))})
		}
		line := func(n int) *measure.Line {
			if n < 0 {
				n = len(lines) - 1
			}
			return &lines[n]
		}
		text := fmt.Sprintf("SELECT k, b, %s FROM (SELECT *, %s AS k, (%s)::INTEGER AS b FROM %s) GROUP BY GROUPING SETS ((k, b), (k))",
			aggregate(s.Count), which, bucket, hits)
		err = a.each(ctx, text, func(r *sql.Rows) error {
			var k int
			var b sql.NullInt64
			var n float64
			if err := r.Scan(&k, &b, &n); err != nil {
				return err
			}
			if b.Valid {
				line(k).Points[b.Int64] = n
			} else {
				line(k).Total = n
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		out.Lines = append(out.Lines, lines...)
	}
	return out, nil
}

// bucket is the number of the bucket that t lies in.
func (a *asking) bucket(starts []int64) string {
	if len(starts) < 2 {
		return "0"
	}
	width, even := starts[1]-starts[0], true
	for i := range starts[1:] {
		even = even && starts[i+1]-starts[i] == width
	}
	if even {
		return fmt.Sprintf("(t - %d) // %d", starts[0], width)
	}
	n := a.db.Call(&Call{Number: func(_ any, args []string) float64 {
		t, _ := strconv.ParseInt(args[0], 10, 64)
		return float64(sort.Search(len(starts), func(i int) bool { return starts[i] > t }) - 1)
	}})
	return fmt.Sprintf("%s(%d, t::VARCHAR)", NumberFunction, n)
}

func (a *asking) live(ctx context.Context, l *measure.Live) (*measure.LiveResult, error) {
	hits, err := a.hits(&measure.Match{}, measure.CountEvents, "", []measure.Dimension{{Field: "event.event"}})
	if err != nil {
		return nil, err
	}
	out := &measure.LiveResult{Minutes: make([]int64, l.Minutes)}
	err = a.each(ctx, fmt.Sprintf("SELECT (t - %d) // 60000000, count(*) FROM %s GROUP BY 1", a.span.From, hits), func(r *sql.Rows) error {
		var minute, n int64
		if err := r.Scan(&minute, &n); err != nil {
			return err
		}
		out.Minutes[minute] = n
		out.Events += n
		return nil
	})
	if err != nil {
		return nil, err
	}
	users, err := a.number(ctx, "SELECT "+aggregate(measure.CountUsers)+" FROM "+hits)
	if err != nil {
		return nil, err
	}
	out.Users = int64(users)
	out.Top, _, _, err = a.top(ctx, hits, measure.CountEvents, 1, l.Top)
	return out, err
}

func (a *asking) listed(ctx context.Context, p *measure.Users) (*measure.UsersResult, error) {
	hits, err := a.hits(nil, measure.CountUsers, "", nil)
	if err != nil {
		return nil, err
	}
	total, err := a.number(ctx, "SELECT "+aggregate(measure.CountUsers)+" FROM "+hits)
	if err != nil {
		return nil, err
	}
	out := &measure.UsersResult{Total: int64(total)}
	if p.Limit == 0 {
		return out, nil
	}
	text := fmt.Sprintf("SELECT id FROM (SELECT %s(u) AS id FROM %s) WHERE id > %s ORDER BY id LIMIT %d", IDFunction, hits, Quote(p.After), p.Limit+1)
	err = a.each(ctx, text, func(r *sql.Rows) error {
		var id string
		if err := r.Scan(&id); err != nil {
			return err
		}
		out.IDs = append(out.IDs, id)
		return nil
	})
	if out.More = len(out.IDs) > p.Limit; out.More {
		out.IDs = out.IDs[:p.Limit]
	}
	return out, err
}

func (a *asking) timeline(ctx context.Context, t *measure.Timeline) (*measure.TimelineResult, error) {
	out := &measure.TimelineResult{User: t.User, Events: []measure.TimedEvent{}}
	n, today, ok := a.db.User(t.User)
	if !ok {
		return out, nil
	}
	out.User = today
	var numbers []string
	for _, n := range a.db.Numbers(n) {
		numbers = append(numbers, strconv.FormatUint(uint64(n), 10))
	}
	a.only = " AND usr IN (" + strings.Join(numbers, ",") + ")"
	from, err := a.events("true", true)
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf(`SELECT t, event, type, message, source, coalesce(url, ''), coalesce(properties, '') FROM %s
		WHERE %s ORDER BY t DESC, part DESC, pos DESC LIMIT %d OFFSET %d`, from, a.within(a.span), t.Limit+1, t.Offset)
	err = a.each(ctx, text, func(r *sql.Rows) error {
		var e measure.TimedEvent
		var properties string
		if err := r.Scan(&e.At, &e.Name, &e.Type, &e.MessageID, &e.Source, &e.URL, &properties); err != nil {
			return err
		}
		if properties != "" {
			e.Properties = []byte(properties)
		}
		out.Events = append(out.Events, e)
		return nil
	})
	if out.More = len(out.Events) > t.Limit; out.More {
		out.Events = out.Events[:t.Limit]
	}
	return out, err
}
