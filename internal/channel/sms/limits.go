package sms

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"heed/internal/channel"
	"heed/internal/definition"
	"heed/internal/documents"
)

// collectionCounts holds what was sent in a day: <day>/<channel> segments,
// <day>/<channel>/<hash of a number> messages.
const collectionCounts = "sms-counts"

// day is how keys that are pruned begin: the day of a time in UTC.
func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// limits keep what a channel may cost. What is counted survives a restart; after a
// crash a message may be counted that was not sent.
type limits struct {
	store documents.Store
	now   func() time.Time
	mu    sync.Mutex // this process does not conflict with itself
}

// count is one of the two counts, with how much it may grow to.
type count struct {
	key     string
	by, max int
	what    string
}

func (l *limits) counts(def *definition.Channel, number string, segments int) (list []count) {
	s := settings(def).Limits
	key := day(l.now()) + "/" + def.Name
	if s.PerDay > 0 {
		list = append(list, count{key, segments, s.PerDay, "segments a day"})
	}
	if s.PerNumberPerDay > 0 {
		list = append(list, count{key + "/" + number, 1, s.PerNumberPerDay, "messages a day to one number"})
	}
	return list
}

// take counts a message, or refuses it: what is over a limit is not sent later
// either, or it would use up the days to come.
func (l *limits) take(ctx context.Context, def *definition.Channel, number string, segments int) error {
	return l.change(ctx, l.counts(def, number, segments), 1)
}

// giveBack takes a message back that was not sent. If that fails it stays counted.
func (l *limits) giveBack(ctx context.Context, def *definition.Channel, number string, segments int) {
	_ = l.change(ctx, l.counts(def, number, segments), -1)
}

func (l *limits) change(ctx context.Context, list []count, sign int) error {
	if len(list) == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		writes := make([]documents.Write, len(list))
		for i, c := range list {
			d, err := l.store.Get(ctx, collectionCounts, c.key)
			if err != nil && !errors.Is(err, documents.ErrNotFound) {
				return unkept(err)
			}
			n, _ := strconv.Atoi(string(d.Value)) // of none: 0
			if sign > 0 && n+c.by > c.max {
				return permanent(fmt.Errorf("sms: the channel's limit of %d %s is reached", c.max, c.what))
			}
			writes[i] = documents.Write{
				Collection: collectionCounts, Key: c.key, Expect: d.Version,
				Value: strconv.AppendInt(nil, int64(max(n+sign*c.by, 0)), 10),
			}
		}
		err := l.store.Apply(ctx, documents.Relaxed, writes...)
		if errors.Is(err, documents.ErrConflict) {
			continue // another process was faster
		}
		if err != nil {
			return unkept(err)
		}
		return nil
	}
}

func unkept(err error) error {
	return &channel.Error{Class: channel.Temporary, Err: fmt.Errorf("sms: count what is sent: %w", err), Untried: true, After: time.Second}
}

// prune removes what keys of days before a time hold.
func prune(ctx context.Context, s documents.Store, collection string, before time.Time) error {
	for {
		docs, err := s.List(ctx, documents.Query{Collection: collection, Limit: 500})
		if err != nil {
			return fmt.Errorf("prune %s: %w", collection, err)
		}
		var old []documents.Write
		for _, d := range docs {
			if d.Key < day(before) {
				old = append(old, documents.Write{Collection: collection, Key: d.Key, Expect: documents.Any})
			}
		}
		if len(old) == 0 {
			return nil
		}
		if err := s.Apply(ctx, documents.Relaxed, old...); err != nil {
			return fmt.Errorf("prune %s: %w", collection, err)
		}
	}
}
