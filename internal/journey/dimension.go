package journey

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"heed/internal/condition"
	"heed/internal/measure"
	"heed/internal/touch"
)

// values numbers the values of a dimension; 0 is missing. It may be used
// concurrently.
type values struct {
	mu   sync.Mutex
	list []*string
	ids  map[string]uint32
}

func newValues() *values { return &values{list: []*string{nil}, ids: map[string]uint32{}} }

func (v *values) put(s *string) uint32 {
	if s == nil {
		return 0
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	id, ok := v.ids[*s]
	if !ok {
		id = uint32(len(v.list))
		text := strings.Clone(*s)
		v.list = append(v.list, &text)
		v.ids[text] = id
	}
	return id
}

func (v *values) text(id uint32) *string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.list[id]
}

// dimension is one of users: each worker reads it through its own reader.
type dimension struct {
	values *values
	reader func() func(u uint32) uint32
}

// kindDimension is one of events: a value per kind.
type kindDimension struct {
	values *values
	of     []uint32
}

func (e *query) perKind(d *measure.Dimension) (kindDimension, error) {
	if !e.x.knows(d.Field) {
		return kindDimension{}, errFacts
	}
	f, err := condition.CompileField(d.Field)
	if err != nil {
		return kindDimension{}, err
	}
	out := kindDimension{values: newValues(), of: make([]uint32, len(e.x.kinds))}
	named := d.Field == "event.event" || d.Field == "event.name"
	for code := 1; code < len(out.of); code++ {
		k := &e.x.kinds[code]
		if k.coarse && !named {
			return out, errFacts
		}
		out.of[code] = out.values.put(d.Bucket(first(f, &condition.Facts{Event: &k.sample})))
	}
	return out, nil
}

func first(f *condition.Field, facts *condition.Facts) *string {
	if got := f.Texts(facts, nil, 1); len(got) > 0 {
		return &got[0]
	}
	return nil
}

func traitKey(field string) string {
	key, _, _ := strings.Cut(strings.TrimPrefix(field, "traits."), ".")
	key, _, _ = strings.Cut(key, "[")
	return key
}

// document is a JSON object of one key, or nil without a value.
func document(key, raw string) []byte {
	if raw == "" {
		return nil
	}
	name, err := json.Marshal(key)
	if err != nil { // a string always has a JSON form
		return nil
	}
	return slices.Concat([]byte{'{'}, name, []byte{':'}, []byte(raw), []byte{'}'})
}

func (e *query) dimension(d *measure.Dimension) (*dimension, error) {
	switch {
	case d.Days != nil:
		return e.daysOf(d)
	case d.Events != nil:
		return e.eventsOf(d)
	case d.Recency != nil:
		return e.recency(d)
	case d.Sum != nil:
		return nil, errFacts
	}
	head, rest, _ := strings.Cut(d.Field, ".")
	switch head {
	case "traits":
		key := traitKey(d.Field)
		col, ok := e.x.traits.find(key)
		return e.ofJSON(d, d.Field, key, col, ok)
	case "consent":
		key := traitKey(rest)
		col, ok := e.x.consent.find(key)
		return e.ofJSON(d, "traits."+rest, key, col, ok)
	case "user":
		i := slices.Index([]string{"country", "locale", "timezone", "device", "os", "browser"}, rest)
		if i < 0 {
			return nil, errFacts
		}
		return e.ofColumn(&e.x.places[i], func(raw string) *string { return d.Bucket(&raw) })
	case "acquisition":
		if i := slices.Index([]string{"source", "medium", "campaign"}, rest); i >= 0 {
			return e.ofColumn(&e.x.acquisition[i], func(raw string) *string { return d.Bucket(&raw) })
		}
		return e.dateOf(d, measure.Unit(rest), func(u uint32) int64 { return e.x.firstAt[u] })
	case "lastTouch":
		return e.lastTouch(d, rest)
	}
	return nil, errFacts
}

func (e *query) lastTouch(d *measure.Dimension, what string) (*dimension, error) {
	col := &e.x.lastTouch
	if col.wide {
		return nil, errFacts
	}
	switch part := measure.TouchPart(what); part {
	case measure.BySource, measure.ByMedium, measure.ByCampaign:
		of := func(t touch.Touch) *string {
			if v := part.Of(t); v != "" {
				return d.Bucket(&v)
			}
			return nil
		}
		texts, err := e.ofColumn(col, func(raw string) *string { return of(touch.Parse(raw)) })
		if err != nil {
			return nil, err
		}
		none := texts.values.put(of(touch.Direct()))
		return &dimension{texts.values, func() func(u uint32) uint32 {
			read := texts.reader()
			return func(u uint32) uint32 {
				if col.get(u) == 0 {
					return none
				}
				return read(u)
			}
		}}, nil
	}
	return e.dateOf(d, measure.Unit(what), func(u uint32) int64 {
		if col.get(u) == 0 {
			return never
		}
		return col.at[u]
	})
}

func (e *query) ofJSON(d *measure.Dimension, field, key string, col *column, ok bool) (*dimension, error) {
	if !ok {
		return nil, errFacts
	}
	f, err := condition.CompileField(field)
	if err != nil {
		return nil, err
	}
	return e.ofColumn(col, func(raw string) *string {
		return d.Bucket(first(f, &condition.Facts{Traits: document(key, raw)}))
	})
}

