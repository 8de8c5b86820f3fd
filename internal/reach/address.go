package reach

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/mail"
	"strings"

	"heed/internal/definition"
	"heed/internal/phone"
)

// maxAddress bounds an address in bytes; a push subscription is the longest.
const maxAddress = 4 << 10

// Addressed tells whether a type of channel sends to addresses.
func Addressed(channelType string) bool {
	switch channelType {
	case definition.ChannelEmail, definition.ChannelSMS, definition.ChannelPush:
		return true
	}
	return false
}

// Normal brings an address of a type of channel into the one form that is sent
// to; false if it is none.
func Normal(channelType, address string) (string, bool) { return normal(channelType, address, "") }

// normal is Normal; a telephone number may lack its country code and is of the
// country then.
func normal(channelType, address, country string) (string, bool) {
	address = strings.TrimSpace(address)
	switch {
	case address == "" || len(address) > maxAddress:
		return "", false
	case channelType == definition.ChannelEmail:
		return email(address)
	case channelType == definition.ChannelSMS:
		n, err := phone.Parse(address, country)
		if err != nil && country != "" {
			n, err = phone.Parse(address, "")
		}
		return n.E164, err == nil
	}
	return address, !strings.ContainsAny(address, "\r\n\x00")
}

// email takes a bare address: no name beside it, no quotes in it.
func email(address string) (string, bool) {
	a, err := mail.ParseAddress(address)
	if err != nil || a.Address != address || len(address) > 254 || strings.ContainsAny(address, " \t\r\n\x00\"<>(),;:\\") {
		return "", false
	}
	local, domain, _ := strings.Cut(address, "@")
	if len(local) > 64 {
		return "", false
	}
	return local + "@" + strings.ToLower(domain), true
}

// hashSize is that of an address's hash, in bytes.
const hashSize = 16

// hash stands for an address (Normal made it) where it must outlive the user:
// without the secret nobody tells the address, or tries some out. How the letters
// of an e-mail address are written makes no difference to it.
func (b *Book) hash(channelType, address string) string {
	return hex.EncodeToString(b.mac("address", channelType, strings.ToLower(address)))
}

// mac is an HMAC of texts for a purpose.
func (b *Book) mac(purpose string, texts ...string) []byte {
	m := hmac.New(sha256.New, b.deps.Secret)
	m.Write([]byte("reach\x00" + purpose))
	for _, t := range texts {
		m.Write([]byte("\x00" + t))
	}
	return m.Sum(nil)[:hashSize]
}

// senderOf brings the name or number of a sender into one form.
func senderOf(s string) string { return strings.ToLower(strings.TrimPrefix(strings.TrimSpace(s), "+")) }
