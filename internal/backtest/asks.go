package backtest

import (
	"slices"
	"strings"

	"heed/internal/condition"
	"heed/internal/trigger"
)

// asks tells whether a condition, a correlation or a distinct step of the
// trigger reads a field of that kind, such as "traits.".
func asks(d *trigger.Definition, kind string) bool { return among(d.Fields(), kind) }

func asksIn(c *condition.Condition, kind string) bool {
	return c != nil && among(condition.Fields(*c), kind)
}

func among(fields []string, kind string) bool {
	return slices.ContainsFunc(fields, func(f string) bool { return strings.HasPrefix(f, kind) })
}
