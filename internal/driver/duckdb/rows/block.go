package rows

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"heed/internal/event"
	"heed/internal/measure"
)

// BlockRows is the rows of a block: those of one DuckDB vector.
const BlockRows = 2048

// TextBytes is the size of the pieces that hold texts too long to be inline.
const TextBytes = 256 << 10

// InlineText is how much text stands in the 16 bytes of a string itself.
const InlineText = 12

// Layout is where the columns of a block are: their values, and behind those
// the words that say which are not null.
type Layout struct {
	Columns  []Column // those that every row has, then those of properties
	Promoted []Property
	byKey    map[string]int // number of a property's column
	values   []int
	validity []int // 0: never null
	bytes    int
}

// NewLayout is the layout with columns for these properties.
func NewLayout(promoted []Property) *Layout {
	all := fixed()
	l := &Layout{Columns: all[:], Promoted: promoted, byKey: map[string]int{}}
	for _, p := range promoted {
		l.byKey[p.Key] = len(l.Columns)
		l.Columns = append(l.Columns, Column{p.Column(), p.Type, true})
	}
	at := 0
	for _, c := range l.Columns {
		l.values = append(l.values, at)
		at += c.Type.Width() * BlockRows
	}
	l.validity = make([]int, len(l.Columns))
	for i, c := range l.Columns {
		if c.Nullable {
			l.validity[i] = at
			at += BlockRows / 8
		}
	}
	l.bytes = at
	return l
}

// Find is the number of the column in l that column col of another layout is; -1:
// l has none.
func (l *Layout) Find(other *Layout, col int) int {
	if l == other || col < columnCount {
		return col
	}
	p := other.Promoted[col-columnCount]
	if at, ok := l.byKey[p.Key]; ok && l.Columns[at].Type == p.Type {
		return at
	}
	return -1
}

// Block holds rows in the memory layout of DuckDB's vectors, outside of Go's
// heap, so that a scan copies columns as they are and strings point to where
// they stand. One goroutine writes; any number read the rows that were there
// when they learned of the block. Pages that are never written cost nothing.
type Block struct {
	*Layout
	mem   []byte
	texts [][]byte // the last one has room from used on
	used  int
	Rows  int

	partly []bool // by property: a value of it is in no column
}

// NewBlock makes an empty block.
func NewBlock(l *Layout) (*Block, error) {
	mem, err := Map(l.bytes)
	if err != nil {
		return nil, err
	}
	return &Block{Layout: l, mem: mem, partly: make([]bool, len(l.Promoted))}, nil
}

// Map is n bytes outside of Go's heap, all of them zero.
func Map(n int) ([]byte, error) {
	mem, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes for facts: %w", n, err)
	}
	return mem, nil
}

// Free gives the memory back. Nobody may read the block any more.
func (b *Block) Free() error {
	errs := []error{unix.Munmap(b.mem)}
	for _, t := range b.texts {
		errs = append(errs, unix.Munmap(t))
	}
	b.mem, b.texts = nil, nil
	return errors.Join(errs...)
}

// Full tells whether there is room for no more rows.
func (b *Block) Full() bool { return b.Rows == BlockRows }

func (b *Block) at(col, row, width int) []byte {
	i := b.values[col] + row*width
	return b.mem[i : i+width : i+width]
}

func (b *Block) u16(col, row int, v uint16) { binary.NativeEndian.PutUint16(b.at(col, row, 2), v) }
func (b *Block) u32(col, row int, v uint32) { binary.NativeEndian.PutUint32(b.at(col, row, 4), v) }
func (b *Block) u64(col, row int, v uint64) { binary.NativeEndian.PutUint64(b.at(col, row, 8), v) }

func (b *Block) bit(col, row int, v bool) {
	if v {
		b.at(col, row, 1)[0] = 1
	}
}

// word is the validity of 64 rows.
func (b *Block) word(col, i int) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&b.mem[b.validity[col]+8*i]))
}

// valid marks a value as not null. The word may be read at the same time for
// the rows before this one.
func (b *Block) valid(col, row int) {
	w := b.word(col, row/64)
	w.Store(w.Load() | 1<<(row%64))
}

