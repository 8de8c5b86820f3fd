package measure

import (
	"slices"
	"time"

	"heed/internal/condition"
)

// Mark is one mark of an answer: what a person can click on. Which fields are
// read depends on what was asked; indexes are into the answer's lists.
type Mark struct {
	// Row of a breakdown, line of a series, event of the last minutes; nil: all.
	Row *int `json:"row,omitempty"`
	// Values stand for a row of a breakdown or a group of a funnel (one value):
	// they mean the same when what came late has changed its place.
	Values []*string `json:"values,omitempty"`
	// Other is what is beyond the top, of a breakdown or a funnel's groups.
	Other bool `json:"other,omitempty"`
	// Bucket of a series, of sessions, minute of the last ones; nil: all.
	Bucket *int `json:"bucket,omitempty"`

	Step  int   `json:"step,omitempty"` // of a funnel, from 1
	State State `json:"state,omitempty"`
	Group *int  `json:"group,omitempty"` // of a funnel; nil: all

	Cohort int  `json:"cohort,omitempty"`
	Period int  `json:"period,omitempty"`
	Lost   bool `json:"lost,omitempty"`

	Depth int  `json:"depth,omitempty"` // of paths, from 1; 0: the anchor
	Node  int  `json:"node,omitempty"`
	From  *int `json:"from,omitempty"` // the node before, of a link
}

// Users asks for the users behind a mark of an answer, as of the same time: how
// many they are is the number at the mark, if it counts users. Without its as-of
// time the query goes on to hold for who comes later. Its error is an *Error.
func (m *Mark) Users(q *Query, res *Result) (*Query, error) {
	out := &Query{
		AsOf: time.UnixMicro(res.AsOf).UTC().Format(time.RFC3339Nano), Zone: q.Zone, WeekStart: q.WeekStart,
		Bots: q.Bots, Internal: q.Internal, Users: &Users{},
	}
	a := asking{q: q, res: res, m: m}
	nodes, err := a.nodes()
	if err != nil {
		return nil, at("mark", err)
	}
	if q.Audience != nil {
		nodes = append([]Audience{*q.Audience}, nodes...)
	}
	switch len(nodes) {
	case 0:
	case 1:
		out.Audience = &nodes[0]
	default:
		out.Audience = &Audience{All: nodes}
	}
	return out, nil
}

// Pick asks for the users behind a mark of the answer to a query, a page at a time.
type Pick struct {
	Query Query  `json:"query"` // with the as-of time of the answer, for the same number
	Mark  Mark   `json:"mark"`
	Limit int    `json:"limit,omitempty"`
	After string `json:"after,omitempty"`
}

// ParsePick reads a Pick like Parse.
func ParsePick(data []byte) (*Pick, error) {
	p := &Pick{}
	if err := decode(data, p); err != nil {
		return nil, err
	}
	if err := Check(&p.Query); err != nil {
		return nil, at("query", err)
	}
	if err := between("limit", p.Limit, 0, MaxPage); err != nil {
		return nil, err
	}
	if len(p.After) > maxText {
		return nil, wrong("after", "is too long")
	}
	return p, nil
}

// Users is the query for the page: of everybody if m.Limit is 0, then it only
// counts. Its dimensions that belong to events stand in it by their definitions,
// for that is how a mark tells them from those of users.
func (p *Pick) Users(res *Result, names Names) (*Query, error) {
	q := p.Query
	if q.Breakdown != nil {
		b := *q.Breakdown
		b.By = slices.Clone(b.By)
		for i := range b.By {
			if d, err := names.DimensionNamed(b.By[i].Dimension); err == nil && d != nil && d.OfEvent() {
				b.By[i] = *d
			}
		}
		q.Breakdown = &b
	}
	if q.Series != nil && q.Series.By != nil {
		if d, err := names.DimensionNamed(q.Series.By.Dimension); err == nil && d != nil && d.OfEvent() {
			s := *q.Series
			s.By = d
			q.Series = &s
		}
	}
	out, err := p.Mark.Users(&q, res)
	if err != nil {
		return nil, err
	}
	out.Users.Limit, out.Users.After = p.Limit, p.After
	return out, nil
}

type asking struct {
	q   *Query
	res *Result
	m   *Mark
}

