package app

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"heed/internal/console/api"
	"heed/internal/decider"
	"heed/internal/definition"
	"heed/internal/trigger"
)

func (p progress) Explain(ctx context.Context, user string) ([]api.UserTrigger, error) {
	known, err := p.decider.Explain(ctx, user)
	if err != nil {
		return nil, err
	}
	set := p.definitions.Current()
	out := []api.UserTrigger{}
	for _, t := range known.Triggers {
		if set.AllTriggers()[t.Trigger] == nil {
			continue
		}
		out = append(out, userTriggers(set, &t)...)
	}
	return out, nil
}

// userTriggers are the rows of a trigger; one without a step if there is none.
func userTriggers(set *definition.Set, t *decider.TriggerExplanation) []api.UserTrigger {
	labels := stepLabels(set, t.Trigger)
	rows := t.Rows
	if len(rows) == 0 {
		rows = []trigger.Progress{{Steps: len(labels)}}
	}
	until, _ := blocked(t)
	var out []api.UserTrigger
	for _, r := range rows {
		u := api.UserTrigger{
			Trigger: t.Trigger, Key: r.Key, Step: r.Done, Of: r.Steps, Since: api.Time(r.Since), WaitsFor: r.EndedBy,
			Label: "nothing yet", Firings: t.Firings, LastFired: lastFired(t), FiresAt: api.Time(r.FiresAt), BlockedUntil: until,
		}
		if r.Done > 0 {
			u.Label = label(labels, r.Done-1)
		}
		if r.Previous {
			u.Label = fmt.Sprintf("%d of %d steps, begun before the trigger was edited", r.Done, r.Steps)
		}
		if r.FiresAt == 0 {
			u.Expires = api.Time(r.Expires)
			for _, w := range r.Waits {
				if !slices.Contains(u.WaitsFor, w.Event) {
					u.WaitsFor = append(u.WaitsFor, w.Event)
				}
			}
		}
		if len(u.WaitsFor) > 0 {
			u.Label += ", waits for " + strings.Join(u.WaitsFor, " or ")
		}
		out = append(out, u)
	}
	return out
}

// blocked tells until when the trigger cannot fire, and what keeps it from it.
func blocked(t *decider.TriggerExplanation) (time.Time, api.TriggerExplanationBlockedBy) {
	switch {
	case t.Never:
		return time.Time{}, api.BlockedOnce
	case t.FreeAt != 0:
		return api.Time(t.FreeAt), api.BlockedCooldown
	case t.LimitFreeAt != 0:
		return api.Time(t.LimitFreeAt), api.BlockedLimit
	}
	return time.Time{}, ""
}

func lastFired(t *decider.TriggerExplanation) time.Time {
	var last int64
	for _, n := range t.Notes {
		if n.FireID != "" {
			last = max(last, n.At)
		}
	}
	return api.Time(last)
}

// ExplainTrigger tells everything about one user and one trigger.
func (p progress) ExplainTrigger(ctx context.Context, user, name string) (api.TriggerExplanation, error) {
	who, err := p.decider.Profile(ctx, user)
	if err != nil {
		return api.TriggerExplanation{}, err
	}
	asked := user
	if who != nil && who.Moved.To != "" {
		user = who.Moved.To
	}
	known, err := p.decider.Explain(ctx, user)
	if err != nil {
		return api.TriggerExplanation{}, err
	}
	x := explanation(p.definitions.Current(), user, known.LogTime, known.Trigger(name))
	if asked != user {
		x.Text = append([]string{fmt.Sprintf("%s is %s since %s.", asked, user, api.Time(who.Moved.At).Format(time.DateTime))}, x.Text...)
	}
	return x, nil
}

func explanation(set *definition.Set, user string, asOf int64, t decider.TriggerExplanation) api.TriggerExplanation {
	d := set.AllTriggers()[t.Trigger]
	out := api.TriggerExplanation{
		User: user, Trigger: t.Trigger, AsOf: api.Time(asOf), InForce: d != nil, Firings: t.Firings,
		Steps: stepLabels(set, t.Trigger), Rows: []api.UserTrigger{}, Notes: []api.TriggerNote{},
	}
	out.BlockedUntil, out.BlockedBy = blocked(&t)
	if out.Steps == nil {
		out.Steps = []string{}
	}
	if d != nil && len(t.Rows) > 0 {
		out.Rows = userTriggers(set, &t)
	}
	for _, n := range t.Notes {
		out.Notes = append(out.Notes, api.TriggerNote{
			At: api.Time(n.At), Outcome: api.TriggerOutcome(n.Outcome), Key: n.Key, FireId: n.FireID,
			Event: n.Event, MessageId: n.MessageID, Count: n.Count, Text: noteText(d, &n),
		})
	}
	out.Text = sentences(&out)
	return out
}

