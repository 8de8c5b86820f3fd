package email

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"heed/internal/channel/email/provider"
	"heed/internal/documents"
)

// collectionTokens holds the tokens of calls whose signature leaves their body open: time
// of the signature, hash of the token -> hash of what was reported with it.
const collectionTokens = "email_report_tokens"

// tidyTokens is how many old tokens are forgotten with each new one.
const tidyTokens = 10

// used keeps that a token was used, and tells whether it was for the same reports: the
// provider brings again what was not answered, and who has seen a call brings another.
func (c *Channel) used(ctx context.Context, call *provider.Call) (same bool, err error) {
	hash := func(s string) string {
		sum := sha256.Sum256([]byte(s))
		return hex.EncodeToString(sum[:16])
	}
	w := documents.Write{
		Collection: collectionTokens, Key: tokenKey(call.Signed) + hash(call.Token), Value: []byte(hash(fmt.Sprintf("%+v", call.Reports))), Expect: documents.Absent,
	}
	old, err := c.deps.Documents.List(ctx, documents.Query{Collection: collectionTokens, Reverse: true, After: tokenKey(c.deps.Now().Add(-2 * provider.TokenAge)), Limit: tidyTokens})
	writes := []documents.Write{w}
	for _, d := range old {
		writes = append(writes, documents.Write{Collection: collectionTokens, Key: d.Key, Expect: documents.Any})
	}
	if err == nil {
		err = c.deps.Documents.Apply(ctx, documents.Durable, writes...)
	}
	if !errors.Is(err, documents.ErrConflict) {
		return err == nil, err
	}
	d, err := c.deps.Documents.Get(ctx, w.Collection, w.Key)
	return err == nil && string(d.Value) == string(w.Value), err
}

// tokenKey begins the keys of tokens of a moment: they lie in order of time.
func tokenKey(signed time.Time) string { return fmt.Sprintf("%016x/", max(signed.Unix(), 0)) }
