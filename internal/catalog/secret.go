package catalog

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"heed/internal/definition"
	"heed/internal/documents"
)

// mask stands for a secret wherever definitions leave Heed. Applying it keeps
// the secret that is stored.
const mask = definition.Masked

const sealedPrefix = "sealed:v1:"

// sealer encrypts secrets with AES-256-GCM under the installation's key.
type sealer struct {
	aead   cipher.AEAD
	random func([]byte)
}

func newSealer(key []byte, random func([]byte)) (sealer, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return sealer{}, fmt.Errorf("key that seals secrets: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return sealer{}, fmt.Errorf("key that seals secrets: %w", err)
	}
	return sealer{aead, random}, nil
}

func (s sealer) seal(plain string) string {
	nonce := make([]byte, s.aead.NonceSize())
	s.random(nonce)
	return sealedPrefix + base64.StdEncoding.EncodeToString(s.aead.Seal(nonce, nonce, []byte(plain), nil))
}

func (s sealer) open(text string) (string, error) {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, sealedPrefix))
	if err != nil || len(raw) < s.aead.NonceSize() {
		return "", errors.New("a sealed secret is damaged")
	}
	n := s.aead.NonceSize()
	plain, err := s.aead.Open(nil, raw[:n], raw[n:], nil)
	if err != nil {
		return "", errors.New("a sealed secret cannot be opened: was the installation's key replaced?")
	}
	return string(plain), nil
}

// secretsOf points at the fields of a spec that are secret.
func secretsOf(spec any) []*string {
	switch s := spec.(type) {
	case *definition.Source:
		return []*string{&s.ServerKey, &s.Secret}
	case *definition.Channel:
		// Each has its place, whether or not the channel has it.
		smtp, dkim, push := new(definition.SMTP), new(definition.DKIM), new(definition.Push)
		if s.SMTP != nil {
			smtp = s.SMTP
		}
		if s.DKIM != nil {
			dkim = s.DKIM
		}
		if s.Push != nil {
			push = s.Push
		}
		smpp, twilio := new(definition.SMPP), new(definition.Twilio)
		if s.SMPP != nil {
			smpp = s.SMPP
		}
		if s.Twilio != nil {
			twilio = s.Twilio
		}
		feedback := new(definition.Feedback)
		if s.Feedback != nil {
			feedback = s.Feedback
		}
		sasl, tls := kafkaSecrets(s.Kafka)
		own := new(definition.TLS)
		if s.TLS != nil {
			own = s.TLS
		}
		return []*string{
			&s.Secret, &smtp.Password, &feedback.Secret, &dkim.Key, &push.PrivateKey, &smpp.Password, &twilio.AuthToken, sasl, tls, &own.Key,
		}
	case *definition.Stream:
		sasl, tls := kafkaSecrets(&s.Kafka)
		registry := new(definition.Avro)
		if s.Avro != nil {
			registry = s.Avro
		}
		return []*string{sasl, tls, &registry.Password}
	}
	return nil
}

// kafkaSecrets are those of how brokers are reached, nil or not.
func kafkaSecrets(k *definition.Kafka) (password, key *string) {
	password, key = new(string), new(string)
	if k != nil && k.SASL != nil {
		password = &k.SASL.Password
	}
	if k != nil && k.TLS != nil {
		key = &k.TLS.Key
	}
	return password, key
}

func maskSecrets(spec any) {
	for _, s := range secretsOf(spec) {
		if *s != "" && !isReference(*s) {
			*s = mask
		}
	}
}

// isReference tells ${env:NAME} and ${file:PATH}, which are no secrets
// themselves.
func isReference(s string) bool {
	return strings.HasPrefix(s, "${") && strings.HasSuffix(s, "}")
}

// sealSecrets makes a spec fit to be stored; old is what is stored now, nil if
// there is nothing.
func (c *Catalog) sealSecrets(spec, old any) error {
	before := secretsOf(old)
	for i, s := range secretsOf(spec) {
		switch {
		case *s == "" || isReference(*s) || strings.HasPrefix(*s, sealedPrefix):
		case *s == mask:
			if i >= len(before) || *before[i] == "" {
				return errors.New("*** keeps a secret that is stored, but none is: give the secret itself")
			}
			*s = *before[i]
		default:
			if i < len(before) && strings.HasPrefix(*before[i], sealedPrefix) {
				if plain, err := c.seal.open(*before[i]); err == nil && plain == *s {
					*s = *before[i] // unchanged: keep the same bytes
					continue
				}
			}
			*s = c.seal.seal(*s)
		}
	}
	return nil
}

// Draft is the spec of a document that is not stored, as it would be used: a
// secret that it leaves masked is the one that is stored.
func (c *Catalog) Draft(ctx context.Context, d definition.Document) (any, error) {
	var old any
	stored, err := c.cfg.Store.Get(ctx, collCurrent, d.Ref())
	switch {
	case err == nil:
		var r Record
		if err = json.Unmarshal(stored.Value, &r); err == nil {
			old, err = definition.DecodeSpec(r.Kind, r.Spec)
		}
	case errors.Is(err, documents.ErrNotFound):
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", d.Ref(), err)
	}
	b, err := definition.MarshalSpec(d.Spec) // the caller keeps its document
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.Ref(), err)
	}
	spec, err := definition.DecodeSpec(d.Kind, b)
	if err != nil {
		return nil, err
	}
	if err = c.sealSecrets(spec, old); err == nil {
		err = c.openSecrets(spec)
	}
	if err != nil {
		return nil, definition.Problems{{Kind: d.Kind, Name: d.Name, Message: err.Error()}}
	}
	return spec, nil
}

// openSecrets makes a stored spec usable.
func (c *Catalog) openSecrets(spec any) error {
	for _, s := range secretsOf(spec) {
		plain, err := c.resolve(*s)
		if err != nil {
			return err
		}
		*s = plain
	}
	return nil
}

func (c *Catalog) resolve(text string) (string, error) {
	if strings.HasPrefix(text, sealedPrefix) {
		return c.seal.open(text)
	}
	if !isReference(text) {
		return text, nil
	}
	how, what, _ := strings.Cut(text[2:len(text)-1], ":")
	switch how {
	case "env":
		if v, ok := c.cfg.Getenv(what); ok && v != "" {
			return v, nil
		}
		return "", fmt.Errorf("%s: the environment variable is not set", text)
	case "file":
		b, err := c.cfg.ReadFile(what)
		if err != nil {
			return "", fmt.Errorf("%s: %w", text, err)
		}
		return strings.TrimSpace(string(b)), nil
	}
	return "", fmt.Errorf("%s: write ${env:NAME} or ${file:PATH}", text)
}
