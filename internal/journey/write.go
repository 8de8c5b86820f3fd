package journey

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"

	"github.com/cespare/xxhash/v2"

	"heed/internal/event"
	"heed/internal/profile"
	"heed/internal/touch"
)

// Writer changes the index, inside of Write.
type Writer struct{ x *Index }

// Write lets one function change the index. Queries wait for it, so it takes a
// batch at a time. Only one goroutine may write.
func (x *Index) Write(change func(w *Writer)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	change(&Writer{x: x})
}

// Next says that the records of a partition of the log below an offset are in.
func (w *Writer) Next(partition int, offset int64) { w.x.next[partition] = offset }

// At is Index.Next.
func (w *Writer) At(partition int) int64 { return w.x.next[partition] }

// Add takes in one event. It keeps nothing of it. Repeats are the caller's to
// drop; late events go to their place.
func (w *Writer) Add(e *event.Event) {
	x := w.x
	if e.Type == event.System || e.User() == "" {
		return
	}
	t := min(max(e.Timestamp, 0), maxTime)
	counts := profile.Counts(e)
	if e.Context.Bot || Internal(e) {
		if counts {
			which := 0
			if !e.Context.Bot {
				which = 1
			}
			x.aside[which][t/dayMicros] = append(x.aside[which][t/dayMicros], t)
		}
		return
	}
	code := x.kindOf(e)
	if code == 0 {
		return
	}
	u := x.enter(e.User())
	x.change(u)
	x.insert(u, word(t, code))
	name := x.kinds[code].name
	x.did.Add(u, name, dayOf(t))
	for int(name) >= len(x.touched) {
		x.touched = append(x.touched, 0)
	}
	x.touched[name] = x.version
	x.total++
	x.minTime, x.maxTime = min(x.minTime, t), max(x.maxTime, t)
	if profile.Tells(e) {
		x.learn(u, e, t)
	}
}

// change notes that something of a user changes.
func (x *Index) change(u uint32) {
	x.version++
	for int(u) >= len(x.changed) {
		x.changed = append(x.changed, 0)
	}
	x.changed[u] = x.version
	x.recent[x.version%uint64(len(x.recent))] = u
}

// Internal tells whether an event is the shop's own traffic: its context says
// internal: true.
func Internal(e *event.Event) bool {
	if !bytes.Contains(e.Context.Extra, []byte(`"internal"`)) {
		return false
	}
	var extra struct {
		Internal any `json:"internal"`
	}
	if json.Unmarshal(e.Context.Extra, &extra) != nil {
		return false
	}
	internal, _ := extra.Internal.(bool)
	return internal
}

// insert puts a word into its place: behind all that are not later.
func (x *Index) insert(u uint32, w uint64) {
	list := x.events.At(u)
	at := len(list)
	if at > 0 && timeOf(list[at-1]) > timeOf(w) {
		at = behind(list, timeOf(w))
	}
	x.events.Insert(u, at, w)
}

