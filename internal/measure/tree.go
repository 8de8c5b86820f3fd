package measure

import (
	"fmt"

	"heed/internal/condition"
)

// Reference is a name that an audience or a dimension uses.
type Reference struct {
	Path      string
	Name      string
	Dimension bool // else an audience
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
		*out = append(*out, Reference{Path: sub("audience"), Name: a.Audience})
	}
	if a.Is != nil && a.Is.Dimension.Dimension != "" {
		*out = append(*out, Reference{Path: sub("is.dimension.dimension"), Name: a.Is.Dimension.Dimension, Dimension: true})
	}
	if a.Did != nil {
		for i := range a.Did.Is {
			if name := a.Did.Is[i].Dimension.Dimension; name != "" {
				*out = append(*out, Reference{Path: sub(fmt.Sprintf("did.is[%d].dimension.dimension", i)), Name: name, Dimension: true})
			}
		}
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
