package mongo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	mongodb "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Several documents change together like this. A record of the transaction is
// stored as pending; each document gets, beside its value, the transaction's id and
// the value to come; the record becomes committed: that one write is the moment at
// which all of it happens. Then the documents take their new values and the record
// goes. Who meets a document that a transaction has at work looks at the record:
//
//	committed   it has happened: the value to come counts
//	pending     it has not happened: the old value counts. A writer waits, and
//	            after patience removes the record
//	none        it never will: the old value counts, if the document is still at
//	            work on a second look (else it was finished meanwhile)
//
// A record can be committed only while it is there, so whoever removes a pending one
// has undone the transaction for ever, however late its owner wakes up.

// patience is how long a writer waits for the transaction of a process that may have
// ended.
const patience = time.Second

const (
	statePending   = "pending"
	stateCommitted = "committed"
)

// record is a transaction.
type record struct {
	ID    bson.ObjectID `bson:"_id"`
	State string        `bson:"state"`
	At    time.Time     `bson:"at"`
	Docs  []docName     `bson:"docs"` // all, so that anybody can finish it
}

type docName struct {
	Coll string `bson:"c"`
	ID   string `bson:"id"`
}

func (s *Store) records() *mongodb.Collection { return s.db.Collection(collTransactions) }

func inState(tx bson.ObjectID, state string) bson.D {
	return bson.D{{Key: "_id", Value: tx}, {Key: "state", Value: state}}
}

// stateOf is the state of a transaction; empty if there is no record.
func (s *Store) stateOf(ctx context.Context, tx bson.ObjectID) (string, error) {
	var r record
	opts := options.FindOne().SetProjection(bson.D{{Key: "state", Value: 1}})
	err := s.records().FindOne(ctx, bson.D{{Key: "_id", Value: tx}}, opts).Decode(&r)
	if errors.Is(err, mongodb.ErrNoDocuments) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look at a transaction: %w", err)
	}
	return r.State, nil
}

// writeAll makes all changes or, on any error but ErrUnknown, none.
func (s *Store) writeAll(ctx context.Context, tx bson.ObjectID, changes []*change) error {
	rec := record{ID: tx, State: statePending, At: time.Now(), Docs: make([]docName, len(changes))}
	for i, c := range changes {
		rec.Docs[i] = docName{c.coll.Name(), c.id}
	}
	if _, err := s.records().InsertOne(ctx, rec); err != nil {
		return fmt.Errorf("begin a transaction: %w", err) // a record alone does nothing
	}
	held, err := s.hold(ctx, tx, changes)
	if err == nil && !held {
		err = errRaced
	}
	if err == nil {
		err = s.commit(ctx, tx)
	}
	later, cancel := s.later(ctx)
	defer cancel()
	switch {
	case err == nil:
		// It has happened: what cannot be finished now, others finish.
		if err := s.finishOwn(later, tx, changes, true); err != nil {
			s.log.Warn("a transaction was not finished; who meets its documents will", "error", err)
		}
		return nil
	case errors.Is(err, ErrUnknown):
		return err
	}
	undone := s.undo(later, tx)
	if undone == nil {
		undone = s.finishOwn(later, tx, changes, false)
	}
	if undone != nil {
		s.log.Warn("a transaction was not undone; who meets its documents will", "error", undone)
	}
	return err
}

// hold puts the values to come beside the documents, and tells whether all were
// still as they were seen.
func (s *Store) hold(ctx context.Context, tx bson.ObjectID, changes []*change) (bool, error) {
	held := 0
	for coll, group := range byCollection(changes) {
		for part := range slices.Chunk(group, chunk) {
			models := make([]mongodb.WriteModel, len(part))
			for i, c := range part {
				models[i] = c.holding(tx)
			}
			r, err := coll.BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
			if err != nil && !onlyDuplicates(err) {
				return false, fmt.Errorf("prepare a transaction: %w", err)
			}
			if err != nil {
				return false, nil
			}
			held += int(r.InsertedCount + r.MatchedCount)
		}
	}
	return held == len(changes), nil
}

// holding is the write that puts the value to come beside a document.
func (c *change) holding(tx bson.ObjectID) mongodb.WriteModel {
	var next any
	if c.Value != nil {
		next = bson.D{{Key: "head", Value: c.after.head}, {Key: "own", Value: c.after.own}}
	}
	if c.before.version == 0 {
		head := bson.D{{Key: "v", Value: int64(0)}, {Key: "w", Value: tx}, {Key: "tx", Value: tx}, {Key: "next", Value: next}}
		return mongodb.NewInsertOneModel().SetDocument(bson.D{{Key: "_id", Value: c.id}, {Key: metaField, Value: head}})
	}
	return mongodb.NewUpdateOneModel().SetFilter(c.before.unchanged()).SetUpdate(bson.D{{Key: "$set", Value: bson.D{
		{Key: fieldVersion, Value: c.before.version}, {Key: fieldWrite, Value: tx}, {Key: fieldTx, Value: tx}, {Key: fieldNext, Value: next},
	}}})
}

