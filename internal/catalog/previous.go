package catalog

import (
	"context"
	"encoding/json"

	"heed/internal/definition"
	"heed/internal/trigger"
)

// lookBack bounds the versions of a trigger in which its former pattern is looked
// for: after so many edits of other things nothing of it is under way any more.
const lookBack = 100

// previous finds what the triggers of a revision were before their pattern was
// last edited: the newest version before that was another pattern, unless the
// trigger was deleted meanwhile. It depends on the versions alone, so that every
// start finds the same.
func (c *Catalog) previous(ctx context.Context, set *definition.Set, versions map[string]int64) error {
	for name, d := range set.Triggers {
		ref := definition.Ref(definition.KindTrigger, name)
		now, err := trigger.Compile(d)
		if err != nil {
			continue // nothing runs, so nothing is finished
		}
		for v := versions[ref] - 1; v > 0 && v > versions[ref]-lookBack; v-- {
			r, err := c.version(ctx, ref, v)
			if err != nil {
				return err
			}
			if r.Deleted {
				break
			}
			was := new(trigger.Definition)
			if json.Unmarshal(r.Spec, was) != nil {
				break // an older Heed wrote it: it cannot be finished
			}
			p, err := trigger.Compile(was)
			if err != nil {
				break
			}
			if p.Pattern == now.Pattern {
				continue
			}
			if set.Previous == nil {
				set.Previous = map[string]*trigger.Definition{}
			}
			set.Previous[name] = was
			break
		}
	}
	return nil
}
