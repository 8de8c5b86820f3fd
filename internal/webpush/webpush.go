// Package webpush owns the form in which a message goes to a browser's push
// service: the encryption that only that browser can undo (RFC 8291, aes128gcm)
// and the proof of who sends it (VAPID, RFC 8292). It is pure: randomness and
// time are passed in.
//
// It does not own subscriptions (device) or sending (channel/push).
package webpush

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// MaxPayload is how many bytes a message may have: push services take bodies of
// 4,096 bytes, of which the header and the encryption need the rest.
const MaxPayload = recordSize - headerSize - tagSize - 1

const (
	recordSize = 4096
	headerSize = saltSize + 4 + 1 + pointSize
	saltSize   = 16
	pointSize  = 65 // of an uncompressed P-256 point
	authSize   = 16
	tagSize    = 16
)

// Seed is how many random bytes Encrypt needs.
const Seed = saltSize + 32

// Subscriber is the browser's half of the encryption.
type Subscriber struct {
	key  *ecdh.PublicKey
	auth []byte
}

// ParseSubscriber reads the keys of a PushSubscription, in base64url.
func ParseSubscriber(p256dh, auth string) (Subscriber, error) {
	point, err := decode(p256dh)
	if err != nil {
		return Subscriber{}, errors.New("p256dh is not base64url")
	}
	key, err := ecdh.P256().NewPublicKey(point)
	if err != nil {
		return Subscriber{}, errors.New("p256dh is no point of P-256")
	}
	secret, err := decode(auth)
	if err != nil || len(secret) != authSize {
		return Subscriber{}, fmt.Errorf("auth is not %d bytes in base64url", authSize)
	}
	return Subscriber{key, secret}, nil
}

// Encrypt makes the body of a request to the push service. The seed must be
// random and never used again. The length of the body says the length of the
// message, and nothing else of it.
func Encrypt(to Subscriber, message []byte, seed [Seed]byte) ([]byte, error) {
	if len(message) > MaxPayload {
		return nil, fmt.Errorf("the message has %d bytes, of at most %d", len(message), MaxPayload)
	}
	salt := seed[:saltSize]
	own, err := ecdh.P256().NewPrivateKey(seed[saltSize:])
	if err != nil {
		return nil, fmt.Errorf("make a key for the message: %w", err) // once in 2^32
	}
	shared, err := own.ECDH(to.key)
	if err != nil {
		return nil, fmt.Errorf("agree on a key for the message: %w", err)
	}
	point := own.PublicKey().Bytes()
	input, err := hkdf.Key(sha256.New, shared, to.auth, "WebPush: info\x00"+string(to.key.Bytes())+string(point), 32)
	if err != nil {
		return nil, fmt.Errorf("derive a key for the message: %w", err)
	}
	key, err := hkdf.Key(sha256.New, input, salt, "Content-Encoding: aes128gcm\x00", 16)
	if err != nil {
		return nil, fmt.Errorf("derive a key for the message: %w", err)
	}
	nonce, err := hkdf.Key(sha256.New, input, salt, "Content-Encoding: nonce\x00", 12)
	if err != nil {
		return nil, fmt.Errorf("derive a nonce for the message: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	seal, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	body := make([]byte, 0, headerSize+len(message)+1+tagSize)
	body = append(body, salt...)
	body = binary.BigEndian.AppendUint32(body, recordSize)
	body = append(body, pointSize)
	body = append(body, point...)
	last := append(slices.Clip(message), 2) // the only record, without padding
	return seal.Seal(body, nonce, last, nil), nil
}

// decode reads base64url, with or without padding.
func decode(text string) ([]byte, error) {
	for len(text) > 0 && text[len(text)-1] == '=' {
		text = text[:len(text)-1]
	}
	return base64.RawURLEncoding.DecodeString(text)
}
