package explain

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"heed/internal/console/api"
	"heed/internal/definition"
	"heed/internal/event"
	"heed/internal/policy"
)

// followed tells whether a status says what became of something that was sent.
func followed(s api.DeliveryStatus) bool {
	return s != api.StatusSent && s != api.StatusFailed && s != api.StatusHeld && s != api.StatusRefused
}

// detailOf is what an outcome says beside its reason: the provider's words, or
// the mistake in the template.
func detailOf(e *event.Event) string {
	var p struct {
		Detail string `json:"detail"`
	}
	if json.Unmarshal(e.Properties, &p) != nil {
		return ""
	}
	return p.Detail
}

// text is an outcome in a sentence.
func (o *outcome) text() string {
	at := clock(o.At)
	test := ""
	if o.Test {
		test = "As a test: "
	}
	by := ""
	if o.Channel != "" {
		by = " by " + o.Channel
	}
	switch {
	case o.Status == api.StatusSent:
		return fmt.Sprintf("%sSent%s on %s.", test, by, at)
	case !followed(o.Status):
		verb := map[api.DeliveryStatus]string{api.StatusFailed: "Failed", api.StatusHeld: "Held", api.StatusRefused: "Refused"}[o.Status]
		return fmt.Sprintf("%s%s%s on %s: %s", test, verb, by, at, because(policy.Reason(o.Reason).Sentence(), o.detail))
	}
	return fmt.Sprintf("%s%s on %s.", test, strings.ToUpper(string(o.Status[:1]))+string(o.Status[1:]), at)
}

// lower is a sentence as a part of another one.
func lower(sentence string) string { return strings.ToLower(sentence[:1]) + sentence[1:] }

// because is a reason with its detail, ending in a full stop.
func because(sentence, detail string) string {
	if detail == "" {
		return sentence
	}
	return strings.TrimSuffix(sentence, ".") + " (" + strings.TrimSuffix(detail, ".") + ")."
}

// text is what waits in a sentence.
func (w *Waiting) text() string {
	at := clock(api.Time(w.At))
	switch {
	case w.Why == policy.Stopped || w.Why == policy.Paused:
		return fmt.Sprintf("Waiting since %s: %s", at, lower(w.Why.Sentence()))
	case w.Why == policy.Delay || w.Why == policy.QuietHours:
		return fmt.Sprintf("Waiting since %s, until %s: %s", at, clock(api.Time(w.Due)), lower(w.Why.Sentence()))
	case w.Why == policy.Channel:
		return fmt.Sprintf("Waiting since %s, to be tried on %s: %s", at, clock(api.Time(w.Due)), lower(because(w.Why.Sentence(), w.Detail)))
	case w.Attempts == 0 && w.Detail == "":
		return fmt.Sprintf("Under way since %s; looked after again on %s.", at, clock(api.Time(w.Due)))
	case w.Detail == "":
		return fmt.Sprintf("Under way since %s, with attempt %d.", at, w.Attempts)
	}
	return fmt.Sprintf("Waiting since %s, to be tried again on %s after %d attempts: %s.", at, clock(api.Time(w.Due)), w.Attempts, strings.TrimSuffix(w.Detail, "."))
}

// prospect says what would be decided now.
func prospect(def *definition.Campaign, p *Prospect) api.CampaignProspect {
	out := api.CampaignProspect{Send: p.Reason == policy.None && p.Wait == "", Reason: string(p.Reason), Template: p.Template, Channel: p.Channel}
	switch {
	case out.Send:
		with := "its usual document"
		if p.Template != "" {
			with = "template " + p.Template
		}
		out.Text = fmt.Sprintf("Decided just now, it would be sent by %s, with %s.", p.Channel, with)
	case p.Wait != "":
		out.Text = "Decided just now, it would wait: " + p.Wait.Sentence()
	case p.Reason == policy.NotLive:
		out.Text = fmt.Sprintf("Decided just now, it would be refused: the campaign is not live (%s).", cmp.Or(string(def.Status), "gone"))
	default:
		out.Text = "Decided just now, it would be refused: " + because(p.Reason.Sentence(), p.Detail)
	}
	return out
}
