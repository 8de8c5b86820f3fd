// Package device owns the devices that take notifications: the push subscription
// of each browser, and whose it is. A device belongs to one user at a time.
//
// It does not own who may say whose a device is (gateway), what is sent to it
// (channel/push), or the form of that (webpush).
package device

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"heed/internal/documents"
)

// Collections of documents (docs/format/devices.md).
const (
	collDevices = "push_devices" // user, NUL, id -> Device
	collOwners  = "push_owners"  // id -> user
)

// MaxPerUser is how many devices a user has; one more takes the place of the
// oldest.
const MaxPerUser = 16

// Device is a browser that takes notifications.
type Device struct {
	User    string `json:"-"`                // profile id
	Proven  bool   `json:"proven,omitempty"` // the browser proved to speak for that user id; else it is an anonymous id
	Channel string `json:"channel"`          // whose key the subscription is bound to
	// Endpoint is where the push service takes messages for it: whoever knows it
	// can remove the device.
	Endpoint string    `json:"endpoint"`
	P256dh   string    `json:"p256dh"`
	Auth     string    `json:"auth"`
	Since    time.Time `json:"since"` // when it became that user's
}

// ID names the device without telling its endpoint.
func (d *Device) ID() string { return idOf(d.Endpoint) }

func idOf(endpoint string) string {
	sum := sha256.Sum256([]byte(endpoint))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// Store keeps the devices. Its methods may be called concurrently.
type Store struct {
	docs documents.Store
	now  func() time.Time
}

// New makes the store over documents.
func New(docs documents.Store, now func() time.Time) *Store { return &Store{docs, now} }

// attempts at a change that others make at the same time.
const attempts = 10

// Put makes a device its user's, whoever's it was. It survives power loss when
// Put returns. Since is kept if the device was the user's in the same way.
func (s *Store) Put(ctx context.Context, d Device) (Device, error) {
	for range attempts {
		out, err := s.put(ctx, d)
		if !errors.Is(err, documents.ErrConflict) {
			return out, err
		}
	}
	return d, fmt.Errorf("device: keep one of %q: %w", d.User, documents.ErrConflict)
}

func (s *Store) put(ctx context.Context, d Device) (Device, error) {
	id := d.ID()
	owner, version, err := s.owner(ctx, id)
	if err != nil {
		return d, err
	}
	mine, err := s.List(ctx, d.User)
	if err != nil {
		return d, err
	}
	d.Since = s.now().UTC()
	if i := slices.IndexFunc(mine, func(o Device) bool { return o.Endpoint == d.Endpoint }); i >= 0 {
		if o := mine[i]; o.Proven == d.Proven && o.Channel == d.Channel {
			d.Since = o.Since
		}
		mine = slices.Delete(mine, i, i+1)
	}
	value, err := json.Marshal(&d)
	if err != nil {
		return d, fmt.Errorf("device: encode: %w", err)
	}
	writes := []documents.Write{
		{Collection: collOwners, Key: id, Value: []byte(d.User), Expect: version},
		{Collection: collDevices, Key: key(d.User, id), Value: value, Expect: documents.Any},
	}
	if version != documents.Absent && owner != d.User {
		writes = append(writes, documents.Write{Collection: collDevices, Key: key(owner, id), Expect: documents.Any})
	}
	for _, o := range mine[:max(0, len(mine)-MaxPerUser+1)] {
		writes = append(writes, removal(&o)...)
	}
	if err := s.docs.Apply(ctx, documents.Durable, writes...); err != nil {
		return d, fmt.Errorf("device: keep one of %q: %w", d.User, err)
	}
	return d, nil
}

// removal is what takes a device away.
func removal(d *Device) []documents.Write {
	return []documents.Write{
		{Collection: collOwners, Key: d.ID(), Expect: documents.Any},
		{Collection: collDevices, Key: key(d.User, d.ID()), Expect: documents.Any},
	}
}

// owner is whose a device is; the version is 0 if it is nobody's.
func (s *Store) owner(ctx context.Context, id string) (user string, version int64, err error) {
	o, err := s.docs.Get(ctx, collOwners, id)
	if errors.Is(err, documents.ErrNotFound) {
		return "", documents.Absent, nil
	}
	if err != nil {
		return "", 0, fmt.Errorf("device: read whose %s is: %w", id, err)
	}
	return string(o.Value), o.Version, nil
}

// Remove forgets a device and tells which it was; found is false if there is
// none. It survives power loss when Remove returns.
func (s *Store) Remove(ctx context.Context, endpoint string) (d Device, found bool, err error) {
	id := idOf(endpoint)
	for range attempts {
		owner, version, err := s.owner(ctx, id)
		if err != nil || version == documents.Absent {
			return Device{}, false, err
		}
		mine, err := s.List(ctx, owner)
		if err != nil {
			return Device{}, false, err
		}
		d = Device{User: owner, Endpoint: endpoint}
		if i := slices.IndexFunc(mine, func(o Device) bool { return o.Endpoint == endpoint }); i >= 0 {
			d = mine[i]
		}
		writes := removal(&d)
		writes[0].Expect = version
		err = s.docs.Apply(ctx, documents.Durable, writes...)
		if err == nil {
			return d, true, nil
		}
		if !errors.Is(err, documents.ErrConflict) {
			return d, false, fmt.Errorf("device: remove one of %q: %w", owner, err)
		}
	}
	return d, false, fmt.Errorf("device: remove %s: %w", id, documents.ErrConflict)
}

// List tells a user's devices, the oldest first.
func (s *Store) List(ctx context.Context, user string) ([]Device, error) {
	docs, err := s.docs.List(ctx, documents.Query{Collection: collDevices, Prefix: key(user, "")})
	if err != nil {
		return nil, fmt.Errorf("device: list those of %q: %w", user, err)
	}
	out := make([]Device, len(docs))
	for i, doc := range docs {
		if err := json.Unmarshal(doc.Value, &out[i]); err != nil {
			return nil, fmt.Errorf("device: read one of %q: %w", user, err)
		}
		out[i].User = user
	}
	slices.SortStableFunc(out, func(a, b Device) int { return a.Since.Compare(b.Since) })
	return out, nil
}

// key places a device among its user's; no profile id holds a NUL.
func key(user, id string) string { return user + "\x00" + id }