// onlyDuplicates tells that all that failed of a bulk are inserts of what somebody
// else has inserted.
func onlyDuplicates(err error) bool {
	be, ok := errors.AsType[mongodb.BulkWriteException](err)
	if !ok || be.WriteConcernError != nil {
		return false
	}
	for _, e := range be.WriteErrors {
		if !mongodb.IsDuplicateKeyError(e.WriteError) {
			return false
		}
	}
	return true
}

// commit makes a transaction happen.
func (s *Store) commit(ctx context.Context, tx bson.ObjectID) error {
	set := bson.D{{Key: "$set", Value: bson.D{{Key: "state", Value: stateCommitted}}}}
	r, err := s.records().UpdateOne(ctx, inState(tx, statePending), set)
	switch {
	case err == nil && r.MatchedCount == 1:
		return nil
	case err == nil:
		return errRaced // somebody lost patience
	}
	// Whatever the error says: others may have seen that it happened, so it must not be
	// undone on its word. It may have happened, or may be about to. If the record can be removed while
	// it is pending, it cannot any more.
	ctx, cancel := s.later(ctx)
	defer cancel()
	gone, undo := s.records().DeleteOne(ctx, inState(tx, statePending))
	if undo == nil && gone.DeletedCount == 1 {
		return fmt.Errorf("commit a transaction: %w", err)
	}
	if state, look := s.stateOf(ctx, tx); look == nil && state == stateCommitted {
		return nil
	}
	return fmt.Errorf("commit a transaction: %w: %w", ErrUnknown, err)
}

// undo sees to it that a pending transaction never happens.
func (s *Store) undo(ctx context.Context, tx bson.ObjectID) error {
	if _, err := s.records().DeleteOne(ctx, inState(tx, statePending)); err != nil {
		return fmt.Errorf("undo a transaction: %w", err)
	}
	return nil
}

// finishOwn leaves nothing of a transaction that has happened, or never will, and
// whose changes are known.
func (s *Store) finishOwn(ctx context.Context, tx bson.ObjectID, changes []*change, happened bool) error {
	for coll, group := range byCollection(changes) {
		for part := range slices.Chunk(group, chunk) {
			models := make([]mongodb.WriteModel, len(part))
			for i, c := range part {
				models[i] = releasing(tx, c.before.version, c.after, happened)
			}
			if _, err := coll.BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false)); err != nil {
				return fmt.Errorf("finish a transaction: %w", err)
			}
		}
	}
	return s.forget(ctx, tx)
}

// finish does the same for a transaction that another process has left.
func (s *Store) finish(ctx context.Context, rec *record, happened bool) error {
	groups := make(map[string]bson.A, 1)
	for _, d := range rec.Docs {
		groups[d.Coll] = append(groups[d.Coll], d.ID)
	}
	for name, ids := range groups {
		for part := range slices.Chunk(ids, chunk) {
			if err := release(ctx, s.db.Collection(name), part, rec.ID, happened); err != nil {
				return fmt.Errorf("finish a transaction: %w", err)
			}
		}
	}
	return s.forget(ctx, rec.ID)
}

// forget removes the record of a transaction that has happened, once no document
// needs it any more.
func (s *Store) forget(ctx context.Context, tx bson.ObjectID) error {
	if _, err := s.records().DeleteOne(ctx, inState(tx, stateCommitted)); err != nil {
		return fmt.Errorf("finish a transaction: %w", err)
	}
	return nil
}

// release lets go of documents that a transaction has at work.
func release(ctx context.Context, coll *mongodb.Collection, ids bson.A, tx bson.ObjectID, happened bool) error {
	filter := bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}, {Key: fieldTx, Value: tx}}
	found, err := coll.Find(ctx, filter)
	if err != nil {
		return err
	}
	defer func() { _ = found.Close(context.WithoutCancel(ctx)) }() // it was only read
	var models []mongodb.WriteModel
	for found.Next(ctx) {
		st := parse(found.Current)
		models = append(models, releasing(tx, st.version, st.after(), happened))
	}
	if err := found.Err(); err != nil || len(models) == 0 {
		return err
	}
	_, err = coll.BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
	return err
}

