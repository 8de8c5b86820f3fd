package redis

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"heed/internal/eventlog"
	"heed/internal/inbox"
)

//go:embed put.lua
var putSource string

//go:embed advance.lua
var advanceSource string

//go:embed remove.lua
var removeSource string

// shards is the number of parts that the inbox has, by user: fixed, as a message is
// looked for by its id in all of them at once.
const shards = 16

// pendingPage and expirePage are how many messages are read at once: they may be large.
const (
	pendingPage = 32
	expirePage  = 256
)

// maxSeq: scores are exact up to it. Numbers are µs, so it is far away.
const maxSeq = 1 << 53

// Inbox is inbox.Inbox.
type Inbox struct {
	*conn
	hub                  inbox.Hub
	id                   string // of this process, on what it tells the others
	put, advance, remove *redis.Script

	listeners [shards]*listener
	telling   chan notice
	working   sync.WaitGroup
	end       context.CancelFunc
}

// OpenInbox connects to Redis. Nobody makes a message again, so a server must have it
// on disk, or on replicas, before Put returns.
func OpenInbox(ctx context.Context, cfg Config, deps Deps) (*Inbox, error) {
	c, err := connect(ctx, cfg, deps, kept)
	if err != nil {
		return nil, err
	}
	s := &Inbox{
		conn: c, id: token(), telling: make(chan notice, 1024),
		put: redis.NewScript(putSource), advance: redis.NewScript(advanceSource), remove: redis.NewScript(removeSource),
	}
	background, end := context.WithCancel(context.WithoutCancel(ctx))
	s.end = end
	for i := range s.listeners {
		s.listeners[i] = newListener(s, i)
		s.working.Go(func() { s.listeners[i].run(background) })
	}
	s.working.Go(func() { s.tell(background) })
	return s, nil
}

// Close ends everything; channels of subscribers stay silent.
func (s *Inbox) Close() error {
	s.end()
	err := s.close()
	s.working.Wait()
	return err
}

// The names of a shard's keys and channels: all with its hash tag.
func (s *Inbox) tag(shard int) string                   { return s.cfg.Prefix + "{i" + strconv.Itoa(shard) + "}" }
func (s *Inbox) message(shard int, id string) string    { return s.tag(shard) + "m:" + id }
func (s *Inbox) messages(shard int, user string) string { return s.tag(shard) + "u:" + user }
func (s *Inbox) deadlines(shard int) string             { return s.tag(shard) + "deadlines" }
func (s *Inbox) seq(shard int) string                   { return s.tag(shard) + "seq" }

func shardOf(name string) int { return eventlog.PartitionOf(name, shards) }

// Put implements inbox.Inbox. An id is one user's: another user with the same id would get a
// message of his own.
func (s *Inbox) Put(ctx context.Context, m inbox.Message) (fresh bool, err error) {
	if err := m.Check(); err != nil {
		return false, err
	}
	m.Seq, m.State = 0, inbox.Waiting
	shard := shardOf(m.User)
	keys := []string{s.message(shard, m.ID), s.messages(shard, m.User), s.deadlines(shard), s.seq(shard), s.userChannel(m.User)}
	answer, err := s.runReplicated(ctx, s.put, keys, token(), m.ID, m.Expires, inbox.AppendMessage(nil, &m))
	if err != nil {
		return false, fmt.Errorf("inbox: put %s: %w", m.ID, err)
	}
	fresh = answer == int64(1)
	if fresh {
		s.hub.Wake(m.User)
	}
	return fresh, nil
}

