package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/inbox"
)

// serveAdvance moves a message's state on: POST /v1/messages/{id}/{state}. The
// id is the proof: nobody but the page that got the message knows it.
func (g *Gateway) serveAdvance(w http.ResponseWriter, r *http.Request) {
	c := g.reader(w, r, http.MethodPost)
	if c == nil {
		return
	}
	var state inbox.State
	var name string
	switch r.PathValue("state") {
	case "shown":
		state, name = inbox.Shown, event.NameShown
	case "clicked":
		state, name = inbox.Clicked, event.NameClicked
	case "dismissed":
		state, name = inbox.Dismissed, event.NameDismissed
	default:
		g.refuse(w, http.StatusNotFound, "a message can be shown, clicked or dismissed")
		return
	}
	id := r.PathValue("id")
	if len(id) > inbox.MaxIDBytes {
		g.refuse(w, http.StatusNotFound, "no such message")
		return
	}
	m, _, err := g.deps.Inbox.Advance(r.Context(), id, state)
	if errors.Is(err, inbox.ErrUnknown) {
		g.refuse(w, http.StatusNotFound, "no such message")
		return
	}
	if err != nil {
		g.unavailable(w, r, err)
		return
	}
	// Also where nothing changed: the event of the first call may have been
	// lost behind it, and the log drops it if it is there.
	if m.State == state {
		if err := g.appendOutcome(r.Context(), &m, name); err != nil {
			g.unavailable(w, r, err)
			return
		}
	}
	w.Header()["Cache-Control"] = noStore
	w.WriteHeader(http.StatusNoContent)
}

// appendOutcome appends what follows from a message's new state.
func (g *Gateway) appendOutcome(ctx context.Context, m *inbox.Message, name string) error {
	properties, err := json.Marshal(struct {
		Delivery string `json:"delivery"`
		Campaign string `json:"campaign"`
		Template string `json:"template,omitempty"`
		Channel  string `json:"channel"`
		Kind     string `json:"kind,omitempty"`
		Test     bool   `json:"test,omitempty"`
	}{m.ID, m.Campaign, m.Template, "web", m.Kind, m.Test})
	if err != nil { // of strings and a boolean: cannot happen
		return err
	}
	now := g.clock().UnixMicro()
	e := event.Event{
		MessageID: m.ID + "." + strings.TrimPrefix(name, event.ReservedPrefix), Type: event.Track, Name: name,
		Timestamp: now, ReceivedAt: now, Source: event.SourceHeed, Depth: m.Depth, Properties: properties,
	}
	if g.known(ctx, m.User) {
		e.UserID = m.User
	} else {
		e.AnonymousID = m.User
	}
	data := event.AppendEvent(nil, &e)
	return g.deps.Log.Append(ctx, eventlog.Events, []*eventlog.Batch{{
		Partition: eventlog.PartitionOf(m.User, g.partitions), Data: data, Ends: []int{len(data)},
		Keys: []eventlog.Key{event.KeyOf(e.Source, e.MessageID)},
	}})
}
