package console

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

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

var errHash = errors.New("a stored password hash is not understood")

// passwords hashes and checks passwords.
type passwords struct {
	random func([]byte)
	slots  chan struct{}
}

func newPasswords(random func([]byte)) *passwords {
	return &passwords{random: random, slots: make(chan struct{}, maxHashing)}
}

// hash makes a PHC string.
func (p *passwords) hash(password string) string {
	salt := make([]byte, argonSalt)
	p.random(salt)
	p.slots <- struct{}{}
	key := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, argonKey)
	<-p.slots
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key))
}

// matches tells whether the password made the hash.
func (p *passwords) matches(hash, password string) (bool, error) {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false, errHash
	}
	var version int
	var memory, time uint32
	var threads uint8
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return false, errHash
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &time, &threads); err != nil || threads == 0 || time == 0 || memory > 1<<20 {
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
	p.slots <- struct{}{}
	got := argon2.IDKey([]byte(password), salt, time, memory, threads, uint32(len(want)))
	<-p.slots
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}
