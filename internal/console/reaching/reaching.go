// Package reaching owns the part of the admin API that tells whom Heed may write
// to: what users said, suppressed addresses, and imports.
//
// It does not own what keeps messages back (reach) or how files become events
// (intake).
package reaching

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"time"

	"heed/internal/consent"
	"heed/internal/console/api"
	"heed/internal/definition"
	"heed/internal/policy"
	"heed/internal/reach"
)

// Book is what keeps messages back: a reach.Book.
type Book interface {
	Ask(ctx context.Context, q *reach.Question) (reach.Answer, error)
	Keeps(ctx context.Context, q *reach.Question) ([]reach.Suppressed, error)
	Proof(ctx context.Context, q *reach.Question) (reach.Confirmation, error)
	Lookup(ctx context.Context, channelType, address string) ([]reach.Suppressed, error)
	Suppress(ctx context.Context, channelType, address string, why reach.Why, c reach.Cause) error
	Unsuppress(ctx context.Context, channelType, address string) (found bool, err error)
	Counts(ctx context.Context) ([]reach.Count, error)
}

// Deps is what the handlers work with.
type Deps struct {
	Book        Book
	Imports     Imports
	Definitions interface{ Current() *definition.Set }
	Profiles    reach.Profiles
	// Audit notes what the caller did.
	Audit func(ctx context.Context, action, subject, detail string)
	Clock func() time.Time
}

// Reaching implements a part of api.StrictServerInterface. It may be used
// concurrently.
type Reaching struct{ deps Deps }

// New makes the handlers.
func New(deps Deps) *Reaching { return &Reaching{deps} }

func sentence(w reach.Why) string {
	switch w {
	case reach.Unsubscribed:
		return "Its owner wants no marketing."
	case reach.Stop:
		return "Its owner answered STOP: nothing at all is sent to it."
	case reach.HardBounce:
		return "It does not work: a message came back for good."
	case reach.Complaint:
		return "Its owner called a message spam."
	case reach.Manual:
		return "It was taken out by hand."
	}
	return "The reason is not known to this version."
}

func shown(list []reach.Suppressed) []api.Suppression {
	out := make([]api.Suppression, len(list))
	for i, s := range list {
		out[i] = api.Suppression{
			Reason: api.SuppressionReason(s.Why), Sentence: sentence(s.Why), Sender: s.Sender, Campaign: s.Campaign,
			Channel: s.Cause.Channel, Detail: s.Cause.Detail, At: api.Time(s.Cause.At), Removable: s.Why == reach.Manual,
		}
	}
	return out
}

// found lists what keeps messages from an address.
func (h *Reaching) found(ctx context.Context, channelType api.AddressType, address string) (out api.SuppressionList, err error) {
	list, err := h.deps.Book.Lookup(ctx, string(channelType), address)
	if err != nil {
		return out, told(err)
	}
	to, _ := reach.Normal(string(channelType), address)
	return api.SuppressionList{Type: string(channelType), Address: to, Suppressions: shown(list)}, nil
}

// told makes a mistake of the caller's one that the caller is told of.
func told(err error) error {
	if bad, ok := errors.AsType[*reach.BadAddress](err); ok {
		return api.Fail(http.StatusBadRequest, "bad_request", bad.Error(), "")
	}
	return err
}

// LookUpSuppression tells what keeps messages from an address.
func (h *Reaching) LookUpSuppression(ctx context.Context, r api.LookUpSuppressionRequestObject) (api.LookUpSuppressionResponseObject, error) {
	out, err := h.found(ctx, r.Body.Type, r.Body.Address)
	return api.LookUpSuppression200JSONResponse(out), err
}

// SuppressAddress suppresses by hand.
func (h *Reaching) SuppressAddress(ctx context.Context, r api.SuppressAddressRequestObject) (api.SuppressAddressResponseObject, error) {
	err := h.deps.Book.Suppress(ctx, string(r.Body.Type), r.Body.Address, reach.Manual, reach.Cause{At: h.deps.Clock().UnixMicro(), Detail: r.Body.Note})
	if err != nil {
		return nil, told(err)
	}
	h.deps.Audit(ctx, "suppress", string(r.Body.Type)+" address", r.Body.Note)
	out, err := h.found(ctx, r.Body.Type, r.Body.Address)
	return api.SuppressAddress200JSONResponse(out), err
}