func (a *asking) nodes() ([]Audience, error) {
	q, m := a.q, a.m
	switch {
	case q.Series != nil && a.res.Series != nil:
		return a.series()
	case q.Breakdown != nil && a.res.Breakdown != nil:
		return a.breakdown()
	case q.Funnel != nil && a.res.Funnel != nil:
		return a.funnel()
	case q.Retention != nil && a.res.Retention != nil:
		if err := between("cohort", m.Cohort, 0, len(a.res.Retention.Cohorts)-1); err != nil {
			return nil, err
		}
		return []Audience{{Retention: &InRetention{
			Retention: *q.Retention, During: q.Range, Where: q.Where, Cohort: stamp(a.res.Retention.Cohorts[m.Cohort].Start),
			Period: m.Period, Lost: m.Lost,
		}}}, nil
	case q.Paths != nil && a.res.Paths != nil:
		return a.path()
	case q.Sessions != nil && a.res.Sessions != nil:
		starts := make([]int64, len(a.res.Sessions.Buckets))
		for i, b := range a.res.Sessions.Buckets {
			starts[i] = b.Start
		}
		r, err := a.bucket(starts)
		return []Audience{{Session: &InSession{During: r, Where: q.Where}}}, err
	case q.Live != nil && a.res.Live != nil:
		return a.live()
	case q.Users != nil:
		return nil, nil
	}
	return nil, wrong("", "the answer of a %s has no marks", q.Kind())
}

func stamp(µs int64) string { return time.UnixMicro(µs).UTC().Format(time.RFC3339Nano) }

// bucket is the time of a bucket, or the whole range.
func (a *asking) bucket(starts []int64) (Range, error) {
	if a.m.Bucket == nil {
		return a.q.Range, nil
	}
	i := *a.m.Bucket
	if err := between("bucket", i, 0, len(starts)-1); err != nil {
		return Range{}, err
	}
	to := a.res.To
	if i+1 < len(starts) {
		to = starts[i+1]
	}
	return Range{From: stamp(max(starts[i], a.res.From)), To: stamp(to)}, nil
}

// did is who did what a query counts.
func (a *asking) did(of Match, during Range) *Did {
	d := &Did{Event: of.Event, Where: of.Where, During: during}
	switch {
	case a.q.Where.Field == "" && a.q.Where.All == nil && a.q.Where.Any == nil && a.q.Where.Not == nil:
	case of.Where.Field == "" && of.Where.All == nil && of.Where.Any == nil && of.Where.Not == nil:
		d.Where = a.q.Where
	default:
		d.Where = condition.Condition{All: []condition.Condition{a.q.Where, of.Where}}
	}
	return d
}

// are is the nodes of dimensions: below did if they are of the event.
func are(list []Is, did *Did) []Audience {
	var out []Audience
	for _, is := range list {
		if is.Dimension.OfEvent() {
			did.Is = append(did.Is, is)
		} else {
			out = append(out, Audience{Is: &is})
		}
	}
	if did != nil {
		out = append(out, Audience{Did: did})
	}
	return out
}

func (a *asking) series() ([]Audience, error) {
	s, res, m := a.q.Series, a.res.Series, a.m
	during, err := a.bucket(res.Buckets)
	if err != nil {
		return nil, err
	}
	if m.Row == nil {
		return nil, wrong("row", "is missing: which line")
	}
	if err := between("row", *m.Row, 0, len(res.Lines)-1); err != nil {
		return nil, err
	}
	line := res.Lines[*m.Row]
	did := a.did(s.Of[line.Match], during)
	if s.By == nil {
		return are(nil, did), nil
	}
	is := Is{Dimension: *s.By, Values: []*string{line.Value}}
	if line.Other {
		is = Is{Dimension: *s.By, Not: true}
		for _, l := range res.Lines {
			if l.Match == line.Match && !l.Other {
				is.Values = append(is.Values, l.Value)
			}
		}
	}
	return are([]Is{is}, did), nil
}

