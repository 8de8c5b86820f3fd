package redis

import (
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/redis/go-redis/v9"

	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/userstate"
)

//go:embed open.lua
var openSource string

//go:embed commit.lua
var commitSource string

//go:embed scan.lua
var scanSource string

// Bounds of what is asked of a server at once, and of a commit, which cannot be
// divided.
const (
	loadPage       = 512
	scanPage       = 256
	relayPage      = 64
	maxCommitBytes = 64 << 20
)

// State is userstate.Store.
type State struct {
	*conn
	log                eventlog.Log // gets the intents
	keys               []partitionKeys
	open, commit, scan *redis.Script
}

// OpenState connects to Redis. Rows are made again from the log, so a server that
// syncs every second is good enough. The log has as many partitions as the state.
func OpenState(ctx context.Context, cfg Config, log eventlog.Log, deps Deps) (*State, error) {
	c, err := connect(ctx, cfg, deps, replayed)
	if err != nil {
		return nil, err
	}
	s := &State{
		conn: c, log: log,
		open: redis.NewScript(openSource), commit: redis.NewScript(commitSource), scan: redis.NewScript(scanSource),
	}
	for p := range log.Partitions() {
		s.keys = append(s.keys, newPartitionKeys(c.cfg.Prefix, p))
	}
	if err := s.agree(ctx); err != nil {
		_ = c.close()
		return nil, fmt.Errorf("redis: servers %s: %w", c.cfg.servers(), err)
	}
	return s, nil
}

// agree writes down the number of partitions, or finds that it was another.
func (s *State) agree(ctx context.Context) error {
	made := "1 " + strconv.Itoa(len(s.keys)) // of format 1
	var was string
	err := s.try(ctx, func(ctx context.Context) (err error) {
		was, err = s.client.SetArgs(ctx, s.cfg.Prefix+"{state}made", made, redis.SetArgs{Mode: "NX", Get: true}).Result()
		return err
	})
	switch {
	case errors.Is(err, redis.Nil):
		return nil // it was not there
	case err != nil:
		return err
	case was != made:
		return fmt.Errorf("format and partitions of the state under prefix %q are %q, not %q: users would move; use another prefix, the state is made again from the log", s.cfg.Prefix, was, made)
	}
	return nil
}

// partitionKeys are the names of a partition's keys: all with its hash tag.
type partitionKeys struct {
	head, timers, out, rows string
}

func newPartitionKeys(prefix string, partition int) partitionKeys {
	tag := prefix + "{p" + strconv.Itoa(partition) + "}"
	return partitionKeys{head: tag + "head", timers: tag + "timers", out: tag + "out", rows: tag}
}

func (k *partitionKeys) values(kind userstate.Kind) string { return k.rows + string(kind) }
func (k *partitionKeys) users(kind userstate.Kind) string  { return k.rows + string(kind) + "-users" }

