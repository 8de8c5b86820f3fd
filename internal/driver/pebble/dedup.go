package pebble

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	crdb "github.com/cockroachdb/pebble/v2"

	"heed/internal/eventlog"
)

const (
	// maxBucketIDs are the ids of a bucket: three quarters of 2^21, so that the
	// exact set takes 32 MiB when full. Smaller buckets mean more filters to ask.
	maxBucketIDs = 1_572_864
	// bucketsPerHorizon: a bucket is sealed after this part of the horizon too,
	// so that few filters are asked and ids are forgotten in time.
	bucketsPerHorizon = 8
	// blockIDs is about how many keys stand in one stored block (4 KiB at most).
	blockIDs = 192
	// filterPart is how many bytes of a filter stand in one value.
	filterPart = 256 << 10
	openKeyLen = 13
)

// dedup remembers which keys were appended. The open bucket is an exact set in
// memory, stored as one value per commit; sealed buckets are stored in blocks
// by hash, behind a filter in memory.
//
// rotate, filter and putOpenKey belong to the sequencer's goroutine.
type dedup struct {
	db        *DB
	hash      hasher
	bucketIDs int

	open   *bucket
	commit uint64 // number of the next value of the open bucket
	full   []*bucket
	taken  []*bucket // full, not yet seen to be sealed: asked by exact set

	sealed atomic.Pointer[[]*bucket] // oldest first

	sealing sync.WaitGroup
	work    chan *bucket
	oldest  atomic.Int64 // µs: since when every id is known
	started bool

	scratch []probe
}

// bucket is the ids of a stretch of time.
type bucket struct {
	Number uint32 `json:"number"`
	Begin  int64  `json:"begin"` // µs
	End    int64  `json:"end"`
	IDs    int    `json:"ids"`
	Blocks uint32 `json:"blocks"`
	Filter int    `json:"filter"` // bytes

	set    *keySet // until it is sealed
	done   atomic.Bool
	filter filter // when it is sealed
}

// probe is one key on its way through the filters.
type probe struct{ a, m, n uint64 }

func openDedup(db *DB) (*dedup, error) {
	d := &dedup{
		db: db, hash: db.made.Seed, work: make(chan *bucket, 64),
		bucketIDs: min(maxBucketIDs, max(db.cfg.DedupIDs/4, 100)),
	}
	if db.hooks.bucketIDs > 0 {
		d.bucketIDs = db.hooks.bucketIDs
	}
	sealed, err := d.loadSealed()
	if err != nil {
		return nil, err
	}
	unsealed, err := d.loadUnsealed(sealed)
	if err != nil {
		return nil, err
	}
	d.sealed.Store(&sealed)
	now := db.deps.Clock().UnixMicro()
	if n := len(unsealed); n > 0 {
		d.open = unsealed[n-1]
		d.full = unsealed[:n-1]
	} else {
		var next uint32
		begin := db.made.Created
		if n := len(sealed); n > 0 {
			next, begin = sealed[n-1].Number+1, sealed[n-1].End
		}
		d.open = &bucket{Number: next, Begin: min(begin, now), set: newKeySet()}
	}
	begin := d.open.Begin
	if len(unsealed) > 0 {
		begin = unsealed[0].Begin
	}
	d.noteOldest(sealed, begin)
	d.taken = slices.Clone(d.full)
	d.sealing.Go(d.seal)
	d.started = true
	for _, b := range d.full {
		d.work <- b
	}
	d.full = nil
	return d, nil
}

