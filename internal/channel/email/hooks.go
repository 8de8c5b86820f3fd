package email

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"heed/internal/channel"
	"heed/internal/channel/email/provider"
	"heed/internal/definition"
)

// hookPath is where a channel's provider reports; the channel follows.
const hookPath = "/hooks/email/"

// Bounds of a report.
const (
	maxReport        = 2 << 20 // bytes
	subscribeTimeout = 10 * time.Second
)

// hook takes what a channel's provider reports. It answers once everything is kept:
// what is not is brought again, and told twice it is the same.
func (c *Channel) hook(w http.ResponseWriter, r *http.Request) {
	var def *definition.Channel
	if c.deps.Definitions != nil {
		def = c.deps.Definitions.Current().Channels[r.PathValue("channel")]
	}
	if def == nil || def.Type != Type || def.Feedback == nil {
		http.NotFound(w, r)
		return
	}
	quiet(w)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxReport))
	if err != nil {
		http.Error(w, "the report cannot be read, or is too long", http.StatusRequestEntityTooLarge)
		return
	}
	call, err := provider.Read(def.Feedback, r.Header, body, c.deps.Now())
	switch {
	case errors.Is(err, provider.ErrForbidden):
		if r.Header.Get("Authorization") == "" { // Amazon SNS waits to be asked for it
			w.Header().Set("WWW-Authenticate", `Basic realm="heed"`)
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	case err != nil:
		c.deps.Logger.Warn("a report about e-mails could not be read", "channel", def.Name, "error", err)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if call.Token != "" {
		var same bool
		if same, err = c.used(r.Context(), &call); err == nil && !same {
			c.deps.Logger.Warn("a signature came again with another report: it is refused", "channel", def.Name)
			http.Error(w, "the signature was used for another report", http.StatusForbidden)
			return
		}
	}
	if err == nil && call.Subscribe != "" {
		err = c.subscribe(r.Context(), def, call.Subscribe)
	}
	for i := range call.Reports {
		if err == nil {
			err = c.report(r.Context(), def, &call.Reports[i])
		}
	}
	if err != nil {
		c.deps.Logger.Error("what a provider reported was not kept", "channel", def.Name, "error", err)
		w.Header().Set("Retry-After", "5")
		http.Error(w, "try again later", http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (c *Channel) report(ctx context.Context, def *definition.Channel, r *provider.Report) error {
	if delivery, ok := c.seal.returned(r.Sender); ok {
		r.Delivery = delivery
	}
	return c.deps.Inbound(ctx, channel.Feedback{
		Kind: r.Kind, Hard: r.Hard, Delivery: r.Delivery, Type: Type, Channel: def.Name, Address: r.Address, Detail: r.Detail,
		ID: def.Feedback.From + "/" + r.ID, At: r.At, Reported: r.At != 0,
	})
}

// subscribe tells Amazon SNS that its calls are welcome.
func (c *Channel) subscribe(ctx context.Context, def *definition.Channel, token string) error {
	address, err := provider.SubscribeURL(def.Feedback.Topic, token)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, subscribeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("email: welcome the reports: %w", err)
	}
	resp, err := c.outside.Do(req)
	if err != nil {
		return fmt.Errorf("email: welcome the reports: %w", err)
	}
	_ = resp.Body.Close() // the status says enough
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("email: welcome the reports: the answer was %s", resp.Status)
	}
	c.deps.Logger.Info("a provider reports about e-mails from now on", "channel", def.Name)
	return nil
}
