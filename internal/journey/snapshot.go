package journey

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// ErrSnapshot says that a snapshot cannot be used: it is damaged, cut off, of
// another version or of another configuration. The index is built anew then.
var ErrSnapshot = errors.New("journey: snapshot cannot be used")

// The bytes of a snapshot (docs/format/journey.md): a magic, then frames of
// length, CRC-32C and payload; a frame of no length ends it. What the payloads
// hold is one stream of varints and texts.
const (
	magic    = "heed.journey.002"
	frameMax = 256 << 10
	textMax  = 64 << 10
)

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// Save writes a snapshot. The writer waits only while what changes in place is
// copied, some tens of milliseconds for a million users. One Save at a time.
func (x *Index) Save(ctx context.Context, out io.Writer) error {
	v := x.view()
	defer func() {
		x.mu.Lock()
		x.saving = false
		x.mu.Unlock()
	}()
	w := &encoder{ctx: ctx, out: out, table: castagnoli()}
	if _, err := io.WriteString(out, magic); err != nil {
		return fmt.Errorf("write snapshot of the behavioral index: %w", err)
	}
	v.write(w)
	w.flush()
	w.frame(nil)
	if w.err != nil {
		return fmt.Errorf("write snapshot of the behavioral index: %w", w.err)
	}
	return nil
}

// view copies what changes in place.
func (x *Index) view() *Index {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.saving = true
	v := &Index{
		cfg: x.cfg, ids: slices.Clone(x.ids), events: slices.Clone(x.events), firstAt: slices.Clone(x.firstAt),
		odd: maps.Clone(x.odd), moved: maps.Clone(x.moved), kinds: x.kinds, coarse: x.coarse, lost: x.lost,
		places: x.places, acquisition: x.acquisition, lastTouch: x.lastTouch, traits: x.traits, consent: x.consent,
		aside: [2]map[int64][]int64{maps.Clone(x.aside[0]), maps.Clone(x.aside[1])}, next: maps.Clone(x.next),
	}
	v.traits.list, v.consent.list = slices.Clone(x.traits.list), slices.Clone(x.consent.list)
	v.eachColumn(func(c *column) { c.vals, c.at = slices.Clone(c.vals), slices.Clone(c.at) })
	return v
}

func (x *Index) write(w *encoder) {
	w.count(len(x.cfg.Promote))
	for _, f := range x.cfg.Promote {
		w.text(f)
	}
	w.count(len(x.next))
	for _, p := range slices.Sorted(maps.Keys(x.next)) {
		w.uint(uint64(p))
		w.uint(uint64(x.next[p]))
	}
	w.flag(x.coarse)
	w.flag(x.lost)
	w.count(len(x.kinds))
	for i := 1; i < len(x.kinds); i++ {
		k := &x.kinds[i]
		w.text(k.key)
		w.text(k.sample.Name)
		w.flag(k.counts)
		w.flag(k.coarse)
		for _, s := range k.texts() {
			w.text(*s)
		}
		w.text(string(k.sample.Properties))
	}
	w.count(len(x.ids))
	for u, id := range x.ids {
		w.text(id)
		w.uint(uint64(x.firstAt[u]) + 1) // never becomes the greatest
		w.count(len(x.events[u]))
		last := int64(0)
		for _, word := range x.events[u] {
			t := timeOf(word)
			w.uint(uint64(t - last))
			w.uint(word & codeMask)
			last = t
		}
	}
	w.count(len(x.odd))
	for _, id := range slices.Sorted(maps.Keys(x.odd)) {
		w.text(id)
		w.uint(uint64(x.odd[id]))
	}
	w.count(len(x.moved))
	for _, u := range slices.Sorted(maps.Keys(x.moved)) {
		w.uint(uint64(u))
		w.uint(uint64(x.moved[u]))
	}
	for i := range x.places {
		x.places[i].encode(w)
	}
	for i := range x.acquisition {
		x.acquisition[i].encode(w)
	}
	x.lastTouch.encode(w)
	for _, c := range []*columns{&x.traits, &x.consent} {
		w.flag(c.full)
		w.count(len(c.list))
		for i := range c.list {
			w.text(c.list[i].key)
			c.list[i].encode(w)
		}
	}
	for _, aside := range x.aside {
		w.count(len(aside))
		for _, day := range slices.Sorted(maps.Keys(aside)) {
			w.uint(uint64(day))
			w.count(len(aside[day]))
			for _, t := range aside[day] {
				w.uint(uint64(t - day*dayMicros))
			}
		}
	}
}

func (c *column) encode(w *encoder) {
	w.flag(c.wide)
	w.count(max(0, len(c.texts)-1))
	for i := 1; i < len(c.texts); i++ {
		w.text(c.texts[i])
	}
	w.count(len(c.vals))
	for i, v := range c.vals {
		w.uint(uint64(v))
		if c.timed {
			w.uint(uint64(c.at[i]))
		}
	}
}

