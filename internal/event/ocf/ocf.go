// Package ocf owns the writing of Avro object container files of events: the
// form that other tools read. Events go in as the bare Avro bytes that the log
// holds; nothing is encoded again.
//
// It does not own the schema (event) or the files (analytics/avrofiles).
package ocf

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/flate"

	"heed/internal/event"
)

// Codec says how blocks are compressed.
type Codec string

// The codecs: the two that every reader must know.
const (
	Null    Codec = "null"
	Deflate Codec = "deflate"
)

// BlockBytes is the size at which a block is written, before compression.
const BlockBytes = 256 << 10

const syncSize = 16

// Writer writes one file. It is used by one goroutine. After an error it must
// not be used any more.
type Writer struct {
	w       io.Writer
	sync    [syncSize]byte
	block   []byte
	count   int64
	flate   *flate.Writer
	packed  sliceWriter
	scratch []byte
	written int64
}

type sliceWriter struct{ b []byte }

func (s *sliceWriter) Write(b []byte) (int, error) {
	s.b = append(s.b, b...)
	return len(b), nil
}

// NewWriter writes the header. random fills the marker between blocks.
func NewWriter(w io.Writer, codec Codec, random func([]byte)) (*Writer, error) {
	f := &Writer{w: w}
	switch codec {
	case Null:
	case Deflate:
		var err error
		if f.flate, err = flate.NewWriter(&f.packed, flate.BestSpeed); err != nil {
			return nil, fmt.Errorf("ocf: %w", err)
		}
	default:
		return nil, fmt.Errorf("ocf: there is no codec %q", codec)
	}
	random(f.sync[:])
	head := []byte{'O', 'b', 'j', 1}
	head = binary.AppendVarint(head, 2)
	for _, s := range []string{"avro.schema", event.Schema, "avro.codec", string(codec)} {
		head = append(binary.AppendVarint(head, int64(len(s))), s...)
	}
	head = append(head, 0)
	head = append(head, f.sync[:]...)
	return f, f.write(head)
}

func (f *Writer) write(b []byte) error {
	n, err := f.w.Write(b)
	f.written += int64(n)
	if err != nil {
		return fmt.Errorf("ocf: %w", err)
	}
	return nil
}

// Append adds one event in its bare Avro form. The bytes are copied.
func (f *Writer) Append(record []byte) error {
	f.block = append(f.block, record...)
	f.count++
	if len(f.block) >= BlockBytes {
		return f.Flush()
	}
	return nil
}

// Buffered is how many events wait for Flush.
func (f *Writer) Buffered() int64 { return f.count }

// Written is how many bytes were written.
func (f *Writer) Written() int64 { return f.written }

// Flush writes what waits as a whole block.
func (f *Writer) Flush() error {
	if f.count == 0 {
		return nil
	}
	data := f.block
	if f.flate != nil {
		f.packed.b = f.packed.b[:0]
		f.flate.Reset(&f.packed)
		if _, err := f.flate.Write(f.block); err != nil {
			return fmt.Errorf("ocf: %w", err)
		}
		if err := f.flate.Close(); err != nil {
			return fmt.Errorf("ocf: %w", err)
		}
		data = f.packed.b
	}
	f.scratch = binary.AppendVarint(f.scratch[:0], f.count)
	f.scratch = binary.AppendVarint(f.scratch, int64(len(data)))
	f.scratch = append(append(f.scratch, data...), f.sync[:]...)
	f.block, f.count = f.block[:0], 0
	return f.write(f.scratch)
}
