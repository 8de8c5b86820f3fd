// Package mongo owns the store of documents on MongoDB, shared by all processes
// of an installation (ADR 0026). It needs nothing of a server but writes of one
// document that happen or do not: several documents change together by a protocol
// of its own (transaction.go), and changes are announced by counters (changes.go),
// so it is the same on every server that speaks MongoDB's protocol.
//
// Documents are opaque, but those of the pull store: these other programs read and
// write, too (natural.go).
//
// A server that cannot be reached, or is slow, is an error after Config.Timeout, or
// up to three times that where it must be found out whether something was written; if
// that cannot be found out it is ErrUnknown. All methods may be called concurrently.
package mongo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"go.mongodb.org/mongo-driver/v2/bson"
	mongodb "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"

	"heed/internal/documents"
)

// ErrUnknown: the servers were lost at a moment that leaves open whether a
// transaction happened. It happened as a whole or not at all; reading tells.
var ErrUnknown = errors.New("documents: whether it was written is not known")

// Deps is what the store needs besides its configuration.
type Deps struct {
	Logger *slog.Logger
}

// Store is the store of documents.
type Store struct {
	cfg    Config
	log    *slog.Logger
	client *mongodb.Client
	db     *mongodb.Database

	closed  atomic.Bool
	stop    context.CancelFunc
	stopped <-chan struct{}
	tending sync.WaitGroup

	hub     documents.Hub
	watched atomic.Bool // somebody ever watched
	changes changes
}

var _ documents.Store = (*Store)(nil)

// Open connects and checks that the servers can keep the promises.
func Open(ctx context.Context, cfg Config, deps Deps) (*Store, error) {
	cfg.Defaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("mongo: %w", err)
	}
	opts, err := cfg.client()
	if err != nil {
		return nil, fmt.Errorf("mongo: %w", err)
	}
	client, err := mongodb.Connect(opts)
	if err != nil {
		return nil, fmt.Errorf("mongo: connect: %s", redact(err.Error()))
	}
	s := &Store{cfg: cfg, log: deps.Logger, client: client, db: client.Database(cfg.Database)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := s.check(ctx); err != nil {
		_ = s.disconnect()
		return nil, fmt.Errorf("mongo: %w", err)
	}
	s.changes.init()
	ctx, s.stop = context.WithCancel(context.Background())
	s.stopped = ctx.Done()
	s.tending.Go(func() { s.announce(ctx) })
	s.tending.Go(func() { s.poll(ctx) })
	s.tending.Go(func() { s.sweep(ctx) })
	return s, nil
}

// check asks what the servers are.
func (s *Store) check(ctx context.Context) error {
	ctx, cancel := s.limit(ctx)
	defer cancel()
	var hello struct { // as servers are asked since long ago: all understand it
		Set    string `bson:"setName"`
		Router string `bson:"msg"`
		Wire   int    `bson:"maxWireVersion"`
	}
	if err := s.client.Database("admin").RunCommand(ctx, bson.D{{Key: "isMaster", Value: 1}}).Decode(&hello); err != nil {
		return fmt.Errorf("reach the servers: %w", err)
	}
	if hello.Set == "" && hello.Router != "isdbgrid" && !s.cfg.Standalone {
		return errors.New("the server has no replicas: make it a replica set, or accept with standalone: true that what it acknowledged is as safe as its one disk")
	}
	// Nothing has that id: it shows that we may write.
	for _, name := range []string{collDocuments, collTransactions, collChanges} {
		if _, err := s.db.Collection(name).DeleteOne(ctx, bson.D{{Key: "_id", Value: ""}}); err != nil {
			return fmt.Errorf("write to %s.%s: %w", s.cfg.Database, name, err)
		}
	}
	return nil
}

// Ping tells whether the server that takes writes answers.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.client.Ping(ctx, readpref.Primary()); err != nil {
		return fmt.Errorf("%s", redact(err.Error()))
	}
	return nil
}

// limit bounds the time of a call.
func (s *Store) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.cfg.Timeout)
}

// later is for what must be tried although the call's time is over.
func (s *Store) later(ctx context.Context) (context.Context, context.CancelFunc) {
	return s.limit(context.WithoutCancel(ctx))
}

// err names a failure, also one that closing brought about.
func (s *Store) err(what string, err error) error {
	if s.closed.Load() && !errors.Is(err, ErrUnknown) {
		return documents.ErrClosed
	}
	return fmt.Errorf("documents: %s: %w", what, err)
}

func (s *Store) disconnect() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Timeout)
	defer cancel()
	return s.client.Disconnect(ctx)
}

// Close implements documents.Store. What is under way fails.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.stop()
	s.tending.Wait()
	if err := s.disconnect(); err != nil {
		return fmt.Errorf("mongo: disconnect: %w", err)
	}
	return nil
}

// Get implements documents.Store.
func (s *Store) Get(ctx context.Context, collection, key string) (documents.Document, error) {
	if s.closed.Load() {
		return documents.Document{}, documents.ErrClosed
	}
	ctx, cancel := s.limit(ctx)
	defer cancel()
	name := fmt.Sprintf("get %.40s/%.40q", collection, key)
	p := s.place(collection)
	id, ok := p.id(key)
	if !ok {
		return documents.Document{}, fmt.Errorf("documents: %s: %w", name, documents.ErrNotFound)
	}
	st, err := s.settled(ctx, &p, id)
	if err != nil {
		return documents.Document{}, s.err(name, err)
	}
	if st.version == 0 {
		return documents.Document{}, fmt.Errorf("documents: %s: %w", name, documents.ErrNotFound)
	}
	value, err := p.form.value(st.head, st.own)
	if err != nil {
		return documents.Document{}, s.err(name, err)
	}
	return documents.Document{Key: key, Version: st.version, Value: value}, nil
}

// List implements documents.Store.
func (s *Store) List(ctx context.Context, q documents.Query) ([]documents.Document, error) {
	if s.closed.Load() {
		return nil, documents.ErrClosed
	}
	ctx, cancel := s.limit(ctx)
	defer cancel()
	p := s.place(q.Collection)
	out, err := s.list(ctx, &p, q)
	if err != nil {
		return nil, s.err(fmt.Sprintf("list %.40s", q.Collection), err)
	}
	return out, nil
}

func (s *Store) list(ctx context.Context, p *place, q documents.Query) (out []documents.Document, err error) {
	order := 1
	if q.Reverse {
		order = -1
	}
	// No limit for the server: of what it has, some may not be there yet, or not any more.
	opts := options.Find().SetSort(bson.D{{Key: "_id", Value: order}}).SetBatchSize(int32(min(q.Most(), 1000) + 1))
	found, err := p.coll.Find(ctx, p.span(q), opts)
	if err != nil {
		return nil, err
	}
	defer func() { _ = found.Close(context.WithoutCancel(ctx)) }() // it was only read
	for len(out) < q.Most() && found.Next(ctx) {
		st := parse(found.Current)
		key, ok := p.key(st.id)
		if !ok {
			continue // nothing of ours
		}
		if st.pending() {
			if st, err = s.settle(ctx, p, st); err != nil {
				return nil, err
			}
		}
		if st.version == 0 {
			continue
		}
		value, err := p.form.value(st.head, st.own)
		if err != nil {
			s.log.Warn("a stored document is left out of a list: it cannot be read", "collection", p.coll.Name(), "error", err)
			continue
		}
		out = append(out, documents.Document{Key: key, Version: st.version, Value: value})
	}
	return out, found.Err()
}
