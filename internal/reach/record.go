package reach

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"heed/internal/consent"
	"heed/internal/documents"
)

// Collections of what is known about messages that went to an address.
const (
	CollectionDeliveries = "deliveries" // delivery id -> Record
	CollectionAddressees = "addressees" // channel type, hash of the address -> Record of the newest message
)

// Record says whose a delivery was, for what comes back about it.
type Record struct {
	Delivery string          `json:"delivery"`
	User     string          `json:"user"`
	Known    bool            `json:"known,omitempty"` // User is a user id, and no anonymous one
	Campaign string          `json:"campaign"`
	Purpose  consent.Purpose `json:"purpose"`
	Channel  string          `json:"channel"`
	Type     string          `json:"type"`
	Template string          `json:"template,omitempty"`
	Variant  int             `json:"variant"`
	Hash     string          `json:"hash"` // of the address
	Depth    int             `json:"depth"`
	Test     bool            `json:"test,omitempty"`
	At       int64           `json:"at"` // µs since the Unix epoch
	// Unsure: it ended without anybody knowing whether it arrived.
	Unsure bool `json:"unsure,omitempty"`
}

// Writes keep a record; they belong into the transaction that comes before the
// message can be seen. to is the address that it goes to.
func (b *Book) Writes(r Record, to string) ([]documents.Write, error) {
	r.Hash = b.hash(r.Type, to)
	value, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("reach: encode the record of delivery %s: %w", r.Delivery, err)
	}
	out := []documents.Write{{Collection: CollectionDeliveries, Key: r.Delivery, Value: value, Expect: documents.Any}}
	if !r.Test {
		out = append(out, documents.Write{Collection: CollectionAddressees, Key: r.Type + "/" + r.Hash, Value: value, Expect: documents.Any})
	}
	return out, nil
}

// Unsure keeps that a delivery ended without anybody knowing whether it arrived: feedback
// on it settles that. There is nothing to write if there is no record.
func (b *Book) Unsure(ctx context.Context, delivery string) ([]documents.Write, error) {
	r, err := b.record(ctx, CollectionDeliveries, delivery)
	if err != nil || r == nil {
		return nil, err
	}
	r.Unsure = true
	value, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("reach: encode the record of delivery %s: %w", delivery, err)
	}
	return []documents.Write{{Collection: CollectionDeliveries, Key: delivery, Value: value, Expect: documents.Any}}, nil
}

// record finds one; nil if there is none.
func (b *Book) record(ctx context.Context, collection, key string) (*Record, error) {
	d, err := b.deps.Documents.Get(ctx, collection, key)
	if errors.Is(err, documents.ErrNotFound) {
		return nil, nil //nolint:nilnil // none is no error
	}
	var r Record
	if err == nil {
		err = json.Unmarshal(d.Value, &r)
	}
	if err != nil {
		return nil, fmt.Errorf("reach: read %s of %s: %w", collection, key, err)
	}
	return &r, nil
}
