package decider

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"heed/internal/trigger"
	"heed/internal/varint"
)

// metaVersion is the first byte of a partition's meta (docs/format/state.md).
const metaVersion = 1

// errMeta: the partition's meta cannot be read, or is of a later version.
var errMeta = errors.New("unreadable meta")

// board is what a partition counts per trigger, in the order of the programs of
// its ruleset: committed in the meta, so that it survives restarts.
type board struct {
	revision int64
	logTime  int64
	scores   []score
}

// score is what is counted of one trigger.
type score struct {
	name    string
	pattern [16]byte
	steps   []int64 // steps[i]: rows that have done i + 1 steps
	fired   int64
	last    int64 // logical time of the latest firing, 0 if there was none
	refused [reasons]int64
}

// reasons is the number of trigger.Reason.
const reasons = int(trigger.LastReason)

// clone copies b into dst, with dst's memory.
func (b *board) clone(dst *board) {
	scores := dst.scores
	*dst = *b
	dst.scores = slices.Grow(scores[:0], len(b.scores))[:len(b.scores)]
	for i := range b.scores {
		steps := dst.scores[i].steps
		dst.scores[i] = b.scores[i]
		dst.scores[i].steps = append(steps[:0], b.scores[i].steps...)
	}
}

// adopt lines the scores up with the programs of a ruleset. A trigger whose
// pattern is another one starts at no rows: its old ones are dropped. Firings
// are kept as long as a trigger of the name exists.
func (b *board) adopt(rs *ruleset) {
	old := make(map[string]*score, len(b.scores))
	for i := range b.scores {
		old[b.scores[i].name] = &b.scores[i]
	}
	programs := rs.set.Programs()
	scores := make([]score, len(programs))
	for i, p := range programs {
		s := score{name: p.Name, pattern: p.Pattern}
		if was := old[p.Name]; was != nil {
			s.fired, s.last, s.refused = was.fired, was.last, was.refused
			if was.pattern == p.Pattern {
				s.steps = was.steps
			}
		}
		for len(s.steps) < p.Len() {
			s.steps = append(s.steps, 0)
		}
		scores[i] = s
	}
	b.revision, b.scores = rs.revision, scores
}

// move counts a row that went from one step to another.
func (b *board) move(t trigger.Transition) {
	steps := b.scores[t.Program].steps
	if t.From > 0 && t.From <= len(steps) {
		steps[t.From-1]--
	}
	if t.To > 0 && t.To <= len(steps) {
		steps[t.To-1]++
	}
}

// append writes the meta.
func (b *board) append(dst []byte) []byte {
	dst = append(dst, metaVersion)
	dst = binary.AppendUvarint(dst, uint64(b.revision))
	dst = binary.AppendVarint(dst, b.logTime)
	dst = binary.AppendUvarint(dst, uint64(len(b.scores)))
	for i := range b.scores {
		s := &b.scores[i]
		dst = binary.AppendUvarint(dst, uint64(len(s.name)))
		dst = append(dst, s.name...)
		dst = append(dst, s.pattern[:]...)
		dst = binary.AppendVarint(dst, s.fired)
		dst = binary.AppendVarint(dst, s.last)
		dst = binary.AppendUvarint(dst, uint64(len(s.refused)))
		for _, n := range s.refused {
			dst = binary.AppendVarint(dst, n)
		}
		dst = binary.AppendUvarint(dst, uint64(len(s.steps)))
		for _, n := range s.steps {
			dst = binary.AppendVarint(dst, n)
		}
	}
	return dst
}

// decodeBoard reads a meta; no bytes at all are the empty board.
func decodeBoard(b []byte) (board, error) {
	if len(b) == 0 {
		return board{}, nil
	}
	if b[0] != metaVersion {
		return board{}, fmt.Errorf("%w: version %d", errMeta, b[0])
	}
	r := varint.NewReader(b[1:])
	out := board{revision: int64(r.Uvarint()), logTime: r.Varint()}
	n := r.Count(20)
	for range n {
		var s score
		s.name = r.String()
		copy(s.pattern[:], r.Bytes(len(s.pattern)))
		s.fired, s.last = r.Varint(), r.Varint()
		for i := range r.Count(1) {
			v := r.Varint()
			if i < reasons {
				s.refused[i] = v
			}
		}
		for range r.Count(1) {
			s.steps = append(s.steps, r.Varint())
		}
		out.scores = append(out.scores, s)
	}
	if r.Bad() {
		return board{}, fmt.Errorf("%w: cut short", errMeta)
	}
	return out, nil
}
