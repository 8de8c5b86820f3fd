// Package signin makes guessing slow: it hashes and checks passwords, a bounded
// number at once, and makes who fails wait. It owns neither accounts nor sessions
// (console).
package signin

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/argon2"
)

// Parameters of argon2id for new hashes; old hashes carry their own.
const (
	argonMemory  = 32 << 10 // KiB
	argonTime    = 3
	argonThreads = 1
	argonSalt    = 16
	argonKey     = 32
)

// maxHashing bounds how many passwords are hashed at once, and so the memory
// that attempts to sign in can take.
const maxHashing = 2

// maxWaiting bounds how many wait for that.
const maxWaiting = 50

// ErrBusy: too many passwords wait to be looked at.
var ErrBusy = errors.New("too many people sign in at once")

var errHash = errors.New("a stored password hash is not understood")

// Passwords hashes and checks passwords. It may be used concurrently.
type Passwords struct {
	random  func([]byte)
	slots   chan struct{}
	waiting atomic.Int32
}

// NewPasswords takes what fills a salt with unguessable bytes.
func NewPasswords(random func([]byte)) *Passwords {
	return &Passwords{random: random, slots: make(chan struct{}, maxHashing)}
}

// enter waits for a slot; the caller frees it.
func (p *Passwords) enter(ctx context.Context) error {
	if p.waiting.Add(1) > maxWaiting {
		p.waiting.Add(-1)
		return ErrBusy
	}
	defer p.waiting.Add(-1)
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Hash makes a PHC string.
func (p *Passwords) Hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, argonSalt)
	p.random(salt)
	if err := p.enter(ctx); err != nil {
		return "", err
	}
	key := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, argonKey)
	<-p.slots
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key)), nil
}

// Matches tells whether the password made the hash.
func (p *Passwords) Matches(ctx context.Context, hash, password string) (bool, error) {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false, errHash
	}
	var version int
	var memory, passes uint32
	var threads uint8
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return false, errHash
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &passes, &threads); err != nil || threads == 0 || passes == 0 || memory > 1<<20 {
		return false, errHash
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return false, errHash
	}
	want, err := base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil || len(want) == 0 {
		return false, errHash
	}
	if err := p.enter(ctx); err != nil {
		return false, err
	}
	got := argon2.IDKey([]byte(password), salt, passes, memory, threads, uint32(len(want)))
	<-p.slots
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}
