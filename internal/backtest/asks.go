package backtest

import (
	"strings"

	"heed/internal/condition"
	"heed/internal/trigger"
)

// asks tells whether a condition, a correlation or a distinct step of the
// trigger reads a field of that kind, such as "traits.".
func asks(d *trigger.Definition, kind string) bool {
	for i := range d.Pattern {
		s := &d.Pattern[i]
		if asksIn(s.Where, kind) || strings.HasPrefix(s.Distinct, kind) {
			return true
		}
		for j := range s.All {
			if asksIn(s.All[j].Where, kind) {
				return true
			}
		}
	}
	if d.By == nil {
		return false
	}
	for _, field := range d.By.PerEvent {
		if strings.HasPrefix(field, kind) {
			return true
		}
	}
	return strings.HasPrefix(d.By.Field, kind)
}

func asksIn(c *condition.Condition, kind string) bool {
	if c == nil {
		return false
	}
	if strings.HasPrefix(c.Field, kind) || asksIn(c.Not, kind) {
		return true
	}
	for _, list := range [][]condition.Condition{c.All, c.Any} {
		for i := range list {
			if asksIn(&list[i], kind) {
				return true
			}
		}
	}
	return false
}
