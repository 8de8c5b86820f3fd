package eventlog

import "context"

// Spaced is a Log whose offsets have gaps: each record takes as many, however few
// events it has.
type Spaced interface {
	// Spacing is how many offsets a record takes.
	Spacing() uint64
}

// Spacing is how many offsets lie, at most, from one event to the next: 1 where
// offsets number the events. What is a number of events elsewhere is so many times
// as many offsets of the log.
func Spacing(log Log) uint64 {
	if s, ok := log.(Spaced); ok {
		return s.Spacing()
	}
	return 1
}

// Newest is the offset of the nth newest event of a partition, within the bounds;
// the first one if there are fewer. A log with gaps has to be read for it.
func Newest(ctx context.Context, log Log, s Stream, partition int, b Bounds, n uint64) (uint64, error) {
	spacing := Spacing(log)
	from := max(b.First, b.Next-min(b.Next, n*spacing))
	if spacing == 1 || from >= b.Next {
		return from, nil
	}
	reader, err := Peek(ctx, log, s, partition, from)
	if err != nil {
		return 0, err
	}
	defer func() { _ = reader.Close() }() // nothing was written
	var newest []uint64
	for next := from; next < b.Next; {
		c, ok, err := reader.TryNext()
		if err != nil || !ok {
			return from, err
		}
		for offset := max(c.Base, next); offset < min(c.Next(), b.Next); offset++ {
			newest = append(newest, offset)
		}
		next = max(next, c.Next())
	}
	if uint64(len(newest)) < n {
		return from, nil
	}
	return newest[uint64(len(newest))-n], nil
}