// Pending implements inbox.Inbox.
func (s *Inbox) Pending(ctx context.Context, user string, after uint64, now int64) (out []inbox.Message, err error) {
	shard := shardOf(user)
	for after < maxSeq {
		var found []redis.Z
		err := s.try(ctx, func(ctx context.Context) (err error) {
			found, err = s.client.ZRangeArgsWithScores(ctx, redis.ZRangeArgs{
				Key: s.messages(shard, user), ByScore: true, Start: "(" + strconv.FormatUint(after, 10), Stop: "+inf", Count: pendingPage,
			}).Result()
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("inbox: pending: %w", err)
		}
		ids := make([]string, len(found))
		for i, z := range found {
			ids[i], _ = z.Member.(string)
			after = uint64(z.Score)
		}
		messages, err := s.read(ctx, shard, ids)
		if err != nil {
			return nil, fmt.Errorf("inbox: pending: %w", err)
		}
		for _, m := range messages {
			if m != nil && m.State <= inbox.Shown && m.Expires > now {
				out = append(out, *m)
			}
		}
		if len(found) < pendingPage {
			break
		}
	}
	return out, nil
}

// read reads messages of a shard; those that are gone are nil.
func (s *Inbox) read(ctx context.Context, shard int, ids []string) ([]*inbox.Message, error) {
	found, err := s.fetch(ctx, shard, ids)
	if err != nil {
		return nil, err
	}
	out := make([]*inbox.Message, len(ids))
	for i, cmd := range found {
		if out[i], err = decode(cmd.Val()); err != nil {
			return nil, fmt.Errorf("message %.80q: %w", ids[i], err)
		}
	}
	return out, nil
}

// fetch reads what decode takes.
func (s *Inbox) fetch(ctx context.Context, shard int, ids []string) (found []*redis.SliceCmd, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	err = s.try(ctx, func(ctx context.Context) error {
		found = found[:0]
		_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, id := range ids {
				found = append(found, p.HMGet(ctx, s.message(shard, id), "body", "seq", "state"))
			}
			return nil
		})
		return err
	})
	return found, err
}

// decode makes a message of the fields body, seq, state; nil if there is none.
func decode(fields []any) (*inbox.Message, error) {
	if len(fields) != 3 || fields[0] == nil {
		return nil, nil //nolint:nilnil // it is gone
	}
	body, _ := fields[0].(string)
	seq, _ := fields[1].(string)
	state, _ := fields[2].(string)
	m := new(inbox.Message)
	if err := inbox.ParseMessage([]byte(body), m); err != nil {
		return nil, err
	}
	var errs [2]error
	m.Seq, errs[0] = strconv.ParseUint(seq, 10, 64)
	n, err := strconv.ParseUint(state, 10, 8)
	m.State, errs[1] = inbox.State(n), err
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return m, nil
}

// Advance implements inbox.Inbox. The id does not tell the shard: all are asked.
func (s *Inbox) Advance(ctx context.Context, id string, state inbox.State) (inbox.Message, bool, error) {
	m, changed, err := s.move(ctx, id, state)
	if err != nil {
		return inbox.Message{}, false, fmt.Errorf("inbox: advance %.80q: %w", id, err)
	}
	if changed {
		s.hub.Wake(m.User)
	}
	return *m, changed, nil
}

func (s *Inbox) move(ctx context.Context, id string, state inbox.State) (m *inbox.Message, changed bool, err error) {
	m, err = s.find(ctx, id)
	if err != nil {
		return nil, false, err
	}
	shard, gone := shardOf(m.User), "0"
	if state > inbox.Shown {
		gone = "1"
	}
	keys := []string{s.message(shard, id), s.messages(shard, m.User), s.userChannel(m.User)}
	answer, err := s.run(ctx, s.advance, keys, token(), id, int(state), gone)
	if err != nil {
		return nil, false, err
	}
	said, _ := answer.([]any)
	if len(said) != 2 {
		return nil, false, inbox.ErrUnknown // removed meanwhile
	}
	n, _ := said[0].(int64)
	m.State = inbox.State(n)
	return m, said[1] == int64(1), nil
}

