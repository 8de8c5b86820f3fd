package pebble

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	crdb "github.com/cockroachdb/pebble/v2"

	"heed/internal/inbox"
	"heed/internal/varint"
)

// seqBlock is how many sequence numbers are reserved at once: after a restart
// numbering goes on behind the block, so it never goes back.
const seqBlock = 1 << 16

// inboxStore keeps a message under its user and seq, what its id stands for,
// and when it expires.
//
// Lock order: stripe of the id, stripe of the user, mu.
type inboxStore struct {
	db    *DB
	hub   inbox.Hub
	ids   stripes
	users stripes

	mu             sync.Mutex
	next, reserved uint64
}

func openInbox(db *DB) (*inboxStore, error) {
	s := &inboxStore{db: db, ids: newStripes(), users: newStripes()}
	value, err := db.get([]byte{keySequence})
	if err != nil {
		return nil, fmt.Errorf("inbox: %w", err)
	}
	s.next = 1
	if value != nil {
		if len(value) != 8 {
			return nil, fmt.Errorf("inbox: %w: sequence of %d bytes", errCorrupt, len(value))
		}
		s.next = binary.LittleEndian.Uint64(value)
	}
	s.reserved = s.next
	return s, nil
}

// take gives the next sequence number.
func (s *inboxStore) take() (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == s.reserved {
		reserved := s.next + seqBlock
		err := s.db.write(func(b *crdb.Batch) error {
			return b.Set([]byte{keySequence}, binary.LittleEndian.AppendUint64(nil, reserved), nil)
		}, false) // rides in front of the message that needs it
		if err != nil {
			return 0, err
		}
		s.reserved = reserved
	}
	n := s.next
	s.next++
	return n, nil
}

func (s *inboxStore) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.db.enter(); err != nil {
		return fmt.Errorf("inbox: %w", err)
	}
	return nil
}

func (s *inboxStore) Put(ctx context.Context, m inbox.Message) (bool, error) {
	if err := m.Check(); err != nil {
		return false, err
	}
	if err := s.enter(ctx); err != nil {
		return false, err
	}
	defer s.db.leave()
	fresh, err := s.put(m)
	if err == nil {
		// Also for a message that is there: it may not be durable yet.
		err = s.db.barrier()
	}
	if err != nil {
		return false, fmt.Errorf("inbox: put %s: %w", m.ID, err)
	}
	if fresh {
		s.hub.Wake(m.User)
	}
	return fresh, nil
}

func (s *inboxStore) put(m inbox.Message) (fresh bool, err error) {
	idKey := messageIDKey(m.ID)
	id := &s.ids.locks[s.ids.of(idKey)]
	id.Lock()
	defer id.Unlock()
	if have, err := s.db.get(idKey); err != nil || have != nil {
		return false, err
	}
	// Seqs of a user become visible in their order: a reader asks behind the
	// last that it saw.
	user := &s.users.locks[s.users.of([]byte(m.User))]
	user.Lock()
	defer user.Unlock()
	if m.Seq, err = s.take(); err != nil {
		return false, err
	}
	m.State = inbox.Waiting
	b := s.db.engine.NewBatchWithSize(len(m.HTML) + 1024)
	defer func() { _ = b.Close() }()
	if err := errors.Join(
		b.Set(messageKey(m.User, m.Seq), inbox.AppendMessage(nil, &m), nil),
		b.Set(idKey, appendMessageRef(nil, &m), nil),
		b.Set(expiryKey(m.Expires, m.Seq), []byte(m.ID), nil),
	); err != nil {
		return false, err
	}
	return true, s.db.commit(b, false)
}

func (s *inboxStore) Pending(ctx context.Context, user string, after uint64, now int64) ([]inbox.Message, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.db.leave()
	if after == ^uint64(0) {
		return nil, nil
	}
	var out []inbox.Message
	err := s.db.iterate(ctx, messageKey(user, after+1), successor(messagePrefix(user)), func(key, value []byte) (bool, error) {
		var m inbox.Message
		if err := parseMessage(value, &m); err != nil {
			return false, fmt.Errorf("key %x: %w", key, err)
		}
		if m.State <= inbox.Shown && m.Expires > now {
			out = append(out, m)
		}
		return true, nil
	})
	if err != nil {
		return nil, fmt.Errorf("inbox: pending: %w", err)
	}
	return out, nil
}