// texts are the fields of a sample that may be promoted, but for properties.
func (k *kind) texts() []*string {
	c := &k.sample.Context
	return []*string{&k.sample.Source, &c.Device, &c.OS, &c.Browser, &c.Country, &c.Campaign.Source}
}

// encoder writes frames.
type encoder struct {
	ctx   context.Context
	out   io.Writer
	table *crc32.Table
	buf   []byte
	err   error
}

func (w *encoder) room() {
	if len(w.buf) >= frameMax-textMax-16 {
		w.flush()
	}
}

func (w *encoder) uint(n uint64) {
	w.buf = binary.AppendUvarint(w.buf, n)
	w.room()
}

func (w *encoder) count(n int) { w.uint(uint64(n)) }

func (w *encoder) flag(b bool) {
	if b {
		w.uint(1)
	} else {
		w.uint(0)
	}
}

func (w *encoder) text(s string) {
	if len(s) > textMax && w.err == nil {
		w.err = fmt.Errorf("a text of %d bytes", len(s))
	}
	w.buf = binary.AppendUvarint(w.buf, uint64(len(s)))
	w.buf = append(w.buf, s...)
	w.room()
}

func (w *encoder) flush() {
	if len(w.buf) > 0 {
		w.frame(w.buf)
		w.buf = w.buf[:0]
	}
}

func (w *encoder) frame(payload []byte) {
	if w.err == nil {
		w.err = w.ctx.Err()
	}
	if w.err != nil {
		return
	}
	var head [8]byte
	binary.LittleEndian.PutUint32(head[:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(head[4:], crc32.Checksum(payload, w.table))
	if _, w.err = w.out.Write(head[:]); w.err == nil && len(payload) > 0 {
		_, w.err = w.out.Write(payload)
	}
}

// Load reads a snapshot; progress, if set, is told how many of the users are in.
// On ErrSnapshot, or an error of the reader, there is no index.
func Load(ctx context.Context, cfg Config, in io.Reader, progress func(done, of int)) (*Index, error) {
	x, err := New(cfg)
	if err != nil {
		return nil, err
	}
	r := &decoder{ctx: ctx, in: bufio.NewReaderSize(in, 1<<20), table: castagnoli()}
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(r.in, head); err != nil || string(head) != magic {
		return nil, fmt.Errorf("%w: it does not begin like one", ErrSnapshot)
	}
	x.read(r, progress)
	if r.err == nil && (len(r.buf) > 0 || r.next()) {
		r.fail("it goes on behind its end")
	}
	if r.err != nil {
		return nil, r.err
	}
	return x, nil
}

func (x *Index) read(r *decoder, progress func(done, of int)) {
	var promoted []string
	for range r.each(8) {
		promoted = append(promoted, r.text())
	}
	if r.err == nil && !slices.Equal(promoted, x.cfg.Promote) {
		r.fail("it has other promoted fields: %s", strings.Join(promoted, ", "))
	}
	for range r.each(1 << 20) {
		p := r.uint(1 << 20)
		x.next[int(p)] = int64(r.uint(1 << 62))
	}
	x.coarse, x.lost = r.flag(), r.flag()
	for i := range r.each(maxKinds + 1) {
		if i == 0 {
			x.kinds = append(x.kinds, kind{})
			continue
		}
		k := kind{key: r.text()}
		k.name = x.names.put(r.text())
		k.counts, k.coarse = r.flag(), r.flag()
		for _, s := range k.texts() {
			*s = r.text()
		}
		if p := r.text(); p != "" {
			k.sample.Properties = []byte(p)
		}
		k.sample.Name = x.names.texts[k.name]
		x.byKind[k.key] = uint16(i)
		x.kinds = append(x.kinds, k)
	}
	x.readUsers(r, progress)
	users := uint64(len(x.ids))
	for range r.each(1 << 31) {
		id := r.text()
		if u := r.uint(users); u < users {
			x.odd[id] = uint32(u)
		}
	}
	for range r.each(len(x.ids)) {
		if from, to := r.uint(users), r.uint(users); from < users && to < users {
			x.moved[uint32(from)] = uint32(to)
		}
	}
	if r.err == nil && x.ring() {
		r.fail("its users refer to each other in a ring")
	}
	for i := range x.places {
		x.places[i].decode(r, len(x.ids))
	}
	for i := range x.acquisition {
		x.acquisition[i].decode(r, len(x.ids))
	}
	x.lastTouch.decode(r, len(x.ids))
	for _, c := range []*columns{&x.traits, &x.consent} {
		c.full = r.flag()
		for range r.each(c.max) {
			key := r.text()
			if col := c.enter(key); col != nil {
				col.decode(r, len(x.ids))
			}
		}
	}
	for i := range x.aside {
		for range r.each(1 << 31) {
			day := int64(r.uint(maxTime / dayMicros))
			var times []int64
			for range r.each(1 << 40) {
				times = append(times, day*dayMicros+int64(r.uint(dayMicros)))
			}
			if r.err != nil {
				return
			}
			x.aside[i][day] = times
		}
	}
}

func (x *Index) readUsers(r *decoder, progress func(done, of int)) {
	n := r.count(1 << 31)
	var marks marker
	for u := range n {
		id := r.text()
		first := int64(r.uint(1<<64-1) - 1)
		if first < 0 || first > maxTime && first != never {
			r.fail("a user's first time is out of bounds")
		}
		if r.err != nil {
			return
		}
		x.ids = append(x.ids, id)
		x.events = append(x.events, nil)
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
		x.readEvents(r, number, &marks)
		if number%chunkUsers == chunkUsers-1 || u == n-1 {
			for int(number/chunkUsers) >= len(x.chunks) {
				x.chunks = append(x.chunks, chunk{})
			}
			x.settle(int(number / chunkUsers))
			if progress != nil {
				progress(u+1, n)
			}
		}
	}
}

// marker remembers the last mark of a user: most events repeat it.
type marker struct{ name, day int64 }

func (x *Index) readEvents(r *decoder, u uint32, last *marker) {
	t := int64(0)
	list := r.words[:0]
	*last = marker{-1, -1}
	for range r.each(1 << 40) {
		t += int64(r.uint(maxTime))
		code := r.uint(uint64(len(x.kinds)))
		if t > maxTime || code == 0 || code >= uint64(len(x.kinds)) {
			r.fail("an event is out of bounds")
		}
		if r.err != nil {
			return
		}
		list = append(list, word(t, uint16(code)))
		name := x.kinds[code].name
		if m := (marker{int64(name), t / dayMicros}); m != *last {
			x.mark(u, name, t)
			*last = m
		}
		x.minTime, x.maxTime = min(x.minTime, t), max(x.maxTime, t)
	}
	x.total += int64(len(list))
	r.words = list
	x.events[u] = slices.Clone(list)
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

func (c *column) decode(r *decoder, users int) {
	c.wide = r.flag()
	for range r.each(c.limit + 1) {
		c.put(r.text())
	}
	for range r.each(users) {
		v := r.uint(uint64(max(1, len(c.texts))))
		if v != 0 && v >= uint64(len(c.texts)) {
			r.fail("a value is out of bounds")
		}
		if r.err != nil {
			return
		}
		c.vals = append(c.vals, uint32(v))
		if c.timed {
			c.at = append(c.at, int64(r.uint(maxTime)))
		}
	}
}

// decoder reads frames, each of which is checked before anything of it is used.
type decoder struct {
	ctx   context.Context
	in    *bufio.Reader
	table *crc32.Table
	frame []byte
	buf   []byte // what is left of the frame
	words []uint64
	err   error
}

func (r *decoder) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrSnapshot, fmt.Sprintf(format, args...))
	}
}