// find looks for a message in all shards.
func (s *Inbox) find(ctx context.Context, id string) (*inbox.Message, error) {
	var found [shards]*redis.SliceCmd
	err := s.try(ctx, func(ctx context.Context) error {
		_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := range found {
				found[i] = p.HMGet(ctx, s.message(i, id), "body", "seq", "state")
			}
			return nil
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, cmd := range found {
		if m, err := decode(cmd.Val()); m != nil || err != nil {
			return m, err
		}
	}
	return nil, inbox.ErrUnknown
}

// Expire implements inbox.Inbox.
func (s *Inbox) Expire(ctx context.Context, now int64, limit int) (removed int, err error) {
	for shard := range shards {
		for removed < limit {
			n, seen, err := s.expire(ctx, shard, now, min(limit-removed, expirePage))
			removed += n
			if err != nil {
				return removed, fmt.Errorf("inbox: expire: %w", err)
			}
			if seen < expirePage {
				break
			}
		}
	}
	return removed, nil
}

// expire removes some messages of a shard; seen is how many were due.
func (s *Inbox) expire(ctx context.Context, shard int, now int64, limit int) (removed, seen int, err error) {
	var ids []string
	err = s.try(ctx, func(ctx context.Context) (err error) {
		ids, err = s.client.ZRangeArgs(ctx, redis.ZRangeArgs{
			Key: s.deadlines(shard), ByScore: true, Start: "-inf", Stop: strconv.FormatInt(now, 10), Count: int64(limit),
		}).Result()
		return err
	})
	if err != nil || len(ids) == 0 {
		return 0, 0, err
	}
	found, err := s.fetch(ctx, shard, ids)
	if err != nil {
		return 0, 0, err
	}
	keys, args := []string{s.deadlines(shard)}, []any{}
	for i, id := range ids {
		m, err := decode(found[i].Val())
		if err != nil { // it goes like the others, or none behind it ever would
			s.logger.Warn("inbox: an expired message cannot be read and is removed", "message", id, "error", err)
		}
		var user string
		if m != nil { // another process may have removed it meanwhile
			user = m.User
		}
		keys = append(keys, s.message(shard, id), s.messages(shard, user))
		args = append(args, id)
	}
	answer, err := s.run(ctx, s.remove, keys, args...)
	n, _ := answer.(int64)
	return int(n), len(ids), err
}

// Subscribe implements inbox.Inbox.
func (s *Inbox) Subscribe(users ...string) (<-chan struct{}, func()) {
	wake, leave := s.hub.Subscribe(users...)
	for _, user := range users {
		s.listeners[shardOf(user)].want(s.userChannel(user))
	}
	return wake, sync.OnceFunc(func() {
		for _, user := range users {
			s.listeners[shardOf(user)].drop(s.userChannel(user))
		}
		leave()
	})
}

func (s *Inbox) userChannel(user string) string   { return s.tag(shardOf(user)) + "w:" + user }
func (s *Inbox) tokenChannel(token string) string { return s.tag(shardOf(token)) + "s:" + token }

// Settle implements inbox.Inbox. Who waits may be in another process: it is told in
// the background, and not at all if that falls behind.
func (s *Inbox) Settle(_ context.Context, token string, set inbox.Settlement) {
	s.hub.Report(token, set)
	select {
	case s.telling <- notice{channel: s.tokenChannel(token), text: s.encode(set)}:
	default:
	}
}

// Watch implements inbox.Inbox. It returns once the server tells this process about
// the token, or soon if it does not.
func (s *Inbox) Watch(token string) (<-chan inbox.Settlement, func()) {
	settled, leave := s.hub.Watch(token)
	l, channel := s.listeners[shardOf(token)], s.tokenChannel(token)
	l.await(l.want(channel))
	return settled, sync.OnceFunc(func() {
		l.drop(channel)
		leave()
	})
}

func (s *Inbox) encode(set inbox.Settlement) string {
	return fmt.Sprintf("%s %d %d %d", s.id, set.Events, set.Intents, set.Done)
}

// hear takes what came on a channel; confirmed is that it is listened to from now on.
func (s *Inbox) hear(channel, text string, confirmed bool) {
	_, name, _ := strings.Cut(channel[len(s.cfg.Prefix):], "}")
	kind, name, _ := strings.Cut(name, ":")
	switch kind {
	case "w": // confirmed too: something may have come before
		s.hub.Wake(name)
	case "s":
		var from string
		var set inbox.Settlement
		if confirmed {
			return
		}
		if _, err := fmt.Sscanf(text, "%s %d %d %d", &from, &set.Events, &set.Intents, &set.Done); err != nil || from == s.id {
			return // our own is reported already
		}
		if set.Events|set.Intents|set.Done < 0 || max(set.Events, set.Intents, set.Done) > math.MaxInt32 {
			return
		}
		s.hub.Report(name, set)
	}
}
