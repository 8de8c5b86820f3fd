package app

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"time"

	"heed/internal/analytics/eventsout"
	"heed/internal/catalog"
	channelkafka "heed/internal/channel/kafka"
	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/driver/kafka"
	"heed/internal/driver/mongo"
	"heed/internal/driver/redis"
	"heed/internal/intake/stream"
)

// Check tells everything that is wrong with a configuration. Servers that it names
// are asked, and so are those that the installation's definitions name, if it is
// distributed; topics of its own that are missing are made, as a start would.
func Check(ctx context.Context, cfg Config) error {
	if err := cfg.finish(); err != nil {
		return err
	}
	var wrong []error
	if cfg.Shape != Embedded {
		wrong = append(wrong,
			checkMongo(ctx, &cfg),
			tryEngine(func() (io.Closer, error) { return redis.OpenInbox(ctx, cfg.Redis, redis.Deps{}) }),
			tryEngine(func() (io.Closer, error) { return kafka.Open(ctx, cfg.Kafka, kafka.Deps{}) }),
		)
	}
	if err := cfg.Email.Check(time.Now()); err != nil {
		wrong = append(wrong, fmt.Errorf("email: %w", err))
	}
	if err := eventsout.Check(ctx, cfg.EventsOut); err != nil {
		wrong = append(wrong, fmt.Errorf("events_out: %w", err))
	}
	return errors.Join(wrong...)
}

func tryEngine(open func() (io.Closer, error)) error {
	e, err := open()
	if err != nil {
		return err
	}
	return e.Close()
}

// checkMongo also asks the brokers of what is defined there.
func checkMongo(ctx context.Context, cfg *Config) (err error) {
	docs, err := mongo.Open(ctx, cfg.Mongo, mongo.Deps{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, docs.Close()) }()
	secret := knownSecret(cfg)
	if secret == nil {
		return nil // what is defined cannot be read
	}
	if _, err := docs.Get(ctx, installations, theOne); errors.Is(err, documents.ErrNotFound) {
		return nil
	}
	defined, err := catalog.Open(ctx, catalog.Config{
		Store: docs, Key: secret, Now: time.Now, Log: slog.New(slog.DiscardHandler), Random: randomBytes, Getenv: os.LookupEnv, ReadFile: os.ReadFile,
	})
	if err != nil {
		return fmt.Errorf("open the definitions: %w", err)
	}
	return CheckBrokers(ctx, *cfg, defined.Current())
}

// knownSecret is the installation's, if this process has it already.
func knownSecret(cfg *Config) []byte {
	if key, err := hex.DecodeString(cfg.Secret); err == nil && len(key) > 0 {
		return key
	}
	key, err := os.ReadFile(folder(cfg.DataDir).path(secretFile))
	if err != nil {
		return nil // who is asked is not told of the group
	}
	return key
}

// CheckBrokers asks the brokers of channels and streams whether they can be used.
func CheckBrokers(ctx context.Context, cfg Config, set *definition.Set) error {
	var wrong []error
	for _, name := range slices.Sorted(maps.Keys(set.Channels)) {
		if def := set.Channels[name]; def.Type == definition.ChannelKafka && def.Kafka != nil {
			if err := channelkafka.Check(ctx, def); err != nil {
				wrong = append(wrong, fmt.Errorf("channel %s: %w", name, err))
			}
		}
	}
	of := ""
	if secret := knownSecret(&cfg); secret != nil {
		of = installationOf(secret)
	}
	for _, name := range slices.Sorted(maps.Keys(set.Streams)) {
		if def := set.Streams[name]; !def.Paused {
			if err := stream.Check(ctx, def, of); err != nil {
				wrong = append(wrong, fmt.Errorf("stream %s: %w", name, err))
			}
		}
	}
	return errors.Join(wrong...)
}
