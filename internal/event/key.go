package event

import "crypto/sha256"

// KeyOf is the identity of a client's event: 128 bits of a hash of source and
// message id. It is the dedup key in the log and goes into fire ids. No two
// different events collide by chance, nor by somebody's choice of ids.
func KeyOf(source, messageID string) [16]byte {
	var room [192]byte
	// The length in front keeps ("a", "bc") and ("ab", "c") apart.
	in := append(room[:0], byte(len(source)), byte(len(source)>>8))
	in = append(in, source...)
	in = append(in, messageID...)
	sum := sha256.Sum256(in)
	return [16]byte(sum[:16])
}
