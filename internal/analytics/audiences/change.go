package audiences

import (
	"cmp"
	"context"
	"slices"

	"heed/internal/journey"
)

// members are users: those whom the index knows, by its numbers, and ids that
// are nobody's there.
type members struct {
	known journey.Members
	other map[string]struct{}
}

func (m *members) len() int64 { return int64(m.known.Len() + len(m.other)) }

// change is how members differ from those that the log was told last.
type change struct {
	entered, left  []string // they get an event
	added, removed []string // they get none
	moved          []move
}

// move says that an id that was a member has become another's.
type move struct {
	from, to string
	how      how
}

// how says what becomes of the other id.
type how uint8

const (
	stays how = iota // it was a member, or is dealt with already
	came             // it takes the place of the id
	went             // the person is no member any more
)

func (c *change) size() int {
	return len(c.entered) + len(c.left) + len(c.added) + len(c.removed) + len(c.moved)
}

// people looks ids up; the zero people knows nobody.
type people struct {
	journey.People
	any bool
}

// put adds ids to members.
func (p people) put(m *members, ids []string) {
	for _, id := range ids {
		if !p.any || !p.Put(&m.known, id) {
			m.other[id] = struct{}{}
		}
	}
}

func (p people) today(id string) (string, bool) {
	if !p.any {
		return "", false
	}
	return p.Today(id)
}

func (p people) has(m *members, id string) bool {
	if _, ok := m.other[id]; ok {
		return true
	}
	return p.any && p.Has(m.known, id)
}

// differ compares. moved tells, of an id that the index does not know, who the
// Decider says it has become, "" for nobody.
func differ(p people, was, is *members, moved func(id string) (string, error)) (*change, error) {
	c := new(change)
	var strays []string // they were members, and their ids are nobody's any more
	if p.any {
		p.Differ(is.known, was.known, func(id string, gone bool) {
			if !gone {
				c.entered = append(c.entered, id)
			}
		})
		p.Differ(was.known, is.known, func(id string, gone bool) {
			if gone {
				strays = append(strays, id)
			} else {
				c.left = append(c.left, id)
			}
		})
	}
	for id := range is.other {
		if _, ok := was.other[id]; !ok {
			c.entered = append(c.entered, id)
		}
	}
	for id := range was.other {
		if _, ok := is.other[id]; !ok {
			strays = append(strays, id)
		}
	}
	if len(strays) == 0 {
		return c, nil
	}
	slices.Sort(strays)
	quiet := map[string]bool{} // who enters in the place of another id, or was in already
	gone := map[string]bool{}
	for _, id := range strays {
		to, ok := p.today(id)
		if !ok {
			var err error
			if to, err = moved(id); err != nil {
				return nil, err
			}
		}
		m := move{from: id, to: to}
		switch in := p.has(is, to); {
		case to == "" || to == id && !in:
			c.left = append(c.left, id)
			continue
		case to == id:
			quiet[id] = true
			continue
		case p.has(was, to) || quiet[to] || gone[to]:
		case in:
			m.how, quiet[to] = came, true
		default:
			m.how, gone[to] = went, true
		}
		c.moved = append(c.moved, m)
	}
	c.entered = slices.DeleteFunc(c.entered, func(id string) bool { return quiet[id] })
	slices.SortFunc(c.moved, func(a, b move) int { return cmp.Compare(a.from, b.from) })
	return c, nil
}

// silence takes the events away: the audience is not what it was.
func (c *change) silence() {
	c.added, c.entered = append(c.added, c.entered...), nil
	c.removed, c.left = append(c.removed, c.left...), nil
	for _, m := range c.moved {
		c.removed = append(c.removed, m.from)
		switch m.how {
		case stays:
		case came:
			c.added = append(c.added, m.to)
		case went:
			c.removed = append(c.removed, m.to)
		}
	}
	c.moved = nil
}

// maxHops bounds how often an id has become another.
const maxHops = 8

// movedTo is who the Decider says an id has become, "" for nobody.
func (k *Keeper) movedTo(ctx context.Context, id string) (string, error) {
	to := ""
	for range maxHops {
		p, err := k.deps.Profiles.Profile(ctx, id)
		if err != nil {
			return "", err
		}
		if p == nil || p.Moved.To == "" {
			break
		}
		to, id = p.Moved.To, p.Moved.To
	}
	return to, nil
}
