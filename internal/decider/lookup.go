package decider

import (
	"context"
	"time"
)

// What conditions and audiences ask of the user in hand while the batch decides.

// audience tells whether the user in hand is in an audience.
func (b *batch) audience(name string) bool {
	p, ok := b.w.rules.audiences[name]
	if !ok {
		return b.w.member(b.who, name)
	}
	return p.Eval(&b.facts)
}

// pullTimeout bounds how long a decision waits for a pulled document.
const pullTimeout = time.Second

// pulled looks up a document of the user in hand. What cannot be read counts as
// missing: a store that is away must not hold the partition up.
func (b *batch) pulled(collection string) []byte {
	ctx, cancel := context.WithTimeout(context.Background(), pullTimeout)
	defer cancel()
	doc, err := b.w.d.deps.Pull.Fields(ctx, collection, b.who.id)
	if err != nil {
		b.w.metrics.unpulled.Inc()
		b.w.logger.Error("a document of the pull store could not be read: it counts as missing", "collection", collection, "error", err)
		return nil
	}
	return doc
}