// enter checks a call.
func (s *State) enter(ctx context.Context, partition int) (*partitionKeys, error) {
	if s.closed.Load() {
		return nil, userstate.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if partition < 0 || partition >= len(s.keys) {
		return nil, fmt.Errorf("userstate: partition %d of %d", partition, len(s.keys))
	}
	return &s.keys[partition], nil
}

// explain gives an error its place; a store that was closed meanwhile says so.
func (s *State) explain(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	if s.closed.Load() {
		return userstate.ErrClosed
	}
	return fmt.Errorf("userstate: "+format+": %w", append(args, err)...)
}

// Open implements userstate.Store. What the former owner left in the outbox goes to
// the log first.
func (s *State) Open(ctx context.Context, partition int) (userstate.Partition, error) {
	keys, err := s.enter(ctx, partition)
	if err != nil {
		return nil, err
	}
	o := &owner{store: s, number: partition, keys: keys, token: token()}
	if err := o.take(ctx); err != nil {
		return nil, s.explain(err, "open partition %d", partition)
	}
	if err := o.relay(ctx); err != nil {
		return nil, s.explain(err, "open partition %d: its outbox", partition)
	}
	return o, nil
}

// Get implements userstate.Store.
func (s *State) Get(ctx context.Context, partition int, kind userstate.Kind, user string) (value []byte, err error) {
	keys, err := s.enter(ctx, partition)
	if err != nil {
		return nil, err
	}
	err = s.try(ctx, func(ctx context.Context) (err error) {
		value, err = s.client.HGet(ctx, keys.values(kind), user).Bytes()
		return err
	})
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return value, s.explain(err, "get from partition %d", partition)
}

// Scan implements userstate.Store.
func (s *State) Scan(ctx context.Context, partition int, kind userstate.Kind, prefix, after string, limit int) ([]userstate.Row, error) {
	keys, err := s.enter(ctx, partition)
	if err != nil {
		return nil, err
	}
	from, to := "["+prefix, "+"
	if end := successor(prefix); end != "" {
		to = "(" + end
	}
	if after != "" && after >= prefix {
		from = "(" + after
	}
	var out []userstate.Row
	for len(out) < limit {
		page := min(limit-len(out), scanPage)
		answer, err := s.run(ctx, s.scan, []string{keys.values(kind), keys.users(kind)}, from, to, page)
		if err != nil {
			return nil, s.explain(err, "scan partition %d", partition)
		}
		users, values, err := pair(answer)
		if err != nil {
			return nil, s.explain(err, "scan partition %d", partition)
		}
		for i, user := range users {
			name, _ := user.(string)
			value, ok := values[i].(string)
			if !ok {
				return nil, s.explain(errDamaged, "scan partition %d: no value of %q", partition, name)
			}
			out = append(out, userstate.Row{Kind: kind, User: name, Value: []byte(value)})
		}
		if len(users) < page {
			break
		}
		from = "(" + out[len(out)-1].User
	}
	return out, nil
}

// errDamaged: what was read cannot be what was written.
var errDamaged = errors.New("redis: the keys are not as they were written")

// pair takes an answer of two lists of the same length.
func pair(answer any) (a, b []any, err error) {
	lists, _ := answer.([]any)
	if len(lists) == 2 {
		a, _ = lists[0].([]any)
		b, _ = lists[1].([]any)
	}
	if len(lists) != 2 || len(a) != len(b) {
		return nil, nil, fmt.Errorf("%w: a list of %d, lists of %d and %d", errDamaged, len(lists), len(a), len(b))
	}
	return a, b, nil
}

// successor is the first string behind all that begin with prefix; empty: none is.
func successor(prefix string) string {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			return prefix[:i] + string([]byte{prefix[i] + 1})
		}
	}
	return ""
}

// Close implements userstate.Store.
func (s *State) Close() error { return s.close() }

// owner is a partition in one owner's hands.
type owner struct {
	store  *State
	number int
	keys   *partitionKeys
	token  string // of this owner only: an epoch can come again after a restore, it cannot
	epoch  string
	seq    uint64 // of the last commit
	next   uint64
	meta   []byte
	lost   error // the partition must be opened again
}

func (o *owner) Next() uint64 { return o.next }
func (o *owner) Meta() []byte { return o.meta }
func (o *owner) Close() error { return nil }

// take makes the partition this owner's.
func (o *owner) take(ctx context.Context) error {
	// What lies in the outbox must be on replicas before it is passed on.
	answer, err := o.store.runReplicated(ctx, o.store.open, []string{o.keys.head}, o.token)
	if err != nil {
		return err
	}
	head, _ := answer.([]any)
	if len(head) != 3 {
		return fmt.Errorf("%w: head of %d fields", errDamaged, len(head))
	}
	o.epoch, _ = head[0].(string)
	if next, ok := head[1].(string); ok {
		if o.next, err = strconv.ParseUint(next, 10, 64); err != nil {
			return fmt.Errorf("%w: offset %q", errDamaged, next)
		}
	}
	if meta, ok := head[2].(string); ok {
		o.meta = []byte(meta)
	}
	return nil
}

func (o *owner) fenced(format string, args ...any) error {
	o.lost = fmt.Errorf("userstate: partition %d, epoch %s: "+format+": %w", append(append([]any{o.number, o.epoch}, args...), userstate.ErrFenced)...)
	return o.lost
}