// releasing is the write that lets go of a document of some version, with what the
// transaction makes of it. Doing it again does nothing.
func releasing(tx bson.ObjectID, version int64, after stored, happened bool) mongodb.WriteModel {
	filter := bson.D{{Key: "_id", Value: after.id}, {Key: fieldTx, Value: tx}}
	switch {
	case happened && after.version > 0:
		return mongodb.NewReplaceOneModel().SetFilter(filter).SetReplacement(after.whole())
	case happened || version == 0:
		return mongodb.NewDeleteOneModel().SetFilter(filter)
	}
	return mongodb.NewUpdateOneModel().SetFilter(filter).SetUpdate(bson.D{{Key: "$unset", Value: bson.D{
		{Key: fieldTx, Value: ""}, {Key: fieldNext, Value: ""},
	}}})
}

// settled reads a document as it counts; version 0 if there is none.
func (s *Store) settled(ctx context.Context, p *place, id string) (stored, error) {
	st, err := read(ctx, p, id)
	if err != nil || !st.pending() {
		return st, err
	}
	return s.settle(ctx, p, st)
}

func read(ctx context.Context, p *place, id string) (stored, error) {
	d, err := p.coll.FindOne(ctx, bson.D{{Key: "_id", Value: id}}).Raw()
	if errors.Is(err, mongodb.ErrNoDocuments) {
		return stored{id: id}, nil
	}
	if err != nil {
		return stored{}, err
	}
	return parse(d), nil
}

// settle finds out what counts of a document that a transaction has at work.
func (s *Store) settle(ctx context.Context, p *place, st stored) (stored, error) {
	for {
		state, err := s.stateOf(ctx, st.tx)
		switch {
		case err != nil:
			return stored{}, err
		case state == stateCommitted:
			return st.after(), nil
		case state == statePending:
			return st, nil
		}
		again, err := read(ctx, p, st.id)
		if err != nil || !again.pending() || again.tx == st.tx {
			return again, err
		}
		st = again
	}
}

// clear waits until no transaction is at work on a document, and helps.
func (s *Store) clear(ctx context.Context, p *place, st stored) (stored, error) {
	var since time.Time
	for attempt := 0; st.pending(); attempt++ {
		tx := st.tx
		state, err := s.stateOf(ctx, tx)
		if err != nil {
			return stored{}, err
		}
		if state == statePending {
			if since.IsZero() {
				since = time.Now()
			}
			if time.Since(since) < patience {
				err = pause(ctx, attempt)
			} else {
				err = s.undo(ctx, tx)
			}
		} else {
			// Without a record it is over: what it left is taken away, unless it
			// was finished meanwhile, and then this finds nothing.
			err = release(ctx, p.coll, bson.A{st.id}, tx, state == stateCommitted)
		}
		if err != nil {
			return stored{}, err
		}
		if st, err = read(ctx, p, st.id); err != nil {
			return stored{}, err
		}
		if st.tx != tx {
			since = time.Time{}
		}
	}
	return st, nil
}

const (
	// sweepEvery is how often is looked for what ended processes left undone, which
	// is at least that old.
	sweepEvery = time.Minute
	// sweepMost bounds how much of it is taken up at once, sweepTold how much is said of
	// what cannot be finished.
	sweepMost, sweepTold = 20, 5
)

// sweep finishes what ended processes left. Being early, or wrong about the time, does
// no harm.
func (s *Store) sweep(ctx context.Context) {
	every := time.NewTicker(sweepEvery)
	defer every.Stop()
	for {
		if err := s.sweepOnce(ctx, time.Now().Add(-sweepEvery)); err != nil && ctx.Err() == nil {
			s.log.Warn("what ended processes left was not swept", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
	}
}

// sweepOnce goes through all there is, some at a time: what cannot be finished stands in
// nobody's way.
func (s *Store) sweepOnce(ctx context.Context, before time.Time) error {
	var failed []error
	for after := (bson.ObjectID{}); ; {
		filter := bson.D{{Key: "at", Value: bson.D{{Key: "$lt", Value: before}}}, {Key: "_id", Value: bson.D{{Key: "$gt", Value: after}}}}
		found, err := s.records().Find(ctx, filter, options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}).SetLimit(sweepMost))
		if err != nil {
			return err
		}
		var left []bson.Raw
		if err := found.All(ctx, &left); err != nil {
			return err
		}
		if len(left) == 0 {
			return errors.Join(failed...)
		}
		for _, raw := range left {
			after = raw.Lookup("_id").ObjectID()
			err := s.sweepRecord(ctx, raw)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil && len(failed) < sweepTold {
				failed = append(failed, fmt.Errorf("transaction %s: %w", after.Hex(), err))
			}
		}
	}
}

func (s *Store) sweepRecord(ctx context.Context, raw bson.Raw) error {
	var rec record
	if err := bson.Unmarshal(raw, &rec); err != nil {
		return err
	}
	if rec.State == statePending {
		if err := s.undo(ctx, rec.ID); err != nil {
			return err
		}
	}
	state, err := s.stateOf(ctx, rec.ID)
	if err != nil {
		return err
	}
	return s.finish(ctx, &rec, state == stateCommitted)
}
