package app

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"heed/internal/documents"
	"heed/internal/driver/kafka"
	"heed/internal/driver/mongo"
	"heed/internal/driver/pebble"
	"heed/internal/driver/redis"
	"heed/internal/eventlog"
	"heed/internal/eventlog/distinct"
	"heed/internal/inbox"
	"heed/internal/share"
	"heed/internal/userstate"
)

// The shapes: which engines stand behind the contracts. There is no mix.
const (
	Embedded    = "embedded"    // one process, one folder
	Distributed = "distributed" // Kafka, Redis and MongoDB, shared by many processes
)

// engines are what stands behind the contracts.
type engines struct {
	log       eventlog.Log
	state     userstate.Store
	inbox     inbox.Inbox
	documents documents.Store
	dealer    share.Dealer // nil: nothing is shared

	servers []*server // those of the distributed shape

	embedded *pebble.DB     // nil: distributed
	closers  []func() error // in the order of opening
}

// openEngines opens those of the configured shape. The error names the setting
// that is to be looked at.
func openEngines(ctx context.Context, cfg *Config, log *slog.Logger, registry prometheus.Registerer, fatal func(error)) (_ *engines, err error) {
	e := &engines{}
	if cfg.Shape == Embedded {
		if e.embedded, err = pebble.Open(cfg.Store, pebble.Deps{Logger: log, Registerer: registry, Clock: time.Now, Fatal: fatal}); err != nil {
			return nil, err
		}
		db := e.embedded
		e.log, e.state, e.inbox, e.documents = db.Log(), db.UserState(), db.Inbox(), db.Documents()
		e.closers = append(e.closers, db.Close)
		return e, nil
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.close())
		}
	}()
	// The quickest to answer first: who has mistyped something should not wait.
	docs, err := mongo.Open(ctx, cfg.Mongo, mongo.Deps{Logger: log})
	if err != nil {
		return nil, err
	}
	e.documents = docs
	e.closers = append(e.closers, docs.Close)
	box, err := redis.OpenInbox(ctx, cfg.Redis, redis.Deps{Logger: log})
	if err != nil {
		return nil, err
	}
	e.inbox = box
	e.closers = append(e.closers, box.Close)
	stream, err := kafka.Open(ctx, cfg.Kafka, kafka.Deps{Logger: log, Registerer: registry})
	if err != nil {
		return nil, err
	}
	e.closers = append(e.closers, stream.Close)
	e.dealer = stream
	if e.log, err = distinct.New(stream, cfg.Dedup, registry); err != nil {
		return nil, err
	}
	state, err := redis.OpenState(ctx, cfg.Redis, stream, redis.Deps{Logger: log})
	if err != nil {
		return nil, err
	}
	e.state = state
	e.closers = append(e.closers, state.Close)
	e.servers = []*server{
		{part: "kafka", name: "Kafka", ping: stream.Ping}, {part: "redis", name: "Redis", ping: state.Ping}, {part: "mongo", name: "MongoDB", ping: docs.Ping},
	}
	return e, nil
}

// openEngines opens the engines, and finds the secret that belongs to what they
// hold.
func (n *node) openEngines(ctx context.Context, die context.CancelCauseFunc) (err error) {
	preset, err := hex.DecodeString(n.cfg.Secret)
	if err != nil {
		return fmt.Errorf("secret: %w", err)
	}
	if n.cfg.Secret == "" {
		preset = nil
	}
	path := n.folder.path(secretFile)
	var missing error
	if n.cfg.Shape == Embedded {
		if HasData(n.cfg.DataDir) {
			missing = fmt.Errorf("%s is missing beside an existing database: restore it from a backup", path)
		}
		if n.secret, err = n.folder.secret(preset, missing); err != nil {
			return err
		}
	} else if n.unlock, err = n.folder.lock(); err != nil {
		return err
	}
	n.db, err = openEngines(ctx, &n.cfg, n.log, n.registry, func(err error) {
		n.log.Error("the database can no longer be trusted: stopping", "err", err)
		die(err)
	})
	if err != nil || n.cfg.Shape == Embedded {
		return err
	}
	founded, err := n.db.founded(ctx)
	if err != nil {
		return err
	}
	if founded {
		missing = fmt.Errorf("the installation exists, and its secret is not here: set HEED_SECRET to what its other processes have, or copy their %s to %s", secretFile, path)
	}
	if n.secret, err = n.folder.secret(preset, missing); err != nil {
		return err
	}
	return n.db.join(ctx, n.secret)
}

