// Package analysis owns the part of the admin API that answers what users did:
// measures and who is behind their marks, SQL, traits, dimensions and audiences.
//
// It does not own what a measure means (measure), who answers it (analytics) or
// who may ask (console).
package analysis

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"time"

	"heed/internal/console/api"
	"heed/internal/definition"
	"heed/internal/facts"
	"heed/internal/measure"
)

// Facts answers SQL over the events kept for analysis.
type Facts interface {
	SQL(ctx context.Context, text string, o facts.Options) (facts.Rows, error)
	Parquet(ctx context.Context, text string, o facts.Options) (*os.File, error)
	ParquetOf(ctx context.Context, head []measure.Column, rows [][]any) (*os.File, error)
}

// Measures resolves a query and answers it at a time (µs since the Unix epoch).
type Measures interface {
	Answer(ctx context.Context, q *measure.Query, names measure.Names, now int64) (measure.Result, error)
}

// Traits tells what traits users have; ok is false while that is not known.
type Traits interface {
	Traits() (list api.KnownTraits, ok bool)
}

// Audiences tells who is in what audience. What does not exist is nil without
// an error.
type Audiences interface {
	Audiences(ctx context.Context) ([]api.Audience, error)
	Audience(ctx context.Context, name string) (*api.Audience, error)
	Changes(ctx context.Context, name string, limit int) ([]api.AudienceChange, error)
	// Names looks names up for one query, those of frozen audiences too.
	Names(ctx context.Context) measure.Names
	// Preview answers a query for users that nobody has saved.
	Preview(ctx context.Context, q *measure.Query) (api.AudiencePreview, error)
	// Begin has an audience that is about to be defined, by one of the definitions,
	// begin with users who do not enter it: whoever else is in it then does.
	Begin(ctx context.Context, name string, defs []*definition.Audience, users []string) error
}

// Alerts tells what is out of the ordinary.
type Alerts interface {
	Alerts(ctx context.Context) (api.AlertList, error)
}

// Deps are what the handlers work with. Facts, Measures, Traits, Audiences, Alerts
// and Fields may be nil: the answers then say what is missing.
type Deps struct {
	Definitions interface{ Current() *definition.Set }
	Facts       Facts
	Measures    Measures
	Traits      Traits
	Audiences   Audiences
	Alerts      Alerts
	// Fields lists what events of a name carried.
	Fields func(name string) []api.EventField
	// Summary is what is known of a user; of one without a profile, the id.
	Summary func(ctx context.Context, user string) (api.UserSummary, error)
	Logger  *slog.Logger
	Clock   func() time.Time
}

// Handlers implements a part of api.StrictServerInterface, and what streams or
// reads bodies of its own shape beside it. Its methods may be called
// concurrently.
type Handlers struct{ deps Deps }

// New makes the handlers.
func New(deps Deps) *Handlers { return &Handlers{deps} }

// Names is what queries may refer to: frozen audiences have members if somebody
// keeps them.
func (h *Handlers) Names(ctx context.Context) measure.Names {
	if h.deps.Audiences != nil {
		return h.deps.Audiences.Names(ctx)
	}
	return h.deps.Definitions.Current()
}

// Refusal says what the caller is told.
func Refusal(err error) error {
	var wrong *measure.Error
	switch {
	case errors.As(err, &wrong):
		return api.BadRequest(wrong.Error(), "docs/measures.md shows each measure by example")
	case errors.Is(err, measure.ErrBuckets):
		return api.BadRequest(err.Error(), "")
	case errors.Is(err, facts.ErrUnsupported):
		return api.Fail(http.StatusUnprocessableEntity, "unsupported", err.Error(), "docs/measures.md says who answers what")
	case errors.Is(err, facts.ErrLoading):
		return api.Fail(http.StatusServiceUnavailable, "unavailable", err.Error(), "try again in a moment")
	case errors.Is(err, facts.ErrFull):
		return full(err)
	case errors.Is(err, facts.ErrBusy):
		return api.Fail(http.StatusTooManyRequests, "throttled", err.Error(), "try again in a moment")
	case errors.Is(err, facts.ErrTimeout), errors.Is(err, facts.ErrTooBig):
		return api.Fail(http.StatusUnprocessableEntity, "too_large", err.Error(), "ask for a shorter range, fewer steps or fewer dimensions")
	}
	return err
}

// full says that there is no room for the file of an answer.
func full(err error) *api.Refusal {
	return api.Fail(http.StatusServiceUnavailable, "unavailable", "no file can be made of the answer: "+err.Error(), "JSON and CSV need no room on the disk; free some for Parquet")
}