func (s *inboxStore) Advance(ctx context.Context, id string, state inbox.State) (inbox.Message, bool, error) {
	if err := s.enter(ctx); err != nil {
		return inbox.Message{}, false, err
	}
	defer s.db.leave()
	m, changed, err := s.advance(id, state)
	if err != nil {
		return inbox.Message{}, false, fmt.Errorf("inbox: advance %.80q: %w", id, err)
	}
	if changed {
		s.hub.Wake(m.User)
	}
	return m, changed, nil
}

func (s *inboxStore) advance(id string, state inbox.State) (m inbox.Message, changed bool, err error) {
	idKey := messageIDKey(id)
	lock := &s.ids.locks[s.ids.of(idKey)]
	lock.Lock()
	defer lock.Unlock()
	ref, err := s.db.get(idKey)
	if err != nil {
		return m, false, err
	}
	if ref == nil {
		return m, false, inbox.ErrUnknown
	}
	_, seq, user, err := parseMessageRef(ref)
	if err != nil {
		return m, false, err
	}
	key := messageKey(user, seq)
	value, err := s.db.get(key)
	if err != nil {
		return m, false, err
	}
	if err := parseMessage(value, &m); err != nil {
		return m, false, err
	}
	if m.State >= state {
		return m, false, nil
	}
	m.State = state
	err = s.db.write(func(b *crdb.Batch) error { return b.Set(key, inbox.AppendMessage(nil, &m), nil) }, false)
	return m, err == nil, err
}

func (s *inboxStore) Subscribe(users ...string) (<-chan struct{}, func()) {
	return s.hub.Subscribe(users...)
}

func (s *inboxStore) Settle(_ context.Context, token string, set inbox.Settlement) {
	s.hub.Report(token, set)
}

func (s *inboxStore) Watch(token string) (<-chan inbox.Settlement, func()) { return s.hub.Watch(token) }

func (s *inboxStore) Expire(ctx context.Context, now int64, limit int) (int, error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.db.leave()
	if limit <= 0 {
		return 0, nil
	}
	var ids []string
	prefix := []byte{keyExpiry}
	upper := successor(prefix)
	if now < 1<<62 {
		upper = expiryKey(now+1, 0)
	}
	err := s.db.iterate(ctx, prefix, upper, func(_, value []byte) (bool, error) {
		ids = append(ids, string(value))
		return len(ids) < limit, nil
	})
	n := 0
	for _, id := range ids {
		if err != nil {
			break
		}
		var gone bool
		if gone, err = s.remove(id); gone {
			n++
		}
	}
	if err != nil {
		return n, fmt.Errorf("inbox: expire: %w", err)
	}
	return n, nil
}

// remove removes a message.
func (s *inboxStore) remove(id string) (gone bool, err error) {
	idKey := messageIDKey(id)
	lock := &s.ids.locks[s.ids.of(idKey)]
	lock.Lock()
	defer lock.Unlock()
	ref, err := s.db.get(idKey)
	if err != nil || ref == nil {
		return false, err
	}
	expires, seq, user, err := parseMessageRef(ref)
	if err != nil {
		return false, err
	}
	err = s.db.write(func(b *crdb.Batch) error {
		return errors.Join(
			b.Delete(messageKey(user, seq), nil),
			b.Delete(idKey, nil),
			b.Delete(expiryKey(expires, seq), nil),
		)
	}, false)
	return err == nil, err
}

// parseMessage decodes a message; its strings are copies.
func parseMessage(b []byte, m *inbox.Message) error {
	err := inbox.ParseMessage(b, m)
	if errors.Is(err, inbox.ErrCorrupt) {
		return fmt.Errorf("%w: %w", errCorrupt, err)
	}
	return err
}

// appendMessageRef encodes what an id stands for.
func appendMessageRef(dst []byte, m *inbox.Message) []byte {
	dst = binary.AppendVarint(dst, m.Expires)
	dst = binary.AppendUvarint(dst, m.Seq)
	return append(dst, m.User...)
}

func parseMessageRef(b []byte) (expires int64, seq uint64, user string, err error) {
	d := varint.NewReader(b)
	expires, seq = d.Varint(), d.Uvarint()
	if d.Bad() {
		return 0, 0, "", fmt.Errorf("%w: message id of %d bytes", errCorrupt, len(b))
	}
	return expires, seq, string(d.Rest()), nil
}
