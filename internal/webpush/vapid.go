package webpush

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"
)

// Key is the private key by which push services know a sender again. A
// subscription is bound to it.
type Key struct{ key *ecdsa.PrivateKey }

// keySize is that of a key in bytes.
const keySize = 32

// NewKey makes a key, in the form that ParseKey reads. random fills b with
// unguessable bytes.
func NewKey(random func(b []byte)) string {
	for {
		b := make([]byte, keySize)
		random(b)
		if _, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), b); err == nil {
			return base64.RawURLEncoding.EncodeToString(b)
		}
	}
}

// ParseKey reads a key: 32 bytes in base64url, as other tools print them too.
func ParseKey(text string) (Key, error) {
	b, err := decode(text)
	if err != nil || len(b) != keySize {
		return Key{}, fmt.Errorf("it is not %d bytes in base64url", keySize)
	}
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), b)
	if err != nil {
		return Key{}, errors.New("it is no private key of P-256")
	}
	return Key{key}, nil
}

// Public is the other half, in base64url: the applicationServerKey of browsers.
func (k Key) Public() string {
	b, err := k.key.PublicKey.Bytes()
	if err != nil { // only of keys that were not parsed
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// Authorize makes the Authorization header for requests to an endpoint's server
// until a time, at most a day from now. subject is where the server's people
// reach the sender: a mailto: or https: address.
func (k Key) Authorize(endpoint *url.URL, subject string, until time.Time) (string, error) {
	claims, err := json.Marshal(struct {
		Audience string `json:"aud"`
		Until    int64  `json:"exp"`
		Subject  string `json:"sub"`
	}{endpoint.Scheme + "://" + endpoint.Host, until.Unix(), subject})
	if err != nil {
		return "", fmt.Errorf("encode the claims: %w", err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"typ":"JWT","alg":"ES256"}`)) + "." + encode(claims)
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, k.key, sum[:])
	if err != nil {
		return "", fmt.Errorf("sign the claims: %w", err)
	}
	var sig [2 * keySize]byte
	r.FillBytes(sig[:keySize])
	s.FillBytes(sig[keySize:])
	return "vapid t=" + signed + "." + encode(sig[:]) + ", k=" + k.Public(), nil
}
