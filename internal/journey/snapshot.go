package journey

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"heed/internal/journey/frames"
	"heed/internal/journey/presence"
)

// ErrSnapshot says that a snapshot cannot be used: it is damaged, cut off, of
// another version or of another configuration. The index is built anew then.
var ErrSnapshot = errors.New("journey: snapshot cannot be used")

// magic begins a snapshot; docs/format/journey.md says what follows.
const magic = "heed.journey.002"

// Save writes a snapshot. The writer waits only while what changes in place is
// copied, some tens of milliseconds for a million users. One Save at a time.
func (x *Index) Save(ctx context.Context, out io.Writer) error {
	v := x.view()
	defer func() {
		x.mu.Lock()
		x.events.Release()
		x.mu.Unlock()
	}()
	w := frames.NewWriter(ctx, out, magic)
	v.write(w)
	if err := w.Close(); err != nil {
		return fmt.Errorf("write snapshot of the behavioral index: %w", err)
	}
	return nil
}

// view copies what changes in place.
func (x *Index) view() *Index {
	x.mu.Lock()
	defer x.mu.Unlock()
	v := &Index{
		cfg: x.cfg, ids: slices.Clone(x.ids), events: x.events.Snapshot(), firstAt: slices.Clone(x.firstAt),
		odd: maps.Clone(x.odd), moved: maps.Clone(x.moved), kinds: x.kinds, coarse: x.coarse, lost: x.lost,
		places: x.places, acquisition: x.acquisition, lastTouch: x.lastTouch, traits: x.traits, consent: x.consent,
		aside: [2]map[int64][]int64{maps.Clone(x.aside[0]), maps.Clone(x.aside[1])}, next: maps.Clone(x.next),
	}
	v.traits.list, v.consent.list = slices.Clone(x.traits.list), slices.Clone(x.consent.list)
	v.eachColumn(func(c *column) { c.vals, c.at = slices.Clone(c.vals), slices.Clone(c.at) })
	return v
}

func (x *Index) write(w *frames.Writer) {
	w.Count(len(x.cfg.Promote))
	for _, f := range x.cfg.Promote {
		w.Text(f)
	}
	w.Count(len(x.next))
	for _, p := range slices.Sorted(maps.Keys(x.next)) {
		w.Uint(uint64(p))
		w.Uint(uint64(x.next[p]))
	}
	w.Flag(x.coarse)
	w.Flag(x.lost)
	w.Count(len(x.kinds))
	for i := 1; i < len(x.kinds); i++ {
		k := &x.kinds[i]
		w.Text(k.key)
		w.Text(k.sample.Name)
		w.Flag(k.counts)
		w.Flag(k.coarse)
		for _, s := range k.texts() {
			w.Text(*s)
		}
		w.Text(string(k.sample.Properties))
	}
	w.Count(len(x.ids))
	for u, id := range x.ids {
		w.Text(id)
		w.Uint(uint64(x.firstAt[u]) + 1) // never becomes the greatest
		w.Count(len(x.events.At(uint32(u))))
		last := int64(0)
		for _, word := range x.events.At(uint32(u)) {
			t := timeOf(word)
			w.Uint(uint64(t - last))
			w.Uint(word & codeMask)
			last = t
		}
	}
	w.Count(len(x.odd))
	for _, id := range slices.Sorted(maps.Keys(x.odd)) {
		w.Text(id)
		w.Uint(uint64(x.odd[id]))
	}
	w.Count(len(x.moved))
	for _, u := range slices.Sorted(maps.Keys(x.moved)) {
		w.Uint(uint64(u))
		w.Uint(uint64(x.moved[u]))
	}
	for i := range x.places {
		x.places[i].encode(w)
	}
	for i := range x.acquisition {
		x.acquisition[i].encode(w)
	}
	x.lastTouch.encode(w)
	for _, c := range []*columns{&x.traits, &x.consent} {
		w.Flag(c.full)
		w.Count(len(c.list))
		for i := range c.list {
			w.Text(c.list[i].key)
			c.list[i].encode(w)
		}
	}
	for _, aside := range x.aside {
		w.Count(len(aside))
		for _, day := range slices.Sorted(maps.Keys(aside)) {
			w.Uint(uint64(day))
			w.Count(len(aside[day]))
			for _, t := range aside[day] {
				w.Uint(uint64(t - day*dayMicros))
			}
		}
	}
}

func (c *column) encode(w *frames.Writer) {
	w.Flag(c.wide)
	w.Count(max(0, len(c.texts)-1))
	for i := 1; i < len(c.texts); i++ {
		w.Text(c.texts[i])
	}
	w.Count(len(c.vals))
	for i, v := range c.vals {
		w.Uint(uint64(v))
		if c.timed {
			w.Uint(uint64(c.at[i]))
		}
	}
}

// texts are the fields of a sample that may be promoted, but for properties.
func (k *kind) texts() []*string {
	c := &k.sample.Context
	return []*string{&k.sample.Source, &c.Device, &c.OS, &c.Browser, &c.Country, &c.Campaign.Source}
}

// Load reads a snapshot; progress, if set, is told how many of the users are in.
// On ErrSnapshot, or an error of the reader, there is no index.
func Load(ctx context.Context, cfg Config, in io.Reader, progress func(done, of int)) (*Index, error) {
	x, err := New(cfg)
	if err != nil {
		return nil, err
	}
	r := frames.NewReader(ctx, in, magic, ErrSnapshot)
	x.read(r, progress)
	if err := r.Close(); err != nil {
		return nil, err
	}
	return x, nil
}

