package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"

	"heed/internal/definition"
	"heed/internal/pull"
)

// Pull is the pull store; *pull.Store is.
type Pull interface {
	Get(ctx context.Context, collection, key string) (pull.Document, error)
	Put(ctx context.Context, c *definition.Collection, key string, fields []byte) (pull.Document, error)
	Delete(ctx context.Context, collection, key string) error
}

// servePull reads, replaces or removes a document of the pull store. It is for
// servers: what lies there is about people, and decides what they get.
func (g *Gateway) servePull(w http.ResponseWriter, r *http.Request) {
	c, _ := g.keys().identify(r)
	switch {
	case c == nil:
		g.refuse(w, http.StatusUnauthorized, "give a source's server key: Authorization: Bearer KEY")
		return
	case !c.server:
		g.refuse(w, http.StatusForbidden, "the pull store takes a server key; a write key is public")
		return
	}
	collection := g.deps.Definitions.Current().Collections[r.PathValue("collection")]
	if collection == nil {
		g.refuse(w, http.StatusNotFound, "there is no such collection; define it first")
		return
	}
	key := r.PathValue("key")
	switch r.Method {
	case http.MethodGet:
		d, err := g.deps.Pull.Get(r.Context(), collection.Name, key)
		if err != nil {
			g.refusePull(w, err)
			return
		}
		h := w.Header()
		pullTimes(h, d)
		h["Content-Type"] = contentJSON
		h.Set("Cache-Control", "private, no-cache")
		_, _ = w.Write(d.Fields) // the caller has gone
	case http.MethodPut:
		fields, err := io.ReadAll(http.MaxBytesReader(w, r.Body, pull.MaxBytes+1))
		if err != nil {
			g.refusePull(w, err)
			return
		}
		d, err := g.deps.Pull.Put(r.Context(), collection, key, fields)
		if err != nil {
			g.refusePull(w, err)
			return
		}
		pullTimes(w.Header(), d)
		w.WriteHeader(http.StatusNoContent)
	case http.MethodDelete:
		if err := g.deps.Pull.Delete(r.Context(), collection.Name, key); err != nil {
			g.refusePull(w, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Allow", "GET, PUT, DELETE")
		g.refuse(w, http.StatusMethodNotAllowed, "use GET, PUT or DELETE")
	}
}

// pullTimes says when a document was written, and when it expires.
func pullTimes(h http.Header, d pull.Document) {
	if !d.Written.IsZero() {
		h.Set("Last-Modified", d.Written.UTC().Format(http.TimeFormat))
	}
	if !d.Expires.IsZero() {
		h.Set("Expires", d.Expires.UTC().Format(http.TimeFormat))
	}
}

func (g *Gateway) refusePull(w http.ResponseWriter, err error) {
	var bad *pull.InvalidError
	var large *http.MaxBytesError
	switch {
	case errors.Is(err, pull.ErrNotFound):
		g.refuse(w, http.StatusNotFound, "there is no such document")
	case errors.As(err, &bad):
		g.refuse(w, http.StatusBadRequest, bad.Message)
	case errors.As(err, &large):
		g.refuse(w, http.StatusRequestEntityTooLarge, "the document is too large")
	default:
		g.log.Error("the pull store failed", "error", err)
		w.Header().Set("Retry-After", "1")
		g.refuse(w, http.StatusServiceUnavailable, "the pull store cannot answer now")
	}
}