// tryEngines tells what is wrong with the servers of a configuration: of each,
// what it says.
func tryEngines(ctx context.Context, cfg *Config) error {
	return errors.Join(
		tryEngine(func() (io.Closer, error) { return mongo.Open(ctx, cfg.Mongo, mongo.Deps{}) }),
		tryEngine(func() (io.Closer, error) { return redis.OpenInbox(ctx, cfg.Redis, redis.Deps{}) }),
		tryEngine(func() (io.Closer, error) { return kafka.Open(ctx, cfg.Kafka, kafka.Deps{}) }),
	)
}

func tryEngine(open func() (io.Closer, error)) error {
	e, err := open()
	if err != nil {
		return err
	}
	return e.Close()
}

// finishShape checks that the settings are of one shape only, and finishes those
// of the distributed one.
func (c *Config) finishShape() error {
	if c.Shape != Embedded && c.Shape != Distributed {
		return fmt.Errorf("shape: %q is not embedded or distributed", c.Shape)
	}
	if key, err := hex.DecodeString(c.Secret); err != nil || c.Secret != "" && len(key) != 32 {
		return errors.New("secret: 64 hexadecimal digits are needed (openssl rand -hex 32)")
	}
	servers := []struct {
		name string
		set  bool
		cfg  interface {
			Defaults()
			Validate() error
		}
	}{{"kafka", len(c.Kafka.Brokers) > 0, &c.Kafka}, {"redis", c.Redis.Named(), &c.Redis}, {"mongo", c.Mongo.URI != "", &c.Mongo}, {"dedup", c.Shape == Distributed, &c.Dedup}}
	if c.Kafka.Retention == 0 {
		c.Kafka.Retention = c.Retention.Log.Duration()
	}
	for _, s := range servers {
		switch {
		case c.Shape == Embedded && s.set:
			return fmt.Errorf("%s: is set up, and shape is embedded: set shape: distributed, with kafka, redis and mongo, or leave it out", s.name)
		case c.Shape == Distributed && !s.set:
			return fmt.Errorf("%s: is not set up, and shape is distributed: kafka, redis and mongo belong together", s.name)
		case c.Shape == Distributed:
			s.cfg.Defaults()
			if err := s.cfg.Validate(); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
	return nil
}

// close closes in the opposite order.
func (e *engines) close() (err error) {
	for _, c := range slices.Backward(e.closers) {
		err = errors.Join(err, c())
	}
	return err
}

// Err is why the engines can no longer be trusted; others than the embedded one
// answer for themselves.
func (e *engines) Err() error {
	if e.embedded != nil {
		return e.embedded.Err()
	}
	return nil
}

// installations holds one document about the installation, so that a process
// that does not belong to it is noticed.
const installations = "installation"

// installation is what all processes must agree on.
type installation struct {
	Secret     string `json:"secret"`     // a fingerprint of the secret
	Partitions int    `json:"partitions"` // users were dealt to so many
}

// join checks that this process belongs to the installation whose engines these
// are, and founds it if there is none yet.
func (e *engines) join(ctx context.Context, secret []byte) error {
	sum := hmac.New(sha256.New, secret)
	sum.Write([]byte("heed installation"))
	mine := installation{Secret: hex.EncodeToString(sum.Sum(nil)), Partitions: e.log.Partitions()}
	for {
		doc, err := e.documents.Get(ctx, installations, "it")
		if errors.Is(err, documents.ErrNotFound) {
			value, err := json.Marshal(mine)
			if err != nil {
				return err
			}
			err = e.documents.Apply(ctx, documents.Durable, documents.Write{Collection: installations, Key: "it", Value: value, Expect: documents.Absent})
			if errors.Is(err, documents.ErrConflict) {
				continue // another process was first
			}
			return err
		}
		if err != nil {
			return fmt.Errorf("read what the installation is: %w", err)
		}
		var theirs installation
		if err := json.Unmarshal(doc.Value, &theirs); err != nil {
			return fmt.Errorf("read what the installation is: %w", err)
		}
		if theirs.Secret != mine.Secret {
			return errors.New("the secret is not the installation's: give every process the same HEED_SECRET, or a copy of the first one's " + secretFile)
		}
		if theirs.Partitions != mine.Partitions {
			return fmt.Errorf("the topics have %d partitions, and users were dealt to %d: their number cannot change", mine.Partitions, theirs.Partitions)
		}
		return nil
	}
}

// founded tells whether the installation is there already.
func (e *engines) founded(ctx context.Context) (bool, error) {
	_, err := e.documents.Get(ctx, installations, "it")
	if errors.Is(err, documents.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
