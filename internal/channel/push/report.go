package push

import (
	"net/http"

	"heed/internal/channel"
)

// maxID bounds a delivery's id from outside, in bytes.
const maxID = 64

// Register implements channel.Receiver: service workers say that a notification
// was shown or clicked. The id is the proof: nobody but the device that got the
// message knows it. They have no use for an answer, and get none beyond the
// status.
func (c *Channel) Register(mux *http.ServeMux) {
	mux.HandleFunc("POST /v1/push/messages/{id}/{state}", c.serveReport)
}

func (c *Channel) serveReport(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Cache-Control", "no-store")
	kinds := map[string]channel.FeedbackKind{"shown": channel.Shown, "clicked": channel.Clicked}
	id, kind := r.PathValue("id"), kinds[r.PathValue("state")]
	if kind == "" || len(id) > maxID {
		http.Error(w, "a notification can be shown or clicked", http.StatusNotFound)
		return
	}
	err := c.deps.Inbound(r.Context(), channel.Feedback{
		Kind: kind, Delivery: id, Type: Type, ID: id + "." + string(kind), At: c.deps.Now().UnixMicro(),
	})
	if err != nil {
		c.deps.Logger.Warn("a report of a notification could not be kept", "error", err)
		w.Header().Set("Retry-After", "1")
		http.Error(w, "it could not be kept", http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
