package avrofiles

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"heed/internal/event/ocf"
	"heed/internal/eventlog/sink"
)

// writing is the file in hand and what it will have read when it is finished.
type writing struct {
	s    *Sink
	pos  position // of the finished files; Next moves on with the file in hand
	roll time.Duration

	file   *os.File
	out    *ocf.Writer
	name   string
	opened time.Time
	last   time.Time // of the last event
	moved  bool      // Next has moved since the last finish
	events int64

	finished bool // a file was
}

// loop takes records in until ctx ends (nil) or something fails. It wakes up
// only while a file is in hand.
func (w *writing) loop(ctx context.Context, arrivals <-chan sink.Arrival) error {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	defer timer.Stop()
	armed := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case a := <-arrivals:
			if err := w.take(a); err != nil {
				return err
			}
			if w.out != nil && w.out.Written() >= w.s.cfg.RollBytes {
				if err := w.finish(); err != nil {
					return err
				}
			}
			if w.file != nil && !armed {
				timer.Reset(w.pause())
				armed = true
			}
		case <-timer.C:
			armed = false
			if err := w.look(); err != nil {
				return err
			}
			if w.file != nil {
				timer.Reset(w.pause())
				armed = true
			}
		}
	}
}

// pause is how long nothing needs to be done for the file in hand.
func (w *writing) pause() time.Duration {
	return min(w.s.cfg.FlushEvery, w.s.cfg.RollSilence, w.roll)
}

// look finishes the file if it is time, else writes what waits.
func (w *writing) look() error {
	if w.file == nil {
		return nil
	}
	now := w.s.now()
	if now.Sub(w.opened) >= w.roll || now.Sub(w.last) >= w.s.cfg.RollSilence {
		w.roll = min(2*w.roll, w.s.cfg.RollEvery)
		return w.finish()
	}
	return w.out.Flush()
}

// take appends the events of a record that are new.
func (w *writing) take(a sink.Arrival) error {
	next, err := a.Each(w.pos.Next[a.Partition], func(raw []byte) error {
		if w.file == nil {
			if err := w.open(); err != nil {
				return err
			}
		}
		if err := w.out.Append(raw); err != nil {
			return err
		}
		w.events++
		w.last = w.s.now()
		return nil
	})
	if err != nil {
		return err
	}
	if next != w.pos.Next[a.Partition] {
		w.pos.Next[a.Partition], w.moved = next, true
		w.s.source.Done(w.pos.Next)
	}
	return nil
}

func (w *writing) open() error {
	now := w.s.now().UTC()
	w.pos.Seq++
	w.name = fmt.Sprintf("events-%s-%06d%s", now.Format("20060102T150405Z"), w.pos.Seq, suffix)
	file, err := os.OpenFile(w.s.folder.path(w.partial()), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("begin an Avro file: %w", err)
	}
	w.file, w.opened, w.last = file, now, now
	w.out, err = ocf.NewWriter(file, w.s.cfg.Codec, w.s.deps.Random)
	return err
}

func (w *writing) partial() string { return strings.TrimSuffix(w.name, suffix) + partialEnd }

// finish makes the file durable and gives it its name and the position.
func (w *writing) finish() error {
	if w.file == nil {
		if !w.moved {
			return nil
		}
		w.moved = false
		return w.s.folder.advance(w.pos)
	}
	if err := w.out.Flush(); err != nil {
		return err
	}
	if err := w.file.Sync(); err != nil {
		return fmt.Errorf("finish %s: %w", w.name, err)
	}
	err := w.file.Close()
	w.file = nil
	if err != nil {
		return fmt.Errorf("finish %s: %w", w.name, err)
	}
	w.pos.File = w.name
	done := w.pos
	done.Next = slices.Clone(w.pos.Next)
	if err := w.s.folder.finish(w.name, done); err != nil {
		return err
	}
	w.s.written.Add(float64(w.events))
	w.s.files.Inc()
	w.moved, w.events, w.out, w.finished = false, 0, nil, true
	if _, err := w.s.folder.retain(w.s.now(), w.s.cfg.KeepDays, w.s.cfg.KeepBytes); err != nil {
		w.s.log.Warn("old Avro files could not be removed", "error", err)
	}
	return nil
}

// discard drops the file in hand; recover removes it if this cannot.
func (w *writing) discard() {
	if w.file == nil {
		return
	}
	if err := errors.Join(w.file.Close(), os.Remove(w.s.folder.path(w.partial()))); err != nil {
		w.s.log.Warn("an unfinished Avro file is left behind", "file", w.name, "error", err)
	}
	w.file = nil
}
