package console

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

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

var errHash = errors.New("a stored password hash is not understood")

// passwords hashes and checks passwords.
type passwords struct {
	random  func([]byte)
	slots   chan struct{}
	waiting atomic.Int32
}

func newPasswords(random func([]byte)) *passwords {
	return &passwords{random: random, slots: make(chan struct{}, maxHashing)}
}

// enter waits for a slot; the caller frees it.
func (p *passwords) enter(ctx context.Context) error {
	if p.waiting.Add(1) > maxWaiting {
		p.waiting.Add(-1)
		f := fail(http.StatusServiceUnavailable, "unavailable", "too many people sign in at once", "try again in a moment")
		f.retryAfter = 2 * time.Second
		return f
	}
	defer p.waiting.Add(-1)
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hash makes a PHC string.
func (p *passwords) hash(ctx context.Context, password string) (string, error) {
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

// matches tells whether the password made the hash.
func (p *passwords) matches(ctx context.Context, hash, password string) (bool, error) {
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
