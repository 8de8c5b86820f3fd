// Package streams owns the part of the admin API on other people's Kafka topics:
// how each stream fares, and samples for drafts of one.
//
// It does not own reading them, nor what a message means (intake/stream).
package streams

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"heed/internal/console/api"
	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/intake/stream"
)

// Deps is what the handlers work with.
type Deps struct {
	Documents   documents.Store
	Definitions interface{ Current() *definition.Set }
	// Draft is a document's spec with secrets as they are used; Audit notes what
	// the caller did.
	Draft  func(ctx context.Context, d definition.Document) (any, error)
	Audit  func(ctx context.Context, what, subject, detail string)
	Logger *slog.Logger
	Clock  func() time.Time
}

// Streams implements a part of api.StrictServerInterface. It may be used
// concurrently.
type Streams struct {
	deps    Deps
	sampled chan struct{} // room for those that are taken
}

// samples are taken at the same time, at most.
const samples = 4

// New makes the handlers.
func New(deps Deps) *Streams { return &Streams{deps, make(chan struct{}, samples)} }

// ListStreams tells how they fare.
func (s *Streams) ListStreams(ctx context.Context, _ api.ListStreamsRequestObject) (api.ListStreamsResponseObject, error) {
	states, err := stream.States(ctx, s.deps.Documents, s.deps.Definitions.Current(), s.deps.Clock())
	return api.ListStreams200JSONResponse{Streams: states}, err
}

// draftName stands for a stream that has no name yet.
const draftName = "draft"

// SampleStream reads some messages of a topic.
func (s *Streams) SampleStream(ctx context.Context, r api.SampleStreamRequestObject) (api.SampleStreamResponseObject, error) {
	name := r.Body.Name
	if name == "" {
		name = draftName
	}
	doc, err := definition.ParseOne(definition.KindStream, name, definition.Compact(r.Body.Spec))
	if err != nil {
		return nil, err
	}
	spec, err := s.deps.Draft(ctx, doc)
	if err != nil {
		return nil, err
	}
	d, ok := spec.(*definition.Stream)
	if !ok {
		return nil, errors.New("a draft of a stream is none")
	}
	select {
	case s.sampled <- struct{}{}:
		defer func() { <-s.sampled }()
	default:
		return nil, api.Fail(http.StatusServiceUnavailable, "unavailable", "other samples are being taken", "try again in a moment")
	}
	s.deps.Audit(ctx, "sample", definition.Ref(definition.KindStream, name), d.Topic)
	n := r.Body.Messages
	if n == 0 {
		n = 10
	}
	sample, err := stream.Sample(ctx, d, min(max(n, 1), 20), s.deps.Clock(), s.deps.Logger)
	if errors.Is(err, stream.ErrUnreachable) {
		return nil, api.Fail(http.StatusUnprocessableEntity, "invalid", err.Error(), "")
	}
	if err != nil {
		return nil, err
	}
	return api.SampleStream200JSONResponse(*sample), nil
}
