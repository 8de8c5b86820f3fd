package content

import (
	"maps"
	"slices"

	"heed/internal/definition"
	"heed/internal/profile"
	"heed/internal/render"
)

// Readers are those who get one of the texts of a template.
type Readers struct {
	Locale   string // of the text; "" if nobody has said it
	Fallback bool   // it is the text for everybody
	Users    int
	Unknown  int    // of them, whose language is not known
	First    string // one of them; "" if there is none
}

// Tally counts readers by text. It is not safe for concurrent use.
type Tally struct {
	template *definition.Template
	readers  []Readers // in the order of Readers
}

// NewTally begins to count the readers of a template.
func NewTally(t *definition.Template) *Tally {
	out := &Tally{template: t}
	for _, locale := range slices.Sorted(maps.Keys(t.Locales)) {
		out.readers = append(out.readers, Readers{Locale: locale})
	}
	out.readers = append(out.readers, Readers{Locale: t.Locale, Fallback: true})
	return out
}

// Add counts a user; the profile may be nil.
func (c *Tally) Add(user string, p *profile.Profile) {
	reads := LocaleOf(p)
	locale := c.template.In(reads).Locale
	last := len(c.readers) - 1
	i := slices.IndexFunc(c.readers[:last], func(r Readers) bool { return r.Locale == locale })
	if i < 0 {
		i = last
	}
	r := &c.readers[i]
	r.Users++
	if len(render.Locales(reads)) == 0 {
		r.Unknown++
	}
	if r.First == "" {
		r.First = user
	}
}

// Readers are those of each text, by locale, and at last those of the text for
// everybody. A text that nobody gets is among them.
func (c *Tally) Readers() []Readers { return slices.Clone(c.readers) }
