package mongo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	mongodb "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"heed/internal/documents"
)

// Bounds of a transaction. MongoDB takes 16 MB in one piece: a document with the
// value that follows it stays far below, and so does the list of the keys.
const (
	maxWrites = 10_000
	maxKeys   = 2 << 20  // bytes of all names and keys, which may be stored threefold
	maxValues = 48 << 20 // bytes of all values
	chunk     = 500      // documents that are asked for, or written, at once
)

// errRaced: somebody else was faster, and nothing was written: begin again.
var errRaced = errors.New("another transaction was faster")

// change is a write on its way.
type change struct {
	documents.Write
	place
	id     string
	before stored // version 0: none
	after  stored // version 0: removed
}

// Apply implements documents.Store. Both durabilities are majority writes.
func (s *Store) Apply(ctx context.Context, d documents.Durability, writes ...documents.Write) error {
	if s.closed.Load() {
		return documents.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	changes, err := s.prepare(writes)
	if err != nil || len(changes) == 0 {
		return err
	}
	within, cancel := s.limit(ctx)
	defer cancel()
	for attempt := 0; ; attempt++ {
		err := s.try(within, changes)
		if err == nil {
			break
		}
		if errors.Is(err, errRaced) {
			if err = pause(within, attempt); err == nil {
				continue
			}
		}
		if errors.Is(err, documents.ErrConflict) {
			return err
		}
		return s.err("apply", err)
	}
	s.hub.Changed(writes)
	s.changed(within, d, writes)
	return nil
}

// pause waits a little, longer from time to time, and not as long as others do.
func pause(ctx context.Context, attempt int) error {
	most := time.Millisecond << min(attempt, 6)
	timer := time.NewTimer(time.Duration(rand.Int64N(int64(most))) + most/4)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// prepare checks the writes and gives them the form they are stored in.
func (s *Store) prepare(writes []documents.Write) ([]*change, error) {
	if err := documents.CheckWrites(writes); err != nil {
		return nil, err
	}
	if len(writes) > maxWrites {
		return nil, fmt.Errorf("documents: %d writes in one transaction, at most %d are taken", len(writes), maxWrites)
	}
	keys, values := 0, 0
	for _, w := range writes {
		keys += len(w.Collection) + len(w.Key)
		values += len(w.Value)
	}
	switch {
	case keys > maxKeys:
		return nil, fmt.Errorf("documents: the keys of a transaction have %d bytes, at most %d are taken", keys, maxKeys)
	case values > maxValues:
		return nil, fmt.Errorf("documents: the values of a transaction have %d bytes, at most %d are taken", values, maxValues)
	}
	out := make([]*change, 0, len(writes))
	for _, w := range writes {
		c := &change{Write: w, place: s.place(w.Collection)}
		id, ok := c.place.id(w.Key)
		if !ok && w.Value == nil && w.Expect <= documents.Absent {
			continue // there is none, as with Get
		}
		if !ok {
			return nil, fmt.Errorf("%w: the key %.40q of %s is not valid UTF-8", documents.ErrRefused, w.Key, w.Collection)
		}
		c.id = id
		if w.Value != nil {
			head, own, err := c.form.fields(w.Value)
			if err == nil {
				c.after.head, err = bson.Marshal(head)
			}
			if err == nil {
				c.after.own, err = bson.Marshal(own)
			}
			if err != nil {
				return nil, fmt.Errorf("%w: %w", documents.ErrRefused, err)
			}
		}
		c.after.id = id
		out = append(out, c)
	}
	return out, nil
}

// try reads what is there, compares it with what is expected, and writes unless
// somebody else has written meanwhile.
func (s *Store) try(ctx context.Context, changes []*change) error {
	if err := s.look(ctx, changes); err != nil {
		return err
	}
	write := bson.NewObjectID()
	for _, c := range changes {
		if have := c.before.version; c.Expect != documents.Any && c.Expect != have {
			return fmt.Errorf("documents: %s/%.40q has version %d, not %d: %w", c.Collection, c.Key, have, c.Expect, documents.ErrConflict)
		}
		if c.Value != nil {
			c.after.version, c.after.write = c.before.version+1, write
		}
	}
	if len(changes) == 1 {
		return s.writeOne(ctx, changes[0])
	}
	return s.writeAll(ctx, write, changes)
}

// look reads the documents as they are, once no transaction is at work on them.
func (s *Store) look(ctx context.Context, changes []*change) error {
	for coll, group := range byCollection(changes) {
		for part := range slices.Chunk(group, chunk) {
			if err := s.lookAt(ctx, coll, part); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) lookAt(ctx context.Context, coll *mongodb.Collection, changes []*change) error {
	ids := make(bson.A, len(changes))
	byID := make(map[string]*change, len(changes))
	for i, c := range changes {
		c.before = stored{id: c.id}
		ids[i], byID[c.id] = c.id, c
	}
	filter := bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}}
	found, err := coll.Find(ctx, filter, options.Find().SetProjection(bson.D{{Key: metaField, Value: 1}}))
	if err != nil {
		return fmt.Errorf("look at what is there: %w", err)
	}
	defer func() { _ = found.Close(context.WithoutCancel(ctx)) }() // it was only read
	for found.Next(ctx) {
		st := parse(found.Current)
		c := byID[st.id]
		if c == nil {
			continue
		}
		if st.pending() {
			if st, err = s.clear(ctx, &c.place, st); err != nil {
				return err
			}
		}
		c.before = st
	}
	if err := found.Err(); err != nil {
		return fmt.Errorf("look at what is there: %w", err)
	}
	return nil
}

// writeOne writes one document, if it is still as it was seen.
func (s *Store) writeOne(ctx context.Context, c *change) error {
	var done int64
	var err error
	switch {
	case c.Value == nil && c.before.version == 0:
		return nil
	case c.Value == nil:
		var r *mongodb.DeleteResult
		if r, err = c.coll.DeleteOne(ctx, c.before.unchanged()); err == nil {
			done = r.DeletedCount
		}
	case c.before.version == 0:
		if _, err = c.coll.InsertOne(ctx, c.after.whole()); err == nil {
			done = 1
		} else if refused(err) && mongodb.IsDuplicateKeyError(err) {
			err = nil
		}
	default:
		var r *mongodb.UpdateResult
		if r, err = c.coll.ReplaceOne(ctx, c.before.unchanged(), c.after.whole()); err == nil {
			done = r.MatchedCount
		}
	}
	switch {
	case err == nil && done == 1:
		return nil
	case err == nil:
		return errRaced
	case refused(err):
		return err
	}
	return s.wasWritten(ctx, c, err)
}

// unsure are codes of a router that lost its server and of a server that steps down:
// what was asked may have been done. Servers label them where the library may repeat
// writes only, which not every server can.
func unsure(code int32) bool {
	switch code {
	case 6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436:
		return true
	}
	return false
}

// refused tells that a server said no to a write: nothing was written. Any other
// error leaves that open.
func refused(err error) bool {
	if we, ok := errors.AsType[mongodb.WriteException](err); ok {
		return we.WriteConcernError == nil
	}
	ce, ok := errors.AsType[mongodb.CommandError](err)
	return ok && !mongodb.IsNetworkError(err) && !mongodb.IsTimeout(err) && !ce.HasErrorLabel("RetryableWriteError") && !unsure(ce.Code)
}

// wasWritten finds out, after an error that leaves it open, whether a document was
// written: its last write has the write's own id.
func (s *Store) wasWritten(ctx context.Context, c *change, cause error) error {
	ctx, cancel := s.later(ctx)
	defer cancel()
	st, err := s.settled(ctx, &c.place, c.id)
	switch {
	case err != nil:
	case c.Value != nil && st.version > 0 && st.write == c.after.write,
		c.Value == nil && c.Expect == documents.Any && st.version == 0:
		return nil
	}
	// As it was before is no proof: the write may be under way yet.
	return fmt.Errorf("%w: %w", ErrUnknown, cause)
}

// byCollection groups the changes by where they are stored.
func byCollection(changes []*change) map[*mongodb.Collection][]*change {
	out := make(map[*mongodb.Collection][]*change, 1)
	seen := make(map[string]*mongodb.Collection, 1)
	for _, c := range changes {
		coll := seen[c.coll.Name()]
		if coll == nil {
			coll = c.coll
			seen[c.coll.Name()] = coll
		}
		out[coll] = append(out[coll], c)
	}
	return out
}
