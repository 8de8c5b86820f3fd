package sms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"heed/internal/documents"
)

// collectionSent holds which delivery a message centre's id is of:
// <day>/<channel>/<id>.
const collectionSent = "sms-sent"

// Receipts come as long as message centres try, which is a few days.
const keepSent = 7 * 24 * time.Hour

// maxFresh bounds what is remembered and not stored yet.
const maxFresh = 10_000

// part is one segment of a delivery.
type part struct {
	Delivery string `json:"d"`
	Last     bool   `json:"l,omitempty"`
}

// sent knows the segments whose receipts may come.
type sent struct {
	store documents.Store
	now   func() time.Time

	mu sync.Mutex
	// fresh are those that the message centre has just taken: a receipt may come
	// before they are stored. It also holds those whose sender waits no more.
	fresh map[string]part
}

func sentKey(channel, id string) string { return channel + "/" + id }

// accepted remembers a segment. It does not block.
func (s *sent) accepted(channel, id string, p part) {
	if id == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.fresh) >= maxFresh {
		clear(s.fresh) // some receipts will not be known
	}
	s.fresh[sentKey(channel, id)] = p
}

// keep stores a segment that is remembered.
func (s *sent) keep(ctx context.Context, channel, id string) error {
	key := sentKey(channel, id)
	s.mu.Lock()
	p, ok := s.fresh[key]
	s.mu.Unlock()
	if !ok {
		return nil
	}
	value, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("sms: encode segment: %w", err)
	}
	err = s.store.Apply(ctx, documents.Relaxed, documents.Write{
		Collection: collectionSent, Key: day(s.now()) + "/" + key, Value: value, Expect: documents.Any,
	})
	if err != nil {
		return fmt.Errorf("sms: store segment: %w", err)
	}
	s.mu.Lock()
	delete(s.fresh, key)
	s.mu.Unlock()
	return nil
}

// find tells which segment an id is of; false if nobody knows.
func (s *sent) find(ctx context.Context, channel, id string) (part, bool, error) {
	key := sentKey(channel, id)
	s.mu.Lock()
	p, ok := s.fresh[key]
	s.mu.Unlock()
	if ok {
		return p, true, nil
	}
	for back := time.Duration(0); back <= keepSent; back += 24 * time.Hour {
		d, err := s.store.Get(ctx, collectionSent, day(s.now().Add(-back))+"/"+key)
		if errors.Is(err, documents.ErrNotFound) {
			continue
		}
		if err == nil {
			err = json.Unmarshal(d.Value, &p)
		}
		if err != nil {
			return part{}, false, fmt.Errorf("sms: read segment: %w", err)
		}
		return p, true, nil
	}
	return part{}, false, nil
}
