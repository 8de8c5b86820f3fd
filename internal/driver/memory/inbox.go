package memory

import (
	"context"
	"slices"
	"sync"

	"heed/internal/inbox"
)

type inboxData struct {
	mu     sync.Mutex
	seq    uint64
	byID   map[string]*inbox.Message
	byUser map[string][]*inbox.Message // in order of Seq
}

func (d *inboxData) init() {
	d.byID = make(map[string]*inbox.Message)
	d.byUser = make(map[string][]*inbox.Message)
}

type inboxStore struct {
	db  *DB
	hub inbox.Hub
}

func (s *inboxStore) Put(ctx context.Context, m inbox.Message) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if err := m.Check(); err != nil {
		return false, err
	}
	d := &s.db.data.inbox
	d.mu.Lock()
	_, seen := d.byID[m.ID]
	if !seen {
		d.seq++
		m.Seq, m.State = d.seq, inbox.Waiting
		d.byID[m.ID] = &m
		d.byUser[m.User] = append(d.byUser[m.User], &m)
	}
	d.mu.Unlock()
	if !seen || s.db.chance(s.db.hostile.Load().SpuriousWake) {
		s.hub.Wake(m.User)
	}
	return !seen, nil
}

func (s *inboxStore) Pending(ctx context.Context, user string, after uint64, now int64) ([]inbox.Message, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d := &s.db.data.inbox
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []inbox.Message
	for _, m := range d.byUser[user] {
		if m.Seq > after && m.Expires > now && m.State <= inbox.Shown {
			out = append(out, *m)
		}
	}
	return out, nil
}

func (s *inboxStore) Advance(ctx context.Context, id string, state inbox.State) (inbox.Message, bool, error) {
	if err := ctx.Err(); err != nil {
		return inbox.Message{}, false, err
	}
	d := &s.db.data.inbox
	d.mu.Lock()
	m, ok := d.byID[id]
	if !ok {
		d.mu.Unlock()
		return inbox.Message{}, false, inbox.ErrUnknown
	}
	changed := m.State < state
	if changed {
		m.State = state
	}
	out := *m
	d.mu.Unlock()
	if changed {
		s.hub.Wake(out.User)
	}
	return out, changed, nil
}

func (s *inboxStore) Subscribe(users ...string) (<-chan struct{}, func()) {
	wake, cancel := s.hub.Subscribe(users...)
	if len(users) > 0 && s.db.chance(s.db.hostile.Load().SpuriousWake) {
		s.hub.Wake(users[0])
	}
	return wake, cancel
}

func (s *inboxStore) Settle(_ context.Context, token string, set inbox.Settlement) {
	if !s.db.chance(s.db.hostile.Load().LostSettlement) {
		s.hub.Report(token, set)
	}
}

func (s *inboxStore) Watch(token string) (<-chan inbox.Settlement, func()) { return s.hub.Watch(token) }

func (s *inboxStore) Expire(ctx context.Context, now int64, limit int) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	d := &s.db.data.inbox
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for id, m := range d.byID {
		if n == limit {
			break
		}
		if m.Expires > now {
			continue
		}
		n++
		delete(d.byID, id)
		left := slices.DeleteFunc(d.byUser[m.User], func(o *inbox.Message) bool { return o.ID == id })
		if len(left) == 0 {
			delete(d.byUser, m.User)
		} else {
			d.byUser[m.User] = left
		}
	}
	return n, nil
}