func (e *query) ofColumn(col *column, value func(raw string) *string) (*dimension, error) {
	v := newValues()
	if col == nil {
		return &dimension{v, func() func(u uint32) uint32 { return func(uint32) uint32 { return 0 } }}, nil
	}
	if col.wide {
		return nil, errFacts
	}
	of := make([]uint32, max(1, len(col.texts)))
	for i := 1; i < len(col.texts); i++ {
		of[i] = v.put(value(col.texts[i]))
	}
	return &dimension{v, func() func(u uint32) uint32 { return func(u uint32) uint32 { return of[col.get(u)] } }}, nil
}

// calendar cuts a span into units of local time.
type calendar struct{ starts []int64 }

// calendarOf covers a span as far as there are events.
func (e *query) calendarOf(in measure.Span, u measure.Unit) (calendar, error) {
	in.From, in.To = max(in.From, e.x.minTime), min(in.To, e.x.maxTime+1)
	starts, err := e.f.Buckets(in, u, 100_000)
	return calendar{starts}, err
}

// find is the index of the unit that a time lies in; near is a guess at or
// before it.
func (c *calendar) find(t int64, near int) int {
	if near+1 >= len(c.starts) || t < c.starts[near+1] {
		return near
	}
	if near+2 >= len(c.starts) || t < c.starts[near+2] {
		return near + 1
	}
	i, found := slices.BinarySearch(c.starts[near+2:], t)
	if found {
		return near + 2 + i
	}
	return near + 1 + i
}

// dateOf is the day, week or month of a time of the user; never: none.
func (e *query) dateOf(d *measure.Dimension, unit measure.Unit, at func(u uint32) int64) (*dimension, error) {
	cal, err := e.calendarOf(measure.Span{To: never}, unit)
	if err != nil {
		return nil, errFacts
	}
	layout := time.DateOnly
	if unit == measure.Month {
		layout = "2006-01"
	}
	v := newValues()
	of := make([]uint32, len(cal.starts))
	for i, at := range cal.starts {
		text := time.UnixMicro(at).In(e.f.Zone).Format(layout)
		of[i] = v.put(d.Bucket(&text))
	}
	return &dimension{v, func() func(u uint32) uint32 {
		return func(u uint32) uint32 {
			if t := at(u); t != never {
				return of[cal.find(t, 0)]
			}
			return 0
		}
	}}, nil
}

func (e *query) eventsOf(d *measure.Dimension) (*dimension, error) {
	in, err := e.f.Span(d.Events.During)
	if err != nil {
		return nil, err
	}
	takes, err := e.matching(d.Events.Match(), e.all())
	if err != nil {
		return nil, err
	}
	v := newValues()
	return &dimension{v, func() func(u uint32) uint32 {
		known := map[int]uint32{}
		return func(u uint32) uint32 {
			n := 0
			for _, w := range e.within(u, in) {
				if takes[w&codeMask] {
					n++
				}
			}
			id, ok := known[n]
			if !ok {
				id = v.put(d.BucketNumber(float64(n)))
				known[n] = id
			}
			return id
		}
	}}, nil
}

func (e *query) daysOf(d *measure.Dimension) (*dimension, error) {
	in, err := e.f.Span(d.Days.During)
	if err != nil {
		return nil, err
	}
	takes, err := e.matching(d.Days.Match(), e.all())
	if err != nil {
		return nil, err
	}
	cal, err := e.calendarOf(in, measure.Day)
	if err != nil {
		return nil, errFacts
	}
	v := newValues()
	return &dimension{v, func() func(u uint32) uint32 {
		var known []uint32 // by number of days, plus one
		return func(u uint32) uint32 {
			n, day := 0, -1
			next := int64(0) // the first moment behind the day
			for _, w := range e.within(u, in) {
				if t := timeOf(w); takes[w&codeMask] && (day < 0 || t >= next) {
					n++
					day = cal.find(t, max(day, 0))
					next = never
					if day+1 < len(cal.starts) {
						next = cal.starts[day+1]
					}
				}
			}
			for n >= len(known) {
				known = append(known, 0)
			}
			if known[n] == 0 {
				known[n] = v.put(d.BucketNumber(float64(n))) + 1
			}
			return known[n] - 1
		}
	}}, nil
}

func (e *query) recency(d *measure.Dimension) (*dimension, error) {
	in, err := e.f.Span(d.Recency.During)
	if err != nil {
		return nil, err
	}
	takes, err := e.matching(d.Recency.Match(), e.all())
	if err != nil {
		return nil, err
	}
	v := newValues()
	return &dimension{v, func() func(u uint32) uint32 {
		known := map[int64]uint32{}
		return func(u uint32) uint32 {
			for _, w := range slices.Backward(e.within(u, in)) {
				if !takes[w&codeMask] {
					continue
				}
				days := (e.f.AsOf - timeOf(w)) / dayMicros
				id, ok := known[days]
				if !ok {
					id = v.put(d.BucketNumber(float64(days)))
					known[days] = id
				}
				return id
			}
			return 0
		}
	}}, nil
}
