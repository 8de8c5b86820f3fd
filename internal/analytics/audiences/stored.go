package audiences

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"heed/internal/documents"
	"heed/internal/varint"
)

// What is stored of an audience (docs/format/audiences.md): a head; the journal,
// an entry of which is written before what it says goes to the log; from time to
// time all members, so that the journal need not be read from its beginning; and
// the sizes of days. The members are the last ones written, as the entries behind
// them change them.
const (
	collHeads   = "audiences"
	collJournal = "audience_journal"
	collMembers = "audience_members"
	collSizes   = "audience_sizes"
)

// head is what is to be known of an audience first.
type head struct {
	// Born tells audiences of one name that followed each other apart: it is part
	// of the ids of what is written to the log.
	Born int64 `json:"born"`
	Kind kind  `json:"kind"`
	// Print is what the members are those of; until Filled is true, not all of
	// them are there, and who comes or goes does not enter or leave.
	Print  string `json:"print,omitempty"`
	Filled bool   `json:"filled,omitempty"`
	Size   int64  `json:"size"`
	AsOf   int64  `json:"asOf,omitempty"`

	Done   uint64 `json:"done"`   // entries up to it are in the log
	Folded uint64 `json:"folded"` // entries up to it are in the members as written
	Round  uint64 `json:"round"`  // of writing all members

	Moves []moves `json:"moves,omitempty"` // of the last 24 hours, oldest first
}

// moves counts who entered and left in a part of an hour.
type moves struct {
	At      int64 `json:"at"` // its beginning
	Entered int64 `json:"entered,omitempty"`
	Left    int64 `json:"left,omitempty"`
}

// Bounds of what is stored.
const (
	chunkBytes  = 256 << 10          // of ids in a document of members
	keptChanges = 1000               // who entered and left is listed so far back
	movesEvery  = int64(600e6)       // length of a part of an hour
	movesKeep   = int64(24 * 3600e6) // how long they count
	foldFrom    = 4096               // ids in the journal before all members are written again
)

// entry is one step of an audience. It is small enough for a document.
type entry struct {
	seq     uint64
	at      int64
	replace bool // nobody else is in
	// Users who come and go: with an event each, or without.
	entered, left, added, removed []string
}

func (e *entry) lists() [4]*[]string {
	return [4]*[]string{&e.entered, &e.left, &e.added, &e.removed}
}

func (e *entry) size() int { return len(e.entered) + len(e.left) + len(e.added) + len(e.removed) }

// entryVersion is the first byte of an entry.
const entryVersion = 1

func (e *entry) append(dst []byte) []byte {
	dst = binary.AppendVarint(append(dst, entryVersion), e.at)
	replace := byte(0)
	if e.replace {
		replace = 1
	}
	dst = append(dst, replace)
	for _, list := range e.lists() {
		dst = appendIDs(binary.AppendUvarint(dst, uint64(len(*list))), *list)
	}
	return dst
}

func appendIDs(dst []byte, ids []string) []byte {
	for _, id := range ids {
		dst = append(binary.AppendUvarint(dst, uint64(len(id))), id...)
	}
	return dst
}

var errStored = errors.New("unreadable")

func decodeEntry(seq uint64, b []byte) (*entry, error) {
	e := &entry{seq: seq}
	r := varint.NewReader(b)
	if v := r.Byte(); v != entryVersion {
		return nil, fmt.Errorf("%w: entry of version %d", errStored, v)
	}
	e.at = r.Varint()
	e.replace = r.Byte() == 1
	for _, list := range e.lists() {
		for range r.Count(1) {
			*list = append(*list, r.String())
		}
	}
	if r.Bad() || len(r.Rest()) > 0 {
		return nil, fmt.Errorf("%w: entry %d is cut short", errStored, seq)
	}
	return e, nil
}

// journalKey is in order of seq. Names have no slash.
func journalKey(name string, seq uint64) string { return fmt.Sprintf("%s/%016x", name, seq) }

func roundPrefix(name string, round uint64) string { return fmt.Sprintf("%s/%016x/", name, round) }

// each visits the documents of a collection by prefix, in order.
func (k *Keeper) each(ctx context.Context, collection, prefix string, visit func(d documents.Document) error) error {
	const page = 16 // of up to a quarter of a megabyte each
	for after := ""; ; {
		docs, err := k.deps.Documents.List(ctx, documents.Query{Collection: collection, Prefix: prefix, After: after, Limit: page})
		if err != nil {
			return fmt.Errorf("list %s: %w", collection, err)
		}
		for _, d := range docs {
			if err := visit(d); err != nil {
				return err
			}
			after = d.Key
		}
		if len(docs) < page {
			return nil
		}
	}
}

// remove deletes the documents of a collection by prefix for which drop holds.
func (k *Keeper) remove(ctx context.Context, collection, prefix string, drop func(key string) bool) error {
	var writes []documents.Write
	err := k.each(ctx, collection, prefix, func(d documents.Document) error {
		if drop(d.Key) {
			writes = append(writes, documents.Write{Collection: collection, Key: d.Key, Expect: documents.Any})
		}
		return nil
	})
	if err != nil || len(writes) == 0 {
		return err
	}
	if err := k.deps.Documents.Apply(ctx, documents.Relaxed, writes...); err != nil {
		return fmt.Errorf("remove from %s: %w", collection, err)
	}
	return nil
}

func every(string) bool { return true }

// storedNames lists the audiences that something is stored of.
func (k *Keeper) storedNames(ctx context.Context) (names []string, err error) {
	err = k.each(ctx, collHeads, "", func(d documents.Document) error {
		names = append(names, d.Key)
		return nil
	})
	return names, err
}

