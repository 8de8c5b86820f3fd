package webpush

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"
)

// The example of RFC 8291, section 5 and appendix A.
const (
	rfcPublic = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
	rfcAuth   = "BTBZMqHH6r4Tts7J_aSIgg"
	rfcSender = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
	rfcSalt   = "DGv6ra1nlYgDCS1FRnbzlw"
	rfcBody   = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)

func mustDecode(t *testing.T, text string) []byte {
	t.Helper()
	b, err := decode(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEncryptAsTheStandardDoes(t *testing.T) {
	to, err := ParseSubscriber(rfcPublic, rfcAuth)
	if err != nil {
		t.Fatal(err)
	}
	var seed [Seed]byte
	copy(seed[:], mustDecode(t, rfcSalt))
	copy(seed[saltSize:], mustDecode(t, rfcSender))
	body, err := Encrypt(to, []byte("When I grow up, I want to be a watermelon"), seed)
	if err != nil {
		t.Fatal(err)
	}
	if want := mustDecode(t, rfcBody); !bytes.Equal(body, want) {
		t.Errorf("body\n%x, want\n%x", body, want)
	}
	if body, err := Encrypt(to, make([]byte, MaxPayload), seed); err != nil || len(body) != recordSize {
		t.Errorf("the longest message: %d bytes, %v", len(body), err)
	}
	if _, err := Encrypt(to, make([]byte, MaxPayload+1), seed); err == nil {
		t.Error("a longer one was taken")
	}
}

func TestParseSubscriber(t *testing.T) {
	f := func(p256dh, auth string, ok bool) {
		t.Helper()
		if _, err := ParseSubscriber(p256dh, auth); (err == nil) != ok {
			t.Errorf("%q %q: %v", p256dh, auth, err)
		}
	}
	f(rfcPublic, rfcAuth, true)
	f(rfcPublic+"=", rfcAuth+"==", true)
	f("", rfcAuth, false)
	f(rfcPublic, "", false)
	f(rfcPublic, "AAAA", false)
	f(rfcPublic[:len(rfcPublic)-2], rfcAuth, false)
	f("not base64!", rfcAuth, false)
	off := mustDecode(t, rfcPublic)
	off[64] ^= 1 // not on the curve
	f(base64.RawURLEncoding.EncodeToString(off), rfcAuth, false)
}

func TestAuthorize(t *testing.T) {
	n := byte(0)
	text := NewKey(func(b []byte) {
		for i := range b {
			b[i] = n // the first one is no key: zero
		}
		n++
	})
	key, err := ParseKey(text)
	if err != nil || text != base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{1}, 32)) {
		t.Fatalf("%q: %v", text, err)
	}
	until := time.Unix(1_800_000_000, 0)
	endpoint, _ := url.Parse("https://push.example:8443/send/abc?x=1")
	header, err := key.Authorize(endpoint, "mailto:ops@shop.example", until)
	if err != nil {
		t.Fatal(err)
	}
	token, public, ok := strings.Cut(strings.TrimPrefix(header, "vapid t="), ", k=")
	parts := strings.Split(token, ".")
	if !ok || len(parts) != 3 || public != key.Public() {
		t.Fatalf("header %q", header)
	}
	var claims struct {
		Aud, Sub string
		Exp      int64
	}
	if err := json.Unmarshal(mustDecode(t, parts[1]), &claims); err != nil || claims.Aud != "https://push.example:8443" || claims.Sub != "mailto:ops@shop.example" || claims.Exp != until.Unix() {
		t.Errorf("claims %+v, %v", claims, err)
	}
	pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), mustDecode(t, public))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	sig := mustDecode(t, parts[2])
	if len(sig) != 64 || !ecdsa.Verify(pub, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
		t.Error("the signature is not the key's")
	}
	for _, bad := range []string{"", "AAAA", "%", base64.RawURLEncoding.EncodeToString(make([]byte, 32))} {
		if _, err := ParseKey(bad); err == nil {
			t.Errorf("%q was taken as a key", bad)
		}
	}
}

func FuzzParseSubscriber(f *testing.F) {
	f.Add(rfcPublic, rfcAuth)
	f.Fuzz(func(t *testing.T, p256dh, auth string) {
		to, err := ParseSubscriber(p256dh, auth)
		if err != nil {
			return
		}
		if _, err := Encrypt(to, []byte("x"), [Seed]byte{saltSize: 1}); err != nil {
			t.Errorf("keys that were taken cannot be used: %v", err)
		}
	})
}