// UnsuppressAddress takes back what was done by hand.
func (h *Reaching) UnsuppressAddress(ctx context.Context, r api.UnsuppressAddressRequestObject) (api.UnsuppressAddressResponseObject, error) {
	found, err := h.deps.Book.Unsuppress(ctx, string(r.Body.Type), r.Body.Address)
	if err != nil {
		return nil, told(err)
	}
	if !found {
		return nil, api.Fail(http.StatusNotFound, "not_found", "the address was not suppressed by hand",
			"other reasons end by what the owner of the address does; a hard bounce never")
	}
	h.deps.Audit(ctx, "unsuppress", string(r.Body.Type)+" address", "")
	out, err := h.found(ctx, r.Body.Type, r.Body.Address)
	return api.UnsuppressAddress200JSONResponse(out), err
}

// CountSuppressions counts suppressed addresses.
func (h *Reaching) CountSuppressions(ctx context.Context, _ api.CountSuppressionsRequestObject) (api.CountSuppressionsResponseObject, error) {
	counts, err := h.deps.Book.Counts(ctx)
	if err != nil {
		return nil, err
	}
	out := api.CountSuppressions200JSONResponse{Counts: make([]api.SuppressionCount, len(counts))}
	for i, c := range counts {
		out.Counts[i] = api.SuppressionCount{Type: c.Type, Reason: string(c.Why), Sentence: sentence(c.Why), Addresses: c.Addresses}
	}
	return out, nil
}

// GetUserReach tells by which channels a user may be written to: what the
// decision would answer now.
func (h *Reaching) GetUserReach(ctx context.Context, r api.GetUserReachRequestObject) (api.GetUserReachResponseObject, error) {
	user, p, err := reach.Whose(ctx, h.deps.Profiles, r.Id)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return nil, api.Fail(http.StatusNotFound, "not_found", "no user has this id", "an event makes a user; it takes a moment")
	}
	out := api.GetUserReach200JSONResponse{User: user, Channels: []api.ChannelReach{}, Statements: []api.ConsentStatement{}}
	for _, e := range p.Consent {
		s := consent.Read(e.Value)
		if e.Value == "null" {
			continue
		}
		out.Statements = append(out.Statements, api.ConsentStatement{
			Key: e.Key, State: api.ConsentStatementState(s.State.String()), Source: s.Source, Wording: s.Wording, At: api.Time(e.At),
		})
	}
	channels := h.deps.Definitions.Current().Channels
	for _, name := range slices.Sorted(maps.Keys(channels)) {
		q := &reach.Question{User: user, Profile: p, Purpose: consent.Marketing, Channel: channels[name]}
		c := api.ChannelReach{Channel: name, Type: channels[name].Type}
		if c.Marketing, err = h.answer(ctx, q); err != nil {
			return nil, err
		}
		if err := h.prove(ctx, q, out.Statements, c.Marketing.Reason); err != nil {
			return nil, err
		}
		q.Purpose = consent.Transactional
		if c.Transactional, err = h.answer(ctx, q); err != nil {
			return nil, err
		}
		list, err := h.deps.Book.Keeps(ctx, q)
		if err != nil {
			return nil, err
		}
		c.Suppressions = shown(list)
		out.Channels = append(out.Channels, c)
	}
	return out, nil
}

// prove adds to the statement about a channel how it was confirmed.
func (h *Reaching) prove(ctx context.Context, q *reach.Question, statements []api.ConsentStatement, reason string) error {
	i := slices.IndexFunc(statements, func(s api.ConsentStatement) bool { return s.Key == q.Channel.Type })
	if i < 0 || statements[i].State == api.ConsentRefused {
		return nil
	}
	c, err := h.deps.Book.Proof(ctx, q)
	if err != nil {
		return err
	}
	s := &statements[i]
	if reason == string(policy.Pending) {
		s.State = api.ConsentPending
	}
	if n := len(c.Asked); n > 0 {
		s.AskedAt = api.Time(c.Asked[n-1].At)
	}
	if c.At != 0 {
		s.ConfirmedAt, s.ConfirmedBy, s.Delivery = api.Time(c.At), c.How, c.Delivery
	}
	return nil
}

func (h *Reaching) answer(ctx context.Context, q *reach.Question) (api.ReachAnswer, error) {
	a, err := h.deps.Book.Ask(ctx, q)
	if err != nil {
		return api.ReachAnswer{}, err
	}
	why := a.Refusal()
	out := api.ReachAnswer{Allowed: why == policy.None, Reason: string(why), Sentence: why.Sentence(), Detail: a.Detail}
	if out.Allowed {
		out.Sentence = "It may be used."
	}
	return out, nil
}