// read asks with one round trip, and behind that whether the partition is still ours
// and where we left it: a server that lost its data, or got back or leads with older
// ones, must not be believed.
func (o *owner) read(ctx context.Context, ask func(redis.Pipeliner)) error {
	if _, err := o.store.enter(ctx, o.number); err != nil {
		return err
	}
	if o.lost != nil {
		return o.lost
	}
	var head *redis.SliceCmd
	err := o.store.try(ctx, func(ctx context.Context) error {
		_, err := o.store.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			ask(p)
			head = p.HMGet(ctx, o.keys.head, "owner", "seq")
			return nil
		})
		return err
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return o.store.explain(err, "read partition %d", o.number)
	}
	if found := head.Val(); len(found) != 2 || found[0] != o.token || found[1] != strconv.FormatUint(o.seq, 10) {
		return o.fenced("it has another owner, or lost data")
	}
	return nil
}

func (o *owner) Load(ctx context.Context, kind userstate.Kind, users []string) ([][]byte, error) {
	out := make([][]byte, len(users))
	for first := 0; first < len(users); first += loadPage {
		some := users[first:min(first+loadPage, len(users))]
		var values *redis.SliceCmd
		if err := o.read(ctx, func(p redis.Pipeliner) { values = p.HMGet(ctx, o.keys.values(kind), some...) }); err != nil {
			return nil, err
		}
		if len(values.Val()) != len(some) {
			return nil, o.store.explain(errDamaged, "load from partition %d: %d values of %d", o.number, len(values.Val()), len(some))
		}
		for i, v := range values.Val() {
			if value, ok := v.(string); ok {
				out[first+i] = []byte(value)
			}
		}
	}
	return out, nil
}

func (o *owner) Due(ctx context.Context, until int64, limit int) ([]userstate.Timer, error) {
	if limit <= 0 {
		return nil, nil
	}
	to := "+"
	if until < math.MaxInt64 {
		to = "(" + timerFloor(until+1)
	}
	var found *redis.StringSliceCmd
	err := o.read(ctx, func(p redis.Pipeliner) {
		found = p.ZRangeArgs(ctx, redis.ZRangeArgs{Key: o.keys.timers, ByLex: true, Start: "-", Stop: to, Count: int64(limit)})
	})
	if err != nil {
		return nil, err
	}
	var out []userstate.Timer
	for _, t := range found.Val() {
		if len(t) < 8 {
			return nil, o.store.explain(errDamaged, "timer of %d bytes in partition %d", len(t), o.number)
		}
		out = append(out, userstate.Timer{Deadline: int64(binary.BigEndian.Uint64([]byte(t[:8])) ^ 1<<63), User: t[8:]})
	}
	return out, nil
}

// timerFloor is in front of all timers of that deadline, and behind the earlier ones.
func timerFloor(deadline int64) string {
	return string(binary.BigEndian.AppendUint64(nil, uint64(deadline)^1<<63))
}

func (o *owner) Commit(ctx context.Context, c *userstate.Commit) error {
	if _, err := o.store.enter(ctx, o.number); err != nil {
		return err
	}
	if o.lost != nil {
		return o.lost
	}
	if c.Base != o.next || c.Next < c.Base {
		return fmt.Errorf("userstate: commit [%d, %d) to partition %d at %d: %w", c.Base, c.Next, o.number, o.next, userstate.ErrFenced)
	}
	var intents []byte
	for i := range c.Intents {
		intents = event.AppendIntent(intents, &c.Intents[i])
	}
	keys, args, size := o.step(c, intents)
	if size > maxCommitBytes {
		return fmt.Errorf("userstate: commit [%d, %d) to partition %d has %d bytes, at most %d are one step", c.Base, c.Next, o.number, size, maxCommitBytes)
	}
	if err := o.send(ctx, c, keys, args, len(intents) > 0); err != nil {
		if o.lost == nil { // it is not known how far it came
			o.lost = o.store.explain(err, "commit [%d, %d) to partition %d", c.Base, c.Next, o.number)
		}
		return o.lost
	}
	return nil
}