// behind is the index of the first word later than t. Mostly it is near the end,
// so the search goes there in steps that double, and then halves the last one.
func behind(list []uint64, t int64) int {
	low, high := 0, len(list)
	for step := 4; high > 0; step *= 2 {
		at := max(0, high-step)
		if timeOf(list[at]) <= t {
			low = at + 1
			break
		}
		high = at
	}
	for low < high {
		middle := int(uint(low+high) >> 1)
		if timeOf(list[middle]) <= t {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

// from is the index of the first word not before t.
func from(list []uint64, t int64) int { return behind(list, t-1) }

// learn keeps what an event says about its user.
func (x *Index) learn(u uint32, e *event.Event, t int64) {
	c := &e.Context
	brought := touch.Of(c.Campaign.Source, c.Campaign.Medium, c.Campaign.Name, c.Page.Referrer, c.Page.URL, nil)
	if t < x.firstAt[u] {
		x.people = x.version
		x.firstAt[u] = t
		x.newest = max(x.newest, t)
		x.acquisition[0].set(u, brought.Source, 0)
		x.acquisition[1].set(u, brought.Medium, 0)
		x.acquisition[2].set(u, brought.Campaign, 0)
	}
	if brought != touch.Direct() && profile.Counts(e) {
		x.lastTouch.set(u, brought.Text(), t)
		x.people = x.version
	}
	x.alive = x.alive.Sized(u)
	x.alive.Add(u)
	for i, v := range [...]string{e.Context.Country, e.Context.Locale, e.Context.Timezone, e.Context.Device, e.Context.OS, e.Context.Browser} {
		if v != "" {
			c := &x.places[i]
			was := c.get(u)
			if c.set(u, v, t); c.get(u) != was {
				x.people = x.version
			}
		}
	}
	if len(e.Context.Consent) > 0 || e.Type == event.Identify {
		x.people = x.version
	}
	if len(e.Context.Consent) > 0 {
		x.keep(&x.consent, u, e.Context.Consent, t)
	}
	if e.Type == event.Identify && len(e.Traits) > 0 {
		if stated := x.keep(&x.traits, u, e.Traits, t); stated != nil {
			x.keep(&x.consent, u, stated, t)
		}
	}
}

// keep writes the keys of a JSON object into columns; it returns the value of
// the key "consent".
func (x *Index) keep(into *columns, u uint32, doc []byte, t int64) (stated []byte) {
	var m map[string]json.RawMessage
	if json.Unmarshal(doc, &m) != nil {
		return nil
	}
	for key, raw := range m {
		if key == "consent" {
			stated = raw
		}
		if c := into.enter(key); c != nil {
			value := string(raw)
			if value == "null" {
				value = ""
			}
			c.set(u, value, t)
		}
	}
	return stated
}

// Merge says that the user of one id turned out to be that of another: all that
// the first did and is becomes the other's, and so does what comes for the first
// id from now on.
func (w *Writer) Merge(id, into string) {
	x := w.x
	if id == "" || into == "" {
		return
	}
	a, known := x.number(id)
	u := x.enter(into)
	x.change(u)
	x.joined = x.version
	if !known {
		x.odd[string([]byte(id))] = u
		return
	}
	if a == u {
		return
	}
	x.change(a)
	x.events.Put(u, join(x.events.At(u), x.events.At(a)))
	for _, w := range x.events.At(a) {
		x.did.Add(u, x.kinds[w&codeMask].name, dayOf(timeOf(w)))
	}
	x.unmark(a)
	if x.firstAt[a] < x.firstAt[u] {
		x.firstAt[u] = x.firstAt[a]
		for i := range x.acquisition {
			c := &x.acquisition[i]
			if !c.wide {
				c.write(u, c.get(a), 0)
			}
		}
	}
	if x.alive.Has(a) {
		x.alive = x.alive.Sized(u)
		x.alive.Add(u)
	}
	x.eachColumn(func(c *column) { c.move(a, u) })
	x.bury(a)
	x.moved[a] = u
	x.odd[string([]byte(id))] = u
}

// unmark takes a user's events away.
func (x *Index) unmark(u uint32) {
	for _, w := range x.events.At(u) {
		x.did.Remove(u, x.kinds[w&codeMask].name, dayOf(timeOf(w)))
	}
	x.events.Put(u, nil)
}

// empty takes from a user what they did and are.
func (x *Index) empty(u uint32) {
	x.total -= int64(len(x.events.At(u)))
	x.unmark(u)
	x.eachColumn(func(c *column) { c.clear(u) })
	x.firstAt[u] = never
	if x.alive.Has(u) {
		x.alive.Remove(u)
	}
}

// bury makes a number dead.
func (x *Index) bury(u uint32) {
	if h := xxhash.Sum64String(x.ids[u]); x.byHash[h] == u {
		delete(x.byHash, h)
	}
	x.was[u] = x.ids[u]
	x.ids[u], x.firstAt[u] = "", never
	if x.alive.Has(u) {
		x.alive.Remove(u)
	}
}

// Forget erases a user, by any of their ids: who comes later under it is new.
func (w *Writer) Forget(id string) {
	x := w.x
	u, ok := x.number(id)
	if !ok {
		return
	}
	x.empty(u)
	for other := range x.odd {
		if n, _ := x.number(other); n == u {
			delete(x.odd, other)
		}
	}
	x.bury(u)
	delete(x.was, u)
	x.change(u)
	x.joined = x.version
}

// Trim drops the events before a time. Users of whom none are left are gone; what
// the others are stays.
func (w *Writer) Trim(before int64) {
	x := w.x
	x.version++
	x.joined, x.trimmed = x.version, x.version
	for i := range x.ids {
		u := uint32(i)
		list := x.events.At(u)
		n := from(list, before)
		if n == 0 {
			continue
		}
		x.total -= int64(n)
		left := slices.Clone(list[n:])
		x.unmark(u)
		if len(left) == 0 {
			x.eachColumn(func(c *column) { c.clear(u) })
			x.bury(u)
			continue
		}
		x.events.Put(u, left)
		for _, w := range left {
			x.did.Add(u, x.kinds[w&codeMask].name, dayOf(timeOf(w)))
		}
	}
	// Ids that were merged into who is gone are gone.
	maps.DeleteFunc(x.odd, func(id string, _ uint32) bool {
		u, _ := x.number(id)
		return x.ids[u] == ""
	})
	x.did.Trim(dayOf(before))
	x.minTime = max(x.minTime, before)
	x.events.Pack()
	for _, aside := range x.aside {
		maps.DeleteFunc(aside, func(day int64, _ []int64) bool { return (day+1)*dayMicros <= before })
	}
}

// join merges two ordered lists; of equal times, those of a come first.
func join(a, b []uint64) []uint64 {
	if len(b) == 0 {
		return a
	}
	out := make([]uint64, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if timeOf(a[0]) <= timeOf(b[0]) {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
}
