package trigger

import (
	"slices"

	"heed/internal/condition"
)

// Fields lists what a definition reads of events, profiles and pulled documents:
// the fields of its conditions, of its correlation and of what must differ, in
// order of name.
func (d *Definition) Fields() []string {
	var out []string
	add := func(fields ...string) {
		for _, f := range fields {
			if f != "" && !slices.Contains(out, f) {
				out = append(out, f)
			}
		}
	}
	where := func(c *condition.Condition) {
		if c != nil {
			add(condition.Fields(*c)...)
		}
	}
	for i := range d.Pattern {
		s := &d.Pattern[i]
		where(s.Where)
		add(s.Distinct)
		for j := range s.All {
			where(s.All[j].Where)
		}
	}
	if d.By != nil {
		add(d.By.Field)
		for _, f := range d.By.PerEvent {
			add(f)
		}
	}
	slices.Sort(out)
	return out
}