func (x *Index) read(r *frames.Reader, progress func(done, of int)) {
	var promoted []string
	for range r.Each(8) {
		promoted = append(promoted, r.Text())
	}
	if r.Err() == nil && !slices.Equal(promoted, x.cfg.Promote) {
		r.Fail("it has other promoted fields: %s", strings.Join(promoted, ", "))
	}
	for range r.Each(1 << 20) {
		p := r.Uint(1 << 20)
		x.next[int(p)] = int64(r.Uint(1 << 62))
	}
	x.coarse, x.lost = r.Flag(), r.Flag()
	for i := range r.Each(maxKinds + 1) {
		if i == 0 {
			x.kinds = append(x.kinds, kind{})
			continue
		}
		k := kind{key: r.Text()}
		k.name = x.names.put(r.Text())
		k.counts, k.coarse = r.Flag(), r.Flag()
		for _, s := range k.texts() {
			*s = r.Text()
		}
		if p := r.Text(); p != "" {
			k.sample.Properties = []byte(p)
		}
		k.sample.Name = x.names.texts[k.name]
		x.byKind[k.key] = uint16(i)
		x.kinds = append(x.kinds, k)
	}
	x.readUsers(r, progress)
	users := uint64(len(x.ids))
	for range r.Each(1 << 31) {
		id := r.Text()
		if u := r.Uint(users); u < users {
			x.odd[id] = uint32(u)
		}
	}
	for range r.Each(len(x.ids)) {
		if from, to := r.Uint(users), r.Uint(users); from < users && to < users {
			x.moved[uint32(from)] = uint32(to)
		}
	}
	if r.Err() == nil && x.ring() {
		r.Fail("its users refer to each other in a ring")
	}
	for i := range x.places {
		x.places[i].decode(r, len(x.ids))
	}
	for i := range x.acquisition {
		x.acquisition[i].decode(r, len(x.ids))
	}
	x.lastTouch.decode(r, len(x.ids))
	for _, c := range []*columns{&x.traits, &x.consent} {
		c.full = r.Flag()
		for range r.Each(c.max) {
			key := r.Text()
			if col := c.enter(key); col != nil {
				col.decode(r, len(x.ids))
			}
		}
	}
	for i := range x.aside {
		for range r.Each(1 << 31) {
			day := int64(r.Uint(maxTime / dayMicros))
			var times []int64
			for range r.Each(1 << 40) {
				times = append(times, day*dayMicros+int64(r.Uint(dayMicros)))
			}
			if r.Err() != nil {
				return
			}
			x.aside[i][day] = times
		}
	}
}

func (x *Index) readUsers(r *frames.Reader, progress func(done, of int)) {
	n := r.Count(1 << 31)
	likely := min(n, 1<<20) // until they are there, it is only a number
	x.ids, x.firstAt = slices.Grow(x.ids, likely), slices.Grow(x.firstAt, likely)
	x.events.Grow(likely)
	load := x.did.Load(len(x.names.texts))
	defer load.Close()
	var list []uint64
	for u := range n {
		id := x.texts.keep(r.Bytes())
		first := int64(r.Uint(1<<64-1) - 1)
		if first < 0 || first > maxTime && first != never {
			r.Fail("a user's first time is out of bounds")
		}
		if r.Err() != nil {
			return
		}
		x.ids = append(x.ids, id)
		x.events.Add()
		x.firstAt = append(x.firstAt, first)
		number := uint32(u)
		if h := xxhash.Sum64String(id); id != "" {
			if _, taken := x.byHash[h]; !taken {
				x.byHash[h] = number
			}
		}
		if first != never {
			x.alive = x.alive.Sized(number)
			x.alive.Add(number)
			x.newest = max(x.newest, first)
		}
		list = x.readEvents(r, number, list, load)
		if progress != nil && (u%4096 == 4095 || u == n-1) {
			progress(u+1, n)
		}
	}
}

// readEvents reads a user's events into a list, of which it makes use.
func (x *Index) readEvents(r *frames.Reader, u uint32, list []uint64, load *presence.Loader) []uint64 {
	t := int64(0)
	list = list[:0]
	for range r.Each(1 << 40) {
		t += int64(r.Uint(maxTime))
		code := r.Uint(uint64(len(x.kinds)))
		if t > maxTime || code == 0 || code >= uint64(len(x.kinds)) {
			r.Fail("an event is out of bounds")
		}
		if r.Err() != nil {
			return list
		}
		list = append(list, word(t, uint16(code)))
		load.Add(u, x.kinds[code].name, dayOf(t))
	}
	if len(list) > 0 {
		x.minTime, x.maxTime = min(x.minTime, timeOf(list[0])), max(x.maxTime, t)
		x.total += int64(len(list))
		x.events.Put(u, list)
	}
	return list
}

// ring tells whether moved numbers lead in circles.
func (x *Index) ring() bool {
	ok := make(map[uint32]bool, len(x.moved))
	for u := range x.moved {
		seen := map[uint32]bool{}
		for at := u; !ok[at]; {
			if seen[at] {
				return true
			}
			seen[at] = true
			to, moved := x.moved[at]
			if !moved {
				break
			}
			at = to
		}
		for at := range seen {
			ok[at] = true
		}
	}
	return false
}

func (c *column) decode(r *frames.Reader, users int) {
	c.wide = r.Flag()
	for range r.Each(c.limit + 1) {
		c.put(r.Text())
	}
	n := r.Count(users)
	c.vals = slices.Grow(c.vals, n)
	if c.timed {
		c.at = slices.Grow(c.at, n)
	}
	for range n {
		v := r.Uint(uint64(max(1, len(c.texts))))
		if v != 0 && v >= uint64(len(c.texts)) {
			r.Fail("a value is out of bounds")
		}
		if r.Err() != nil {
			return
		}
		c.vals = append(c.vals, uint32(v))
		if c.timed {
			c.at = append(c.at, int64(r.Uint(maxTime)))
		}
	}
}