// readHead is nil if nothing is stored.
func (k *Keeper) readHead(ctx context.Context, name string) (h *head, version int64, err error) {
	d, err := k.deps.Documents.Get(ctx, collHeads, name)
	if errors.Is(err, documents.ErrNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read audience %q: %w", name, err)
	}
	h = new(head)
	if err := json.Unmarshal(d.Value, h); err != nil {
		return nil, 0, fmt.Errorf("read audience %q: %w", name, err)
	}
	return h, d.Version, nil
}

// writeOf is the write of a head.
func (h *head) writeOf(name string, version int64) (documents.Write, error) {
	value, err := json.Marshal(h)
	if err != nil {
		return documents.Write{}, fmt.Errorf("write audience %q: %w", name, err)
	}
	return documents.Write{Collection: collHeads, Key: name, Value: value, Expect: version}, nil
}

// journal lists the entries behind seq.
func (k *Keeper) journal(ctx context.Context, name string, seq uint64, visit func(e *entry)) error {
	prefix := name + "/"
	return k.each(ctx, collJournal, prefix, func(d documents.Document) error {
		var at uint64
		if _, err := fmt.Sscanf(d.Key[len(prefix):], "%x", &at); err != nil {
			return fmt.Errorf("%w: %s is no key of the journal", errStored, d.Key)
		}
		if at <= seq {
			return nil
		}
		e, err := decodeEntry(at, d.Value)
		if err != nil {
			return fmt.Errorf("read %s: %w", d.Key, err)
		}
		visit(e)
		return nil
	})
}

// members are the ids that the log was told, as far as it surely was, and the
// entries that it may not have been told.
func (k *Keeper) members(ctx context.Context, name string, h *head) (ids []string, open []*entry, err error) {
	inside := map[string]bool{} // of whom the journal speaks: in, or out
	replaced := false
	err = k.journal(ctx, name, h.Folded, func(e *entry) {
		if e.seq > h.Done {
			open = append(open, e)
			return
		}
		if e.replace {
			replaced = true
			clear(inside)
		}
		for i, list := range e.lists() {
			for _, id := range *list {
				inside[id] = i%2 == 0 // entered, added
			}
		}
	})
	if err != nil {
		return nil, nil, err
	}
	if !replaced {
		err = k.each(ctx, collMembers, roundPrefix(name, h.Round), func(d documents.Document) error {
			r := varint.NewReader(d.Value)
			for len(r.Rest()) > 0 {
				id := r.String()
				if in, spoken := inside[id]; spoken && !in {
					continue
				}
				delete(inside, id)
				ids = append(ids, id)
			}
			if r.Bad() {
				return fmt.Errorf("%w: %s is cut short", errStored, d.Key)
			}
			return nil
		})
	}
	for id, in := range inside {
		if in {
			ids = append(ids, id)
		}
	}
	return ids, open, err
}

// split makes entries of what is too large for one. What is said of one person's
// ids stays together: a crash between two entries must not part it.
func split(at int64, replace bool, c *change, most int) (out []*entry) {
	e := &entry{at: at, replace: replace}
	size := 0
	room := func(n int) {
		if size > 0 && size+n > most {
			out = append(out, e)
			e, size = &entry{at: at}, 0
		}
		size += n
	}
	for i, list := range [4][]string{c.entered, c.left, c.added, c.removed} {
		slices.Sort(list)
		for _, id := range list {
			room(len(id) + 2)
			into := e.lists()[i]
			*into = append(*into, id)
		}
	}
	for _, m := range c.moved {
		room(len(m.from) + len(m.to) + 4)
		e.removed = append(e.removed, m.from)
		switch m.how {
		case stays:
		case came:
			e.added = append(e.added, m.to)
		case went:
			e.left = append(e.left, m.to)
		}
	}
	if replace && len(out) == 0 || size > 0 {
		out = append(out, e)
	}
	return out
}

// point is a size of an audience at a time.
type point struct{ at, size int64 }

const (
	minute   = int64(60e6)
	day      = 24 * 60 * minute
	sizesFor = 7 * day
)

func sizesKey(name string, at int64) string { return fmt.Sprintf("%s/%08d", name, at/day) }

// sizesWrites are the documents of the days of points from a time on.
func sizesWrites(name string, points []point, from int64) (writes []documents.Write) {
	i, _ := slices.BinarySearchFunc(points, from/day*day, func(p point, at int64) int { return int(min(max(p.at-at, -1), 1)) })
	for i < len(points) {
		key := sizesKey(name, points[i].at)
		var value []byte
		last := point{at: points[i].at / day * day}
		for ; i < len(points) && sizesKey(name, points[i].at) == key; i++ {
			value = binary.AppendVarint(binary.AppendVarint(value, points[i].at-last.at), points[i].size-last.size)
			last = points[i]
		}
		writes = append(writes, documents.Write{Collection: collSizes, Key: key, Value: value, Expect: documents.Any})
	}
	return writes
}

// sizes reads the points that are kept.
func (k *Keeper) sizes(ctx context.Context, name string) (points []point, err error) {
	prefix := name + "/"
	err = k.each(ctx, collSizes, prefix, func(d documents.Document) error {
		var n int64
		if _, err := fmt.Sscanf(strings.TrimLeft(d.Key[len(prefix):], "0"), "%d", &n); err != nil {
			return fmt.Errorf("%w: %s is no key of sizes", errStored, d.Key)
		}
		last := point{at: n * day}
		r := varint.NewReader(d.Value)
		for len(r.Rest()) > 0 {
			last = point{last.at + r.Varint(), last.size + r.Varint()}
			points = append(points, last)
		}
		if r.Bad() {
			return fmt.Errorf("%w: %s is cut short", errStored, d.Key)
		}
		return nil
	})
	return points, err
}
