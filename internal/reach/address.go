package reach

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/mail"
	"strings"

	"heed/internal/definition"
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
func Normal(channelType, address string) (string, bool) {
	address = strings.TrimSpace(address)
	switch {
	case address == "" || len(address) > maxAddress:
		return "", false
	case channelType == definition.ChannelEmail:
		return email(address)
	case channelType == definition.ChannelSMS:
		return number(address)
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

// number takes a number with its country code, however its digits are grouped.
func number(address string) (string, bool) {
	if rest, ok := strings.CutPrefix(address, "00"); ok {
		address = "+" + rest
	}
	rest, ok := strings.CutPrefix(address, "+")
	if !ok {
		return "", false
	}
	digits := make([]byte, 0, len(rest))
	for i := range len(rest) {
		switch c := rest[i]; {
		case c >= '0' && c <= '9':
			digits = append(digits, c)
		case strings.IndexByte(" -.()/", c) < 0:
			return "", false
		}
	}
	if len(digits) < 7 || len(digits) > 15 || digits[0] == '0' {
		return "", false
	}
	return "+" + string(digits), true
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
