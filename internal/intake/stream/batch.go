package stream

import (
	"heed/internal/event"
	"heed/internal/eventlog"
)

// batch collects events by the partition of their user.
type batch struct {
	parts []eventlog.Batch
	bytes int
}

func newBatch(partitions int) *batch {
	b := &batch{parts: make([]eventlog.Batch, partitions)}
	for p := range b.parts {
		b.parts[p].Partition = p
	}
	return b
}

// add takes an event in; where it links two ids, the record of that too, so that
// either both are in the log or none is.
func (b *batch) add(e *event.Event) {
	b.put(e, event.KeyOf(e.Source, e.MessageID))
	if from, links := e.Links(); links {
		record, key := e.LinkRecord(from, true)
		b.put(&record, key)
	}
}

func (b *batch) put(e *event.Event, key eventlog.Key) {
	p := &b.parts[eventlog.PartitionOf(e.User(), len(b.parts))]
	was := len(p.Data)
	p.Data = event.AppendEvent(p.Data, e)
	p.Ends = append(p.Ends, len(p.Data))
	p.Keys = append(p.Keys, key)
	b.bytes += len(p.Data) - was
}

func (b *batch) empty() bool { return b.bytes == 0 }

// fresh is what is to be appended, without the results of an attempt before.
func (b *batch) fresh() []*eventlog.Batch {
	var out []*eventlog.Batch
	for i := range b.parts {
		if p := &b.parts[i]; len(p.Ends) > 0 {
			out = append(out, &eventlog.Batch{Partition: p.Partition, Data: p.Data, Ends: p.Ends, Keys: p.Keys})
		}
	}
	return out
}

// reset empties it and keeps its room. The log kept nothing of it.
func (b *batch) reset() {
	for i := range b.parts {
		p := &b.parts[i]
		p.Data, p.Ends, p.Keys = p.Data[:0], p.Ends[:0], p.Keys[:0]
	}
	b.bytes = 0
}
