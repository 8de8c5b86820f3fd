package duckdb

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

// blockRows is the rows of a block: those of one DuckDB vector.
const blockRows = 2048

// textBytes is the size of the pieces that hold texts too long to be inline.
const textBytes = 256 << 10

// inlineText is how much text stands in the 16 bytes of a string itself.
const inlineText = 12

// layout is where the columns of a block are: their values, and behind those
// the words that say which are not null.
type layout struct {
	columns  [columnCount]column
	values   [columnCount]int
	validity [columnCount]int // 0: never null
	bytes    int
}

func newLayout() *layout {
	l := &layout{columns: columns()}
	at := 0
	for i, c := range l.columns {
		l.values[i] = at
		at += c.typ.width() * blockRows
	}
	for i, c := range l.columns {
		if c.nullable {
			l.validity[i] = at
			at += blockRows / 8
		}
	}
	l.bytes = at
	return l
}

// block holds rows in the memory layout of DuckDB's vectors, outside of Go's
// heap, so that a scan copies columns as they are and strings point to where
// they stand. One goroutine writes; any number read the rows that were there
// when they learned of the block. Pages that are never written cost nothing.
type block struct {
	*layout
	mem   []byte
	texts [][]byte // the last one has room from used on
	used  int
	rows  int
}

func newBlock(l *layout) (*block, error) {
	mem, err := mapMemory(l.bytes)
	if err != nil {
		return nil, err
	}
	return &block{layout: l, mem: mem}, nil
}

func mapMemory(n int) ([]byte, error) {
	mem, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes for facts: %w", n, err)
	}
	return mem, nil
}

// free gives the memory back. Nobody may read the block any more.
func (b *block) free() error {
	errs := []error{unix.Munmap(b.mem)}
	for _, t := range b.texts {
		errs = append(errs, unix.Munmap(t))
	}
	b.mem, b.texts = nil, nil
	return errors.Join(errs...)
}

func (b *block) full() bool { return b.rows == blockRows }

// begin is the number of the row to be written; put ends it.
func (b *block) begin() int { return b.rows }

func (b *block) at(col, row, width int) []byte {
	i := b.values[col] + row*width
	return b.mem[i : i+width : i+width]
}

func (b *block) u16(col, row int, v uint16) { binary.NativeEndian.PutUint16(b.at(col, row, 2), v) }
func (b *block) u32(col, row int, v uint32) { binary.NativeEndian.PutUint32(b.at(col, row, 4), v) }
func (b *block) u64(col, row int, v uint64) { binary.NativeEndian.PutUint64(b.at(col, row, 8), v) }

func (b *block) bit(col, row int, v bool) {
	if v {
		b.at(col, row, 1)[0] = 1
	}
}

// word is the validity of 64 rows.
func (b *block) word(col, i int) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&b.mem[b.validity[col]+8*i]))
}

// valid marks a value as not null. The word may be read at the same time for
// the rows before this one.
func (b *block) valid(col, row int) {
	w := b.word(col, row/64)
	w.Store(w.Load() | 1<<(row%64))
}

// nulls is how many of the first n values are null.
func (b *block) nulls(col, n int) int {
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

func (b *block) blob(col, row int, v []byte) {
	b.text(col, row, unsafe.String(unsafe.SliceData(v), len(v)))
}

// text writes a string; an empty one of a nullable column is null.
func (b *block) text(col, row int, v string) {
	if v == "" {
		return // zero bytes are the empty string
	}
	writeString(b.at(col, row, 16), v, b.keep)
	if b.columns[col].nullable {
		b.valid(col, row)
	}
}

// writeString writes DuckDB's form of a string: its length, then the text if it
// fits into 12 bytes, else its first 4 bytes and where keep has put all of it.
func writeString(dst []byte, v string, keep func(string) unsafe.Pointer) {
	binary.NativeEndian.PutUint32(dst, uint32(len(v)))
	if len(v) <= inlineText {
		copy(dst[4:], v)
		return
	}
	copy(dst[4:8], v)
	*(*uintptr)(unsafe.Pointer(&dst[8])) = uintptr(keep(v))
}

// keep copies a text to where it stays until the block is freed. If there is no
// memory for it the process cannot go on, as with Go's own heap.
func (b *block) keep(v string) unsafe.Pointer {
	if n := len(b.texts); n == 0 || len(b.texts[n-1])-b.used < len(v) {
		mem, err := mapMemory(max(textBytes, len(v)))
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

// time is the time of a row.
func (b *block) time(row int) int64 {
	return int64(binary.NativeEndian.Uint64(b.at(colTime, row, 8)))
}

// flagged counts the first n rows that lie within a span.
func (b *block) flagged(n int, in measure.Span) (f flagged) {
	for row := range n {
		bot, internal := b.mem[b.values[colBot]+row] != 0, b.mem[b.values[colInternal]+row] != 0
		if !bot && !internal || !in.Holds(b.time(row)) ||
			strings.HasPrefix(stringOf((*[16]byte)(b.at(colEvent, row, 16))), event.ReservedPrefix) {
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