// step is a commit as the script takes it.
func (o *owner) step(c *userstate.Commit, intents []byte) (keys []string, args []any, size int) {
	keys = []string{o.keys.head, o.keys.timers, o.keys.out}
	meta := ""
	if c.Meta != nil {
		meta = "=" + string(c.Meta)
	}
	args = []any{
		o.token, strconv.FormatUint(o.seq+1, 10), strconv.FormatUint(c.Base, 10), strconv.FormatUint(c.Next, 10), meta, intents,
	}
	size = len(meta) + len(intents)
	for _, timers := range [][]userstate.Timer{c.Clear, c.Set} { // the same timer may be in both
		args = append(args, len(timers))
		for _, t := range timers {
			args = append(args, timerFloor(t.Deadline)+t.User)
			size += 8 + len(t.User)
		}
	}
	values := make(map[userstate.Kind]map[string][]byte) // the last of a user counts
	var kinds []userstate.Kind
	for i := range c.Rows {
		r := &c.Rows[i]
		if values[r.Kind] == nil {
			values[r.Kind] = make(map[string][]byte)
			kinds = append(kinds, r.Kind)
		}
		values[r.Kind][r.User] = r.Value
	}
	for _, kind := range kinds {
		var removed, set []any
		for user, value := range values[kind] {
			size += len(user) + len(value)
			if value == nil {
				removed = append(removed, user)
			} else {
				set = append(set, user, value)
			}
		}
		keys = append(keys, o.keys.values(kind), o.keys.users(kind))
		args = append(append(args, len(removed)), removed...)
		args = append(append(args, len(set)/2), set...)
	}
	return keys, args, size
}

// send applies the step, and brings its intents to the log.
func (o *owner) send(ctx context.Context, c *userstate.Commit, keys []string, args []any, intents bool) error {
	run := o.store.run
	if intents {
		run = o.store.runReplicated // they must not be known while the commit could be lost
	}
	answer, err := run(ctx, o.store.commit, keys, args...)
	if err != nil {
		return err
	}
	said, _ := answer.([]any)
	if len(said) < 3 {
		return fmt.Errorf("%w: an answer of %d parts to a commit", errDamaged, len(said))
	}
	if said[0] == int64(0) {
		return o.fenced("commit [%d, %d), and epoch %v is at %v", c.Base, c.Next, said[1], said[2])
	}
	o.seq++
	o.next = c.Next
	if c.Meta != nil {
		o.meta = append([]byte{}, c.Meta...)
	}
	if intents {
		return o.relay(ctx)
	}
	return nil
}

// relay appends what is in the outbox to the log, in its order, and removes it. A
// crash between the two makes intents come twice: they have the same fire ids.
// Whoever has appended an entry may remove it, a former owner too.
func (o *owner) relay(ctx context.Context) error {
	for {
		var entries []redis.XMessage
		err := o.store.try(ctx, func(ctx context.Context) (err error) {
			entries, err = o.store.client.XRangeN(ctx, o.keys.out, "-", "+", relayPage).Result()
			return err
		})
		if err != nil || len(entries) == 0 {
			return err
		}
		b := &eventlog.Batch{Partition: o.number, Own: true}
		var ids []string
		for _, e := range entries {
			data, _ := e.Values["i"].(string)
			b.Data = append(b.Data, data...)
			ids = append(ids, e.ID)
		}
		for at := 0; at < len(b.Data); {
			var in event.Intent
			n, err := event.DecodeIntent(b.Data[at:], &in)
			if err != nil {
				return fmt.Errorf("%w: intents %s to %s: %w", errDamaged, ids[0], ids[len(ids)-1], err)
			}
			at += n
			b.Ends = append(b.Ends, at)
		}
		if err := o.store.log.Append(ctx, eventlog.Intents, []*eventlog.Batch{b}); err != nil {
			return fmt.Errorf("intents: %w", err)
		}
		err = o.store.try(ctx, func(ctx context.Context) error { return o.store.client.XDel(ctx, o.keys.out, ids...).Err() })
		if err != nil {
			return err
		}
		if len(entries) < relayPage {
			return nil
		}
	}
}