func (a *asking) breakdown() ([]Audience, error) {
	b, res, m := a.q.Breakdown, a.res.Breakdown, a.m
	var did *Did
	if b.Of != nil {
		did = a.did(*b.Of, a.q.Range)
	}
	cells := func(r Row) []Is {
		out := make([]Is, len(b.By))
		for i := range out {
			out[i] = Is{Dimension: b.By[i], Values: []*string{r.Values[i]}}
		}
		return out
	}
	switch {
	case m.Other && len(b.By) == 1:
		is := Is{Dimension: b.By[0], Not: true}
		for _, r := range res.Rows {
			is.Values = append(is.Values, r.Values[0])
		}
		return are([]Is{is}, did), nil
	case m.Other:
		for i := range b.By {
			if b.By[i].OfEvent() {
				return nil, wrong("other", "cannot be told apart with several dimensions of events: ask for more rows")
			}
		}
		var top []Audience
		for _, r := range res.Rows {
			top = append(top, Audience{All: are(cells(r), nil)})
		}
		return append(are(nil, did), Audience{Not: &Audience{Any: top}}), nil
	case m.Values != nil:
		if len(m.Values) != len(b.By) {
			return nil, wrong("values", "are %d, and there are %d dimensions", len(m.Values), len(b.By))
		}
		return are(cells(Row{Values: m.Values}), did), nil
	case m.Row == nil:
		return are(nil, did), nil
	}
	if err := between("row", *m.Row, 0, len(res.Rows)-1); err != nil {
		return nil, err
	}
	return are(cells(res.Rows[*m.Row]), did), nil
}

func (a *asking) funnel() ([]Audience, error) {
	f, res, m := *a.q.Funnel, a.res.Funnel, a.m
	by := f.By
	f.By, f.Top = nil, 0
	if err := between("step", m.Step, 1, len(res.Steps)); err != nil {
		return nil, err
	}
	state := m.State
	if state == "" {
		state = Reached
	}
	out := []Audience{{Funnel: &InFunnel{Funnel: f, During: a.q.Range, Where: a.q.Where, Level: m.Step, State: state}}}
	if m.Values != nil {
		if by == nil || len(m.Values) != 1 {
			return nil, wrong("values", "are not the value of a group")
		}
		return append(out, Audience{Is: &Is{Dimension: *by, Values: m.Values}}), nil
	}
	if m.Group == nil {
		return out, nil
	}
	if err := between("group", *m.Group, 0, len(res.Groups)-1); err != nil {
		return nil, err
	}
	group := res.Groups[*m.Group]
	is := Is{Dimension: *by, Values: []*string{group.Value}}
	if group.Other {
		is = Is{Dimension: *by, Not: true}
		for _, g := range res.Groups {
			if !g.Other {
				is.Values = append(is.Values, g.Value)
			}
		}
	}
	return append(out, Audience{Is: &is}), nil
}

func (a *asking) path() ([]Audience, error) {
	res, m := a.res.Paths, a.m
	in := &InPath{Paths: *a.q.Paths, During: a.q.Range, Where: a.q.Where, Depth: m.Depth}
	if err := between("depth", m.Depth, 0, len(res.Depths)); err != nil || m.Depth == 0 {
		return []Audience{{Path: in}}, err
	}
	names := func(depth, node int) ([]*string, bool, error) {
		nodes := res.Depths[depth-1]
		if err := between("node", node, 0, len(nodes)-1); err != nil {
			return nil, false, err
		}
		switch n := nodes[node]; {
		case n.End:
			return []*string{nil}, false, nil
		case !n.Other:
			return []*string{&n.Event}, false, nil
		}
		var top []*string
		for _, n := range nodes {
			if !n.Other && !n.End {
				top = append(top, &n.Event)
			}
		}
		return top, true, nil
	}
	var err error
	if in.Events, in.Not, err = names(m.Depth, m.Node); err != nil {
		return nil, err
	}
	if m.From != nil && m.Depth > 1 {
		in.Previous, in.NotPrevious, err = names(m.Depth-1, *m.From)
	}
	return []Audience{{Path: in}}, err
}

func (a *asking) live() ([]Audience, error) {
	res, m := a.res.Live, a.m
	of := Match{}
	if m.Row != nil {
		if err := between("row", *m.Row, 0, len(res.Top)-1); err != nil {
			return nil, err
		}
		of.Event = *res.Top[*m.Row].Values[0]
	}
	during := Range{From: stamp(a.res.From), To: stamp(a.res.To)}
	if m.Bucket != nil {
		if err := between("bucket", *m.Bucket, 0, len(res.Minutes)-1); err != nil {
			return nil, err
		}
		from := a.res.From + int64(*m.Bucket)*60e6
		during = Range{From: stamp(from), To: stamp(from + 60e6)}
	}
	return are(nil, a.did(of, during)), nil
}
