package measure

import (
	"fmt"
	"math"
	"slices"
)

// Names looks up what a query refers to. What does not exist is nil without an
// error.
type Names interface {
	// AudienceNamed is an audience's tree, or its members if it is frozen.
	AudienceNamed(name string) (*Audience, error)
	DimensionNamed(name string) (*Dimension, error)
	FunnelNamed(name string) (*Funnel, error)
}

// Resolve puts what a query refers to in the place of its names and fills in
// defaults, so that it can be answered by itself. The query that it is given
// stays as it is. Its error is an *Error.
func Resolve(q *Query, names Names) (*Query, error) {
	r := resolver{names: names}
	out := *q
	var err error
	if q.Audience != nil {
		a, err := r.audience(*q.Audience)
		if err != nil {
			return nil, at("audience", err)
		}
		out.Audience = &a
	}
	switch {
	case q.Series != nil:
		s := *q.Series
		if s.Count == "" {
			s.Count = CountEvents
		}
		s.Top = orDefault(s.Top, 10)
		s.By, err = r.by(s.By)
		out.Series = &s
	case q.Breakdown != nil:
		b := *q.Breakdown
		if b.Count == "" {
			b.Count = CountEvents
			if b.Of == nil {
				b.Count = CountUsers
			}
		}
		b.Top = orDefault(b.Top, 100)
		b.By = slices.Clone(b.By)
		for i := range b.By {
			if b.By[i], err = r.dimension(b.By[i]); err != nil {
				err = at(fmt.Sprintf("by[%d]", i), err)
				break
			}
		}
		out.Breakdown = &b
	case q.Funnel != nil:
		var f Funnel
		if f, err = r.funnel(*q.Funnel); err != nil {
			break
		}
		f.Top = orDefault(f.Top, 10)
		f.By, err = r.by(f.By)
		out.Funnel = &f
	case q.Paths != nil:
		p := *q.Paths
		p.Top = orDefault(p.Top, 10)
		out.Paths = &p
	case q.Live != nil:
		l := *q.Live
		l.Top = orDefault(l.Top, 10)
		out.Live = &l
	case q.Timeline != nil:
		t := *q.Timeline
		t.Limit = orDefault(t.Limit, 100)
		out.Timeline = &t
	case q.Attribution != nil:
		a := *q.Attribution
		if a.Model == "" {
			a.Model = LastTouch
		}
		if a.By == "" {
			a.By = BySource
		}
		if a.Lookback == 0 {
			a.Lookback = DefaultLookback
		}
		a.Top = orDefault(a.Top, 100)
		out.Attribution = &a
	}
	if err != nil {
		return nil, at(string(q.Kind()), err)
	}
	// A name may have stood for what does not belong in its place, and the whole
	// may have grown too large. Members of a frozen audience may be many.
	if err := check(&out, math.MaxInt); err != nil {
		return nil, err
	}
	return &out, nil
}

func orDefault(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

type resolver struct {
	names Names
	open  []string // audiences that are being resolved
	nodes int
}

func (r *resolver) by(d *Dimension) (*Dimension, error) {
	if d == nil {
		return nil, nil
	}
	out, err := r.dimension(*d)
	return &out, at("by", err)
}

func (r *resolver) dimension(d Dimension) (Dimension, error) {
	if d.Dimension == "" {
		return d, nil
	}
	found, err := r.names.DimensionNamed(d.Dimension)
	if err != nil {
		return d, wrong("dimension", "%q: %v", d.Dimension, err)
	}
	if found == nil {
		return d, wrong("dimension", "%q does not exist", d.Dimension)
	}
	if found.Dimension != "" {
		return d, wrong("dimension", "%q only refers to %q", d.Dimension, found.Dimension)
	}
	return *found, nil
}

// WithFunnel puts a saved funnel in the place of its name, and nothing else. Its
// error is an *Error.
func (q *Query) WithFunnel(names Names) (*Query, error) {
	if q.Funnel == nil {
		return q, nil
	}
	r := resolver{names: names}
	f, err := r.funnel(*q.Funnel)
	out := *q
	out.Funnel = &f
	return &out, at("funnel", err)
}

func (r *resolver) funnel(f Funnel) (Funnel, error) {
	if f.Funnel == "" {
		return f, nil
	}
	found, err := r.names.FunnelNamed(f.Funnel)
	if err != nil {
		return f, wrong("funnel", "%q: %v", f.Funnel, err)
	}
	if found == nil {
		return f, wrong("funnel", "%q does not exist", f.Funnel)
	}
	if found.Funnel != "" {
		return f, wrong("funnel", "%q only refers to %q", f.Funnel, found.Funnel)
	}
	out := *found
	if f.By != nil {
		out.By = f.By
	}
	out.Top = orDefault(f.Top, out.Top)
	return out, nil
}

func (r *resolver) audience(a Audience) (Audience, error) {
	if r.nodes++; r.nodes > MaxNodes {
		return a, wrong("", "has more than %d parts, with those of the audiences it names", MaxNodes)
	}
	var err error
	switch {
	case a.Audience != "":
		if slices.Contains(r.open, a.Audience) {
			return a, wrong("audience", "%q refers to itself", a.Audience)
		}
		found, err := r.names.AudienceNamed(a.Audience)
		if err != nil {
			return a, wrong("audience", "%q: %v", a.Audience, err)
		}
		if found == nil {
			return a, wrong("audience", "%q does not exist", a.Audience)
		}
		r.open = append(r.open, a.Audience)
		defer func() { r.open = r.open[:len(r.open)-1] }()
		return r.audience(*found)
	case a.All != nil:
		a.All, err = r.list("all", a.All)
	case a.Any != nil:
		a.Any, err = r.list("any", a.Any)
	case a.Not != nil:
		var n Audience
		n, err = r.audience(*a.Not)
		a.Not, err = &n, at("not", err)
	case a.Is != nil:
		is := *a.Is
		is.Dimension, err = r.dimension(is.Dimension)
		a.Is, err = &is, at("is", err)
	case a.Funnel != nil:
		in := *a.Funnel
		in.Funnel, err = r.funnel(in.Funnel)
		in.Funnel.By, in.Funnel.Top = nil, 0 // of how it is shown
		a.Funnel, err = &in, at("funnel", err)
	case a.Did != nil && len(a.Did.Is) > 0:
		did := *a.Did
		did.Is = slices.Clone(did.Is)
		for i := range did.Is {
			if did.Is[i].Dimension, err = r.dimension(did.Is[i].Dimension); err != nil {
				return a, at(fmt.Sprintf("did.is[%d]", i), err)
			}
		}
		a.Did = &did
	}
	return a, err
}

func (r *resolver) list(path string, list []Audience) ([]Audience, error) {
	out := make([]Audience, len(list))
	for i := range list {
		var err error
		if out[i], err = r.audience(list[i]); err != nil {
			return nil, at(fmt.Sprintf("%s[%d]", path, i), err)
		}
	}
	return out, nil
}