// Values are the first n values of a column, as its vector has them.
func (b *Block) Values(col, n int) []byte {
	return b.mem[b.values[col]:][:n*b.Columns[col].Type.Width()]
}

// Validity calls words for where to say which of the first n values of a column are
// not null; it does not if all are.
func (b *Block) Validity(col, n int, words func() []uint64) {
	if !b.Columns[col].Nullable || b.nulls(col, n) == 0 {
		return
	}
	to := words()
	for w := range (n + 63) / 64 {
		to[w] = b.word(col, w).Load()
	}
}

// nulls is how many of the first n values are null.
func (b *Block) nulls(col, n int) int {
	valid := 0
	for i := 0; i*64 < n; i++ {
		w := b.word(col, i).Load()
		if rest := n - i*64; rest < 64 {
			w &= 1<<rest - 1
		}
		valid += bits.OnesCount64(w)
	}
	return n - valid
}

func (b *Block) blob(col, row int, v []byte) {
	b.text(col, row, unsafe.String(unsafe.SliceData(v), len(v)))
}

// text writes a string; an empty one of a nullable column is null.
func (b *Block) text(col, row int, v string) {
	if v == "" {
		return // zero bytes are the empty string
	}
	WriteString(b.at(col, row, 16), v, b.keep)
	if b.Columns[col].Nullable {
		b.valid(col, row)
	}
}

// WriteString writes DuckDB's form of a string: its length, then the text if it
// fits into 12 bytes, else its first 4 bytes and where keep has put all of it.
func WriteString(dst []byte, v string, keep func(string) unsafe.Pointer) {
	binary.NativeEndian.PutUint32(dst, uint32(len(v)))
	if len(v) <= InlineText {
		copy(dst[4:], v)
		return
	}
	copy(dst[4:8], v)
	*(*uintptr)(unsafe.Pointer(&dst[8])) = uintptr(keep(v))
}

// keep copies a text to where it stays until the block is freed. If there is no
// memory for it the process cannot go on, as with Go's own heap.
func (b *Block) keep(v string) unsafe.Pointer {
	if n := len(b.texts); n == 0 || len(b.texts[n-1])-b.used < len(v) {
		mem, err := Map(max(TextBytes, len(v)))
		if err != nil {
			panic(err)
		}
		b.texts, b.used = append(b.texts, mem), 0
	}
	last := b.texts[len(b.texts)-1]
	at := b.used
	b.used += copy(last[at:], v)
	return unsafe.Pointer(&last[at])
}

// Time is the time of a row, in µs.
func (b *Block) Time(row int) int64 {
	return int64(binary.NativeEndian.Uint64(b.at(colTime, row, 8)))
}

// Flagged counts the first n rows that lie within a span.
func (b *Block) Flagged(n int, in measure.Span) (f Flagged) {
	for row := range n {
		bot, internal := b.mem[b.values[colBot]+row] != 0, b.mem[b.values[colInternal]+row] != 0
		if !bot && !internal || !in.Holds(b.Time(row)) ||
			strings.HasPrefix(StringOf((*[16]byte)(b.at(colEvent, row, 16))), event.ReservedPrefix) {
			continue
		}
		switch {
		case bot && internal:
			f.Both++
		case bot:
			f.Bots++
		default:
			f.Internal++
		}
	}
	return f
}

// Flagged counts the events that measures leave out, as far as they are activity.
type Flagged struct {
	Bots     int64 `json:"bots"`     // and not internal
	Internal int64 `json:"internal"` // and no bot's
	Both     int64 `json:"both"`
}

// Add adds what others count.
func (f *Flagged) Add(o Flagged) {
	f.Bots, f.Internal, f.Both = f.Bots+o.Bots, f.Internal+o.Internal, f.Both+o.Both
}

// StringOf is a DuckDB string, for as long as its vector lives.
func StringOf(s *[16]byte) string {
	size := binary.NativeEndian.Uint32(s[:])
	if size <= InlineText {
		return unsafe.String(&s[4], size)
	}
	return unsafe.String(*(**byte)(unsafe.Pointer(&s[8])), size)
}
