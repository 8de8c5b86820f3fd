package email

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// sealer signs what comes back from outside: what a link says is what Heed wrote
// into it, or nothing.
type sealer struct{ key []byte }

func newSealer(secret []byte) sealer {
	m := hmac.New(sha256.New, secret)
	m.Write([]byte("email"))
	return sealer{m.Sum(nil)}
}

func (s sealer) mac(purpose string, data []byte, size int) []byte {
	m := hmac.New(sha256.New, s.key)
	m.Write([]byte(purpose + "\x00"))
	m.Write(data)
	return m.Sum(nil)[:size]
}

// What a link is for.
const (
	purposeClick  = "click"
	purposeOpen   = "open"
	purposeReturn = "return"
)

// Bounds in bytes.
const (
	linkMAC   = 16
	returnMAC = 10
	maxLink   = 2 << 10 // of an address; a longer one is not counted
	maxToken  = 4 << 10
)

// visit is what a link in a message knows: the delivery, the channel, when it was
// sent, and of a click where it leads.
type visit struct {
	delivery, channel string
	sent              time.Time // to the second
	to                string
}

func (s sealer) link(purpose string, v visit) string {
	data := []byte(strings.Join([]string{v.delivery, v.channel, strconv.FormatInt(v.sent.Unix(), 36), v.to}, "\x00"))
	return base64.RawURLEncoding.EncodeToString(append(s.mac(purpose, data, linkMAC), data...))
}

func (s sealer) visit(purpose, token string) (visit, bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(token) > maxToken || len(raw) < linkMAC || !hmac.Equal(raw[:linkMAC], s.mac(purpose, raw[linkMAC:], linkMAC)) {
		return visit{}, false
	}
	parts := strings.SplitN(string(raw[linkMAC:]), "\x00", 4)
	if len(parts) != 4 {
		return visit{}, false
	}
	sent, err := strconv.ParseInt(parts[2], 36, 64)
	return visit{parts[0], parts[1], time.Unix(sent, 0), parts[3]}, err == nil
}

// Addresses to return to are told apart by their local part: "b-", the delivery
// and a signature, in letters whose case does not matter.
const (
	returnPrefix = "b-"
	deliverySize = 16
)

func returnCode() *base32.Encoding {
	return base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
}

// returnPath is the local part of the address to which a message comes back that
// cannot be delivered; "" if the delivery's id is none of the Engager's.
func (s sealer) returnPath(delivery string) string {
	raw, err := hex.DecodeString(delivery)
	if err != nil || len(raw) != deliverySize {
		return ""
	}
	return returnPrefix + returnCode().EncodeToString(append(raw, s.mac(purposeReturn, raw, returnMAC)...))
}

// returned is the delivery that an address, or its local part, is of.
func (s sealer) returned(address string) (delivery string, ok bool) {
	local, _, _ := strings.Cut(strings.ToLower(strings.Trim(address, "<> ")), "@")
	code, ok := strings.CutPrefix(local, returnPrefix)
	if !ok || len(code) > 64 {
		return "", false
	}
	raw, err := returnCode().DecodeString(code)
	if err != nil || len(raw) != deliverySize+returnMAC {
		return "", false
	}
	delivery = hex.EncodeToString(raw[:deliverySize])
	return delivery, hmac.Equal([]byte(local), []byte(s.returnPath(delivery)))
}
