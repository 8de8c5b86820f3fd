package definition

import (
	"fmt"
	"maps"
	"slices"

	"heed/internal/measure"
)

// Funnel is a saved funnel: what it asks stands beside its name. A query and an
// audience name it as funnel: {funnel: name}.
type Funnel struct {
	Name        string `yaml:"name" json:"name"`
	Description string `yaml:"description,omitempty" json:"description,omitempty"`

	measure.Funnel `yaml:",inline"`
}

// Board is a page of charts.
type Board struct {
	Name        string  `yaml:"name" json:"name"`
	Title       string  `yaml:"title,omitempty" json:"title,omitempty"` // empty: the name
	Description string  `yaml:"description,omitempty" json:"description,omitempty"`
	Charts      []Chart `yaml:"charts" json:"charts"`
}

// Chart is a question and how its answer is shown.
type Chart struct {
	Title string        `yaml:"title" json:"title"`
	Query measure.Query `yaml:"query" json:"query"`
	As    Look          `yaml:"as,omitempty" json:"as,omitempty"`       // empty: as its kind is best shown
	Width Width         `yaml:"width,omitempty" json:"width,omitempty"` // empty: half
}

// Look is how an answer is shown.
type Look string

// The looks. Every answer can be a table, and those that say how many users
// there are in all a number.
const (
	LookBars   Look = "bars"
	LookLine   Look = "line"
	LookFunnel Look = "funnel"
	LookGrid   Look = "grid"
	LookTable  Look = "table"
	LookNumber Look = "number"
)

// Width is how much of a row a chart takes.
type Width string

// The widths.
const (
	HalfWidth Width = "half"
	FullWidth Width = "full"
)

// Bounds of a board.
const (
	maxCharts = 24
	maxTitle  = 200 // bytes
)

// looks are those of a kind of question, the usual one first; nil for a kind
// that boards do not show.
func looks(k measure.Kind) []Look {
	switch k {
	case measure.KindSeries:
		return []Look{LookLine, LookTable, LookNumber}
	case measure.KindBreakdown:
		return []Look{LookBars, LookTable, LookNumber}
	case measure.KindFunnel:
		return []Look{LookFunnel, LookTable, LookNumber}
	case measure.KindRetention:
		return []Look{LookGrid, LookTable}
	case measure.KindPaths:
		return []Look{LookBars, LookTable}
	case measure.KindUsers:
		return []Look{LookNumber}
	case measure.KindLive, measure.KindTimeline, measure.KindSessions, measure.KindAttribution, measure.KindReturn:
	}
	return nil
}

func (c *checker) funnel(f *Funnel) {
	if f.Funnel.Funnel != "" {
		c.fail("funnel", "say its steps and its window", "only refers to another one")
		return
	}
	c.measure(measure.CheckFunnel(&f.Funnel))
	c.references("", f.References())
}

func (c *checker) board(b *Board) {
	if len(b.Title) > maxTitle {
		c.fail("title", "", "is longer than %d bytes", maxTitle)
	}
	if len(b.Charts) > maxCharts {
		c.fail("charts", "make another board", "has more than %d", maxCharts)
	}
	for i := range b.Charts {
		c.chart(fmt.Sprintf("charts[%d]", i), &b.Charts[i])
	}
}

func (c *checker) chart(path string, chart *Chart) {
	if chart.Title == "" || len(chart.Title) > maxTitle {
		c.fail(path+".title", "", "is empty, or longer than %d bytes", maxTitle)
	}
	switch chart.Width {
	case "", HalfWidth, FullWidth:
	default:
		c.fail(path+".width", "half or full", "%q is not a width", chart.Width)
	}
	q := &chart.Query
	before := len(c.problems)
	c.within(path+".query", func() { c.measure(measure.Check(q)) })
	if len(c.problems) > before {
		return
	}
	possible := looks(q.Kind())
	switch {
	case possible == nil:
		c.fail(path+".query", "series, breakdown, funnel, retention, paths or users", "a board does not show %s", q.Kind())
	case q.AsOf != "":
		c.fail(path+".query.asOf", "leave it out", "a board shows how things are now")
	case chart.As != "" && !slices.Contains(possible, chart.As):
		c.fail(path+".as", fmt.Sprint(possible), "%q does not show %s", chart.As, q.Kind())
	}
	c.references(path+".query.", q.References())
	if len(c.problems) > before {
		return
	}
	// What it refers to may not belong in its place.
	_, err := measure.Resolve(q, unfrozen{c.set})
	c.within(path+".query", func() { c.measure(err) })
}

// references checks that names lead somewhere.
func (c *checker) references(path string, list []measure.Reference) {
	for _, r := range list {
		kind := Kind(r.Kind)
		known := map[Kind]func(func(string) bool){
			KindDimension: c.set.dimensionNames(), KindAudience: maps.Keys(c.set.Audiences), KindFunnel: maps.Keys(c.set.Funnels),
		}[kind]
		c.refer(path+r.Path, kind, r.Name, known)
	}
}

// within puts the problems that check finds below a path.
func (c *checker) within(path string, check func()) {
	from := len(c.problems)
	check()
	for i := from; i < len(c.problems); i++ {
		p := &c.problems[i]
		at := path
		if p.Path != "" {
			at += "." + p.Path
		}
		*p = c.doc.Problem(at, p.Message, p.Hint)
	}
}

// FunnelNamed is a saved funnel.
func (s *Set) FunnelNamed(name string) (*measure.Funnel, error) {
	if f := s.Funnels[name]; f != nil {
		return &f.Funnel, nil
	}
	return nil, nil
}