// sentences are the explanation in words.
func sentences(x *api.TriggerExplanation) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if !x.InForce {
		say("No trigger %s is in force.", x.Trigger)
	} else if len(x.Rows) == 0 && x.BlockedBy == "" {
		say("No step is done: it waits for %s.", firstStep(x.Steps))
	}
	for _, r := range x.Rows {
		text := ""
		if r.Key != "" {
			text = "For " + r.Key + ": "
		}
		text += fmt.Sprintf("%d of %d steps done since %s", r.Step, r.Of, clockTime(r.Since))
		waits := strings.Join(r.WaitsFor, " or ")
		switch {
		case !r.FiresAt.IsZero() && waits != "":
			text += fmt.Sprintf("; fires at %s unless %s comes first", clockTime(r.FiresAt), waits)
		case !r.FiresAt.IsZero():
			text += "; fires at " + clockTime(r.FiresAt)
		case !r.Expires.IsZero():
			text += fmt.Sprintf("; waits for %s until %s", waits, clockTime(r.Expires))
		default:
			text += "; waits for " + waits
		}
		say("%s.", text)
	}
	switch x.BlockedBy {
	case api.BlockedOnce:
		say("It has fired, and fires once only.")
	case api.BlockedCooldown:
		say("It has fired, and cools down until %s.", clockTime(x.BlockedUntil))
	case api.BlockedLimit:
		say("Its limit is reached until %s.", clockTime(x.BlockedUntil))
	}
	switch {
	case len(x.Notes) == 0:
		say("It has not fired for this user, and no chance is known that it was refused.")
	case x.Firings == 0:
		say("It has not fired for this user, as far as is remembered.")
	}
	for _, n := range x.Notes {
		say("%s", n.Text)
	}
	return out
}

func firstStep(steps []string) string {
	if len(steps) == 0 {
		return "its first event"
	}
	return steps[0]
}

// clockTime writes a time for people.
func clockTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// noteText is a note as a sentence.
func noteText(d *trigger.Definition, n *decider.Note) string {
	at := clockTime(time.UnixMicro(n.At))
	event := cmp.Or(n.Event, "an event")
	if n.MessageID != "" {
		event += " (" + n.MessageID + ")"
	}
	text := "Did not fire at " + at
	if n.Key != "" {
		text += " for " + n.Key
	}
	switch trigger.ReasonOf(n.Outcome) {
	case 0:
		text = "Fired at " + at
		if n.Key != "" {
			text += " for " + n.Key
		}
		if n.Event != "" {
			text += " when " + event + " came"
		} else {
			text += " when its time was up"
		}
		text += ", fire id " + n.FireID
	case trigger.Limited:
		text += ": its limit was reached"
		if d != nil && d.Limit != nil {
			text += fmt.Sprintf(" (%d in %s)", d.Limit.Count, d.Limit.Per)
		}
	case trigger.Outside:
		text += ": the user was not in the audience"
		if d != nil && d.Audience != "" {
			text += " " + d.Audience
		}
	case trigger.Overdue:
		text += ": the timer was found overdue by more than max_stale, after an outage"
	case trigger.Canceled:
		text += ": " + event + " came before the answer was due"
	case trigger.TooOld:
		text += ": " + event + " was received later than max_age after it happened"
	case trigger.Historical:
		text += ": " + event + " is marked as historical, which never fires live"
	case trigger.TooDeep:
		text += ": " + event + " is derived from other firings too deeply"
	case trigger.Expired:
		text += ": the window passed before the pattern was complete"
	default:
		text += ": " + n.Outcome
	}
	if n.Count > 1 {
		text += fmt.Sprintf(" (%s time)", ordinal(n.Count))
	}
	return text + "."
}

func ordinal(n int64) string {
	suffix := "th"
	if teens := n % 100; teens < 11 || teens > 13 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return fmt.Sprintf("%d%s", n, suffix)
}
