package engager

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"heed/internal/policy"
)

// ActivationID is the id of (intent, campaign): 32 hex digits.
func ActivationID(fireID, campaign string) string {
	h := sha256.Sum256([]byte("activation\x00" + fireID + "\x00" + campaign))
	return hex.EncodeToString(h[:16])
}

// DeliveryID is what the outside sees of an activation: 32 hex digits that only
// the installation can make.
func DeliveryID(secret []byte, activationID string) string { return mac(secret, activationID) }

func mac(secret []byte, s string) string {
	m := hmac.New(sha256.New, secret)
	m.Write([]byte(s))
	return hex.EncodeToString(m.Sum(nil)[:16])
}

// HeldOut tells, as the Engager with that secret does, whether a campaign holds
// a user back.
func HeldOut(secret []byte) func(campaign, user string, share float64) bool {
	salt := mac(secret, saltPurpose)
	return func(campaign, user string, share float64) bool { return policy.HeldOut(salt, campaign, user, share) }
}

// saltPurpose keeps the salt of the policy apart from other uses of the secret.
const saltPurpose = "policy"

// outcomeID is the message id of the outcome event of an activation.
func outcomeID(activationID string) string { return "d-" + activationID }

const hour = 3_600_000_000 // µs

// LedgerKey is where an activation's entry lies. Keys begin with the hour of
// the firing, which each replay repeats, so that old entries are neighbours.
func LedgerKey(at int64, activationID string) string {
	return fmt.Sprintf("%08x-%s", uint64(max(at, 0)/hour), activationID)
}

// openKey is where the note of an open activation lies: by partition and the
// time at which to look after it.
func openKey(partition int, due int64, ledgerKey string) string {
	return fmt.Sprintf("%s%016x/%s", openPrefix(partition), uint64(max(due, 0)), ledgerKey)
}

func openPrefix(partition int) string { return fmt.Sprintf("%04x/", partition) }

// capKey is where the sends to a user are counted: of a campaign, by a channel
// (channelCap), or all together ("").
func capKey(user, of string) string { return user + "\x00" + of }
