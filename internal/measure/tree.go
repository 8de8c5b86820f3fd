package measure

import (
	"fmt"

	"heed/internal/condition"
)

// Reference is a name that a query or an audience uses.
type Reference struct {
	Path string
	Kind string // audience, dimension or funnel
	Name string
}

// References lists the names that a query uses, with their places.
func (q *Query) References() []Reference {
	var out []Reference
	if q.Audience != nil {
		q.Audience.refer("audience", &out)
	}
	switch {
	case q.Series != nil && q.Series.By != nil:
		q.Series.By.refer("series.by", &out)
	case q.Breakdown != nil:
		for i := range q.Breakdown.By {
			q.Breakdown.By[i].refer(fmt.Sprintf("breakdown.by[%d]", i), &out)
		}
	case q.Funnel != nil:
		q.Funnel.refer("funnel", &out)
	}
	return out
}

func (d *Dimension) refer(path string, out *[]Reference) {
	if d.Dimension != "" {
		*out = append(*out, Reference{Path: path + ".dimension", Kind: "dimension", Name: d.Dimension})
	}
}

// References lists the names that a funnel uses, with their places.
func (f *Funnel) References() []Reference {
	var out []Reference
	f.refer("", &out)
	return out
}

func (f *Funnel) refer(path string, out *[]Reference) {
	if f.Funnel != "" {
		*out = append(*out, Reference{Path: joinPath(path, "funnel"), Kind: "funnel", Name: f.Funnel})
	}
	if f.By != nil {
		f.By.refer(joinPath(path, "by"), out)
	}
}

// References lists the names that a tree uses, with their places.
func (a *Audience) References() []Reference {
	var out []Reference
	a.refer("", &out)
	return out
}

func (a *Audience) refer(path string, out *[]Reference) {
	sub := func(name string) string { return joinPath(path, name) }
	if a.Audience != "" {
		*out = append(*out, Reference{Path: sub("audience"), Kind: "audience", Name: a.Audience})
	}
	if a.Is != nil {
		a.Is.Dimension.refer(sub("is.dimension"), out)
	}
	if a.Did != nil {
		for i := range a.Did.Is {
			a.Did.Is[i].Dimension.refer(sub(fmt.Sprintf("did.is[%d].dimension", i)), out)
		}
	}
	if a.Funnel != nil {
		a.Funnel.Funnel.refer(sub("funnel.funnel"), out)
	}
	for i := range a.All {
		a.All[i].refer(sub(fmt.Sprintf("all[%d]", i)), out)
	}
	for i := range a.Any {
		a.Any[i].refer(sub(fmt.Sprintf("any[%d]", i)), out)
	}
	if a.Not != nil {
		a.Not.refer(sub("not"), out)
	}
}

// Profile is the tree as one condition on traits, if it asks for nothing else:
// such an audience is decided by the profile alone, without any history.
func (a *Audience) Profile() (c condition.Condition, ok bool) {
	list := func(in []Audience) []condition.Condition {
		out := make([]condition.Condition, len(in))
		for i := range in {
			one, profile := in[i].Profile()
			out[i], ok = one, ok && profile
		}
		return out
	}
	ok = true
	switch {
	case a.Where != nil:
		return *a.Where, true
	case a.All != nil:
		c.All = list(a.All)
	case a.Any != nil:
		c.Any = list(a.Any)
	case a.Not != nil:
		one, profile := a.Not.Profile()
		return condition.Condition{Not: &one}, profile
	case a.Is != nil, a.Did != nil, a.Consent != "", a.Audience != "", a.Users != nil, a.Funnel != nil, a.Retention != nil, a.Path != nil, a.Session != nil:
		return c, false
	}
	return c, ok
}