// next reads a frame; false at the end.
func (r *decoder) next() bool {
	if r.err != nil {
		return false
	}
	if r.err = r.ctx.Err(); r.err != nil {
		return false
	}
	var head [8]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		r.cut(err)
		return false
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > frameMax {
		r.fail("a frame of %d bytes", n)
		return false
	}
	if cap(r.frame) < int(n) {
		r.frame = make([]byte, frameMax)
	}
	payload := r.frame[:n]
	if _, err := io.ReadFull(r.in, payload); err != nil {
		r.cut(err)
		return false
	}
	if crc32.Checksum(payload, r.table) != binary.LittleEndian.Uint32(head[4:]) {
		r.fail("a checksum is wrong")
		return false
	}
	r.buf = payload
	return n > 0
}

func (r *decoder) cut(err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		r.fail("it is cut off")
	} else if r.err == nil {
		r.err = fmt.Errorf("read snapshot of the behavioral index: %w", err)
	}
}

// uint reads a number that is at most a bound.
func (r *decoder) uint(most uint64) uint64 {
	if len(r.buf) == 0 && !r.next() {
		r.fail("it is cut off")
		return 0
	}
	n, size := binary.Uvarint(r.buf)
	if size <= 0 || n > most {
		r.fail("a number is out of bounds")
		return 0
	}
	r.buf = r.buf[size:]
	return n
}

func (r *decoder) count(most int) int { return int(r.uint(uint64(most))) }

// each reads how many follow and counts them, as long as all is well.
func (r *decoder) each(most int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, n := 0, r.count(most); i < n && r.err == nil && yield(i); i++ {
		}
	}
}

func (r *decoder) flag() bool { return r.uint(1) == 1 }

// text reads a text, which lies in one frame with its length.
func (r *decoder) text() string {
	n := r.count(textMax)
	if n > len(r.buf) {
		r.fail("a text is cut off")
		return ""
	}
	s := string(r.buf[:n])
	r.buf = r.buf[n:]
	return s
}
