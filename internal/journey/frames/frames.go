// Package frames owns the bytes of a snapshot, but for what they mean: a magic,
// then frames of length, CRC-32C and payload, until a frame of no length. The
// payloads form one stream of varints and texts (docs/format/journey.md). Lengths
// are in bytes. A Writer or Reader is used by one goroutine, and keeps its first
// error, after which it does nothing any more.
package frames

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
)

// Bounds of a frame's payload and of a text.
const (
	MaxFrame = 256 << 10
	MaxText  = 64 << 10
)

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// Writer writes frames.
type Writer struct {
	ctx   context.Context
	out   io.Writer
	table *crc32.Table
	buf   []byte
	err   error
}

// NewWriter writes the magic.
func NewWriter(ctx context.Context, out io.Writer, magic string) *Writer {
	w := &Writer{ctx: ctx, out: out, table: castagnoli()}
	_, w.err = io.WriteString(out, magic)
	return w
}

// Close writes what is left and the end.
func (w *Writer) Close() error {
	w.flush()
	w.frame(nil)
	return w.err
}

func (w *Writer) room() {
	if len(w.buf) >= MaxFrame-MaxText-16 {
		w.flush()
	}
}

// Uint writes a number.
func (w *Writer) Uint(n uint64) {
	w.buf = binary.AppendUvarint(w.buf, n)
	w.room()
}

// Count writes how many follow.
func (w *Writer) Count(n int) { w.Uint(uint64(n)) }

// Flag writes a flag.
func (w *Writer) Flag(b bool) {
	if b {
		w.Uint(1)
	} else {
		w.Uint(0)
	}
}

// Text writes a text.
func (w *Writer) Text(s string) {
	if len(s) > MaxText && w.err == nil {
		w.err = fmt.Errorf("a text of %d bytes", len(s))
	}
	w.buf = binary.AppendUvarint(w.buf, uint64(len(s)))
	w.buf = append(w.buf, s...)
	w.room()
}

func (w *Writer) flush() {
	if len(w.buf) > 0 {
		w.frame(w.buf)
		w.buf = w.buf[:0]
	}
}

func (w *Writer) frame(payload []byte) {
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

// Reader reads frames, each of which is checked before anything of it is used.
type Reader struct {
	ctx    context.Context
	in     *bufio.Reader
	table  *crc32.Table
	damage error
	frame  []byte
	buf    []byte // what is left of the frame
	err    error
}

// NewReader reads the magic. What is wrong with the bytes is told as a damage; an
// error of in, or of ctx, as it is.
func NewReader(ctx context.Context, in io.Reader, magic string, damage error) *Reader {
	r := &Reader{ctx: ctx, in: bufio.NewReaderSize(in, 1<<20), table: castagnoli(), damage: damage}
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(r.in, head); err != nil || string(head) != magic {
		r.Fail("it does not begin like one")
	}
	return r
}

// Err is the first error.
func (r *Reader) Err() error { return r.err }

// Close checks that nothing is left.
func (r *Reader) Close() error {
	if r.err == nil && (len(r.buf) > 0 || r.next()) {
		r.Fail("it goes on behind its end")
	}
	return r.err
}

// Fail says that what was read cannot be.
func (r *Reader) Fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", r.damage, fmt.Sprintf(format, args...))
	}
}

// next reads a frame; false at the end.
func (r *Reader) next() bool {
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
	if n > MaxFrame {
		r.Fail("a frame of %d bytes", n)
		return false
	}
	if cap(r.frame) < int(n) {
		r.frame = make([]byte, MaxFrame)
	}
	payload := r.frame[:n]
	if _, err := io.ReadFull(r.in, payload); err != nil {
		r.cut(err)
		return false
	}
	if crc32.Checksum(payload, r.table) != binary.LittleEndian.Uint32(head[4:]) {
		r.Fail("a checksum is wrong")
		return false
	}
	r.buf = payload
	return n > 0
}

func (r *Reader) cut(err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		r.Fail("it is cut off")
	} else if r.err == nil {
		r.err = fmt.Errorf("read a snapshot: %w", err)
	}
}

// Uint reads a number that is at most a bound.
func (r *Reader) Uint(most uint64) uint64 {
	if len(r.buf) == 0 && !r.next() {
		r.Fail("it is cut off")
		return 0
	}
	n, size := binary.Uvarint(r.buf)
	if size <= 0 || n > most {
		r.Fail("a number is out of bounds")
		return 0
	}
	r.buf = r.buf[size:]
	return n
}

// Count reads how many follow.
func (r *Reader) Count(most int) int { return int(r.Uint(uint64(most))) }

// Each reads how many follow and counts them, as long as all is well.
func (r *Reader) Each(most int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, n := 0, r.Count(most); i < n && r.err == nil && yield(i); i++ {
		}
	}
}

// Flag reads a flag.
func (r *Reader) Flag() bool { return r.Uint(1) == 1 }

// Text reads a text, which lies in one frame with its length.
func (r *Reader) Text() string { return string(r.Bytes()) }

// Bytes is Text, until the next read.
func (r *Reader) Bytes() []byte {
	n := r.Count(MaxText)
	if n > len(r.buf) {
		r.Fail("a text is cut off")
		return nil
	}
	text := r.buf[:n]
	r.buf = r.buf[n:]
	return text
}