// loadSealed reads what the sealed buckets hold, and their filters.
func (d *dedup) loadSealed() ([]*bucket, error) {
	ctx := context.Background()
	var out []*bucket
	prefix := []byte{keyBucket}
	err := d.db.iterate(ctx, prefix, successor(prefix), func(key, value []byte) (bool, error) {
		b := &bucket{}
		if err := json.Unmarshal(value, b); err != nil {
			return false, fmt.Errorf("bucket %x: %w", key, err)
		}
		out = append(out, b)
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	for _, b := range out {
		data := make([]byte, 0, b.Filter)
		prefix := bucketKey(keyFilter, b.Number)
		err := d.db.iterate(ctx, prefix, successor(prefix), func(_, value []byte) (bool, error) {
			data = append(data, value...)
			return true, nil
		})
		if err != nil {
			return nil, err
		}
		if len(data) != b.Filter || len(data) == 0 || len(data)%16 != 0 || bits.OnesCount32(b.Blocks) != 1 {
			return nil, fmt.Errorf("%w: filter of bucket %d has %d bytes of %d", errCorrupt, b.Number, len(data), b.Filter)
		}
		b.filter = decodeFilter(data)
		b.done.Store(true)
	}
	return out, nil
}

// loadUnsealed reads the keys of the open bucket, and of those that were being
// sealed.
func (d *dedup) loadUnsealed(sealed []*bucket) ([]*bucket, error) {
	var out []*bucket
	var last uint32
	var any bool
	if n := len(sealed); n > 0 {
		last, any = sealed[n-1].Number, true
	}
	prefix := []byte{keyOpen}
	err := d.db.iterate(context.Background(), prefix, successor(prefix), func(key, value []byte) (bool, error) {
		if len(key) != openKeyLen || len(value) < 16 || (len(value)-8)%16 != 0 {
			return false, fmt.Errorf("%w: open bucket, key %x, %d bytes", errCorrupt, key, len(value))
		}
		number := binary.BigEndian.Uint32(key[1:])
		if any && number <= last {
			return false, fmt.Errorf("%w: bucket %d is sealed and open", errCorrupt, number)
		}
		at := int64(binary.LittleEndian.Uint64(value))
		if n := len(out); n == 0 || out[n-1].Number != number {
			out = append(out, &bucket{Number: number, Begin: at, set: newKeySet()})
		}
		b := out[len(out)-1]
		b.End = at
		for rest := value[8:]; len(rest) > 0; rest = rest[16:] {
			k := eventlog.Key(rest)
			hash, _ := d.hash.sum(&k)
			b.set.add(&k, hash, &d.hash)
		}
		d.commit = binary.BigEndian.Uint64(key[5:]) + 1
		return true, nil
	})
	return out, err
}

// close waits for the bucket that is being sealed; nothing more is appended.
func (d *dedup) close() {
	if d.started {
		close(d.work)
		d.sealing.Wait()
		d.started = false
	}
}

// rotate begins a new bucket when the open one is full or old.
func (d *dedup) rotate(now time.Time) {
	if len(d.taken) > 0 {
		d.taken = slices.DeleteFunc(d.taken, func(b *bucket) bool { return b.done.Load() })
	}
	at := now.UnixMicro()
	b := d.open
	if b.set.count < d.bucketIDs && at-b.Begin < (d.db.cfg.DedupHorizon/bucketsPerHorizon).Microseconds() {
		return
	}
	if b.set.count == 0 {
		b.Begin = at // nothing to seal: it begins anew
		return
	}
	b.End = max(at, b.Begin) // from the next line on it is the sealer's
	end := b.End
	select {
	case d.work <- b:
	default:
		return // sealing is far behind: the bucket grows meanwhile
	}
	d.taken = append(d.taken, b)
	d.open = &bucket{Number: b.Number + 1, Begin: end, set: newKeySet()}
	d.commit = 0
}

// filter marks the duplicates of a batch, remembers its new keys and appends
// them to keys.
func (d *dedup) filter(b *eventlog.Batch, keys []byte) ([]byte, error) {
	b.Duplicate = nil
	if len(b.Keys) == 0 {
		return keys, nil
	}
	if cap(d.scratch) < len(b.Keys) {
		d.scratch = make([]probe, len(b.Keys))
	}
	probes := d.scratch[:len(b.Keys)]
	for i := range b.Keys {
		a, x := d.hash.sum(&b.Keys[i])
		m, n := masks(x)
		probes[i] = probe{a, m, n}
	}
	// Filter by filter, so that the memory is asked for many keys at a time.
	for _, s := range *d.sealed.Load() {
		f := s.filter
		for i := range probes {
			if !f.may(probes[i].a, probes[i].m, probes[i].n) || b.Keys[i] == (eventlog.Key{}) {
				continue
			}
			found, err := d.stored(s, &b.Keys[i], probes[i].a)
			if err != nil {
				return keys, err
			}
			if found {
				markDuplicate(b, i)
			}
		}
	}
	for _, s := range d.taken {
		for i := range probes {
			if s.set.has(&b.Keys[i], probes[i].a) && b.Keys[i] != (eventlog.Key{}) {
				markDuplicate(b, i)
			}
		}
	}
	for i := range probes {
		if b.Keys[i] == (eventlog.Key{}) || b.Duplicate != nil && b.Duplicate[i] {
			continue
		}
		if !d.open.set.add(&b.Keys[i], probes[i].a, &d.hash) {
			markDuplicate(b, i)
			continue
		}
		if len(keys) == 0 {
			keys = binary.LittleEndian.AppendUint64(keys, uint64(d.db.deps.Clock().UnixMicro()))
		}
		keys = append(keys, b.Keys[i][:]...)
	}
	return keys, nil
}

func markDuplicate(b *eventlog.Batch, i int) {
	if b.Duplicate == nil {
		b.Duplicate = make([]bool, len(b.Ends))
	}
	b.Duplicate[i] = true
}

// putOpenKey fills the key of this commit's value.
func (d *dedup) putOpenKey(k []byte) {
	k[0] = keyOpen
	binary.BigEndian.PutUint32(k[1:], d.open.Number)
	binary.BigEndian.PutUint64(k[5:], d.commit)
	d.commit++
}

// stored looks a key up in a sealed bucket.
func (d *dedup) stored(b *bucket, k *eventlog.Key, hash uint64) (found bool, err error) {
	value, closer, err := d.db.engine.Get(bucketPartKey(keyBlock, b.Number, blockOf(hash, b.Blocks)))
	if errors.Is(err, crdb.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read bucket %d: %w", b.Number, err)
	}
	for rest := value; len(rest) >= 16; rest = rest[16:] {
		if eventlog.Key(rest) == *k {
			found = true
			break
		}
	}
	return found, closer.Close()
}

// blockOf is the block of a hash; blocks is a power of two. It takes bits that
// the exact set's place does not depend on.
func blockOf(hash uint64, blocks uint32) uint32 { return uint32(hash>>32) & (blocks - 1) }

// seal stores full buckets, one after the other.
func (d *dedup) seal() {
	for b := range d.work {
		err := d.sealOne(b)
		if err == nil {
			err = d.forget(b.End)
		}
		if err != nil {
			if d.db.Err() == nil {
				d.db.fail(fmt.Errorf("seal dedup bucket %d: %w", b.Number, err))
			}
			// Go on emptying the channel: the sequencer must not wait.
		}
	}
}

func (d *dedup) sealOne(b *bucket) error {
	b.IDs = b.set.count
	b.Blocks = 1
	for int(b.Blocks)*blockIDs < b.IDs {
		b.Blocks *= 2
	}
	f := newFilter(b.IDs)
	counts := make([]uint32, b.Blocks+1)
	for i := range b.set.table {
		k := &b.set.table[i]
		if *k == (eventlog.Key{}) {
			continue
		}
		a, x := d.hash.sum(k)
		f.add(a, x)
		counts[blockOf(a, b.Blocks)+1]++
	}
	for i := 1; i < len(counts); i++ {
		counts[i] += counts[i-1]
	}
	sorted := make([]byte, 16*b.IDs)
	place := slices.Clone(counts)
	for i := range b.set.table {
		k := &b.set.table[i]
		if *k == (eventlog.Key{}) {
			continue
		}
		a, _ := d.hash.sum(k)
		block := blockOf(a, b.Blocks)
		copy(sorted[16*place[block]:], k[:])
		place[block]++
	}
	encoded := f.encode()
	b.Filter = len(encoded)
	if err := d.storeParts(keyBlock, b.Number, b.Blocks, func(i uint32) []byte {
		return sorted[16*counts[i] : 16*counts[i+1]]
	}); err != nil {
		return err
	}
	parts := uint32((len(encoded) + filterPart - 1) / filterPart)
	if err := d.storeParts(keyFilter, b.Number, parts, func(i uint32) []byte {
		return encoded[int(i)*filterPart : min(len(encoded), int(i+1)*filterPart)]
	}); err != nil {
		return err
	}
	meta, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	// From here on the bucket is sealed: its keys are in blocks, no longer open.
	err = d.db.write(func(batch *crdb.Batch) error {
		open := bucketKey(keyOpen, b.Number)
		return errors.Join(batch.Set(bucketKey(keyBucket, b.Number), meta, nil),
			batch.DeleteRange(open, successor(open), nil))
	}, false)
	if err != nil {
		return err
	}
	b.filter = f
	sealed := append(slices.Clone(*d.sealed.Load()), b)
	d.sealed.Store(&sealed)
	b.done.Store(true) // the sequencer lets go of the exact set
	return nil
}

// storeParts writes the parts of a bucket in batches of some size.
func (d *dedup) storeParts(kind byte, number, parts uint32, part func(uint32) []byte) error {
	for i := uint32(0); i < parts; {
		err := d.db.write(func(batch *crdb.Batch) error {
			for ; i < parts && batch.Len() < groupBytes(d.db.cfg.Memory)/2; i++ {
				if value := part(i); len(value) > 0 {
					if err := batch.Set(bucketPartKey(kind, number, i), value, nil); err != nil {
						return fmt.Errorf("batch: %w", err)
					}
				}
			}
			return nil
		}, false)
		if err != nil {
			return err
		}
	}
	return nil
}

// forget drops the buckets beyond the horizon.
func (d *dedup) forget(now int64) error {
	sealed := *d.sealed.Load()
	ids := 0
	for _, b := range sealed {
		ids += b.IDs
	}
	n := 0
	for n < len(sealed) && (ids-sealed[n].IDs >= d.db.cfg.DedupIDs || now-sealed[n].End > d.db.cfg.DedupHorizon.Microseconds()) {
		ids -= sealed[n].IDs
		n++
	}
	if n == 0 {
		d.noteOldest(sealed, now)
		return nil
	}
	gone := sealed[:n]
	left := slices.Clone(sealed[n:])
	d.sealed.Store(&left)
	d.noteOldest(left, now)
	return d.db.write(func(batch *crdb.Batch) error {
		var errs []error
		for _, b := range gone {
			for _, kind := range []byte{keyBlock, keyFilter, keyBucket} {
				prefix := bucketKey(kind, b.Number)
				errs = append(errs, batch.DeleteRange(prefix, successor(prefix), nil))
			}
		}
		return errors.Join(errs...)
	}, false)
}

// noteOldest notes since when ids are known, for the metric.
func (d *dedup) noteOldest(sealed []*bucket, otherwise int64) {
	if len(sealed) > 0 {
		otherwise = sealed[0].Begin
	}
	d.oldest.Store(otherwise)
}

// horizon is how far back every id is known, at most since the installation.
func (d *dedup) horizon(now time.Time) time.Duration {
	return time.Duration(max(0, now.UnixMicro()-d.oldest.Load())) * time.Microsecond
}

// stats are the ids and the filters' bytes of the sealed buckets.
func (d *dedup) stats() (ids, filterBytes int) {
	for _, b := range *d.sealed.Load() {
		ids += b.IDs
		filterBytes += 8 * len(b.filter.words)
	}
	return ids, filterBytes
}
