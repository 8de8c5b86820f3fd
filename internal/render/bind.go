package render

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"time"

	"heed/internal/event"
	"heed/internal/profile"
)

// timeLayout is how times read in templates; the filter date takes it apart.
const timeLayout = "2006-01-02T15:04:05.000Z07:00"

func micros(us int64) any {
	if us == 0 {
		return nil
	}
	return time.UnixMicro(us).UTC().Format(timeLayout)
}

// bind sets the variables that the template names.
func (w *writer) bind(t *Template, in Input) {
	if t.readsRoot(rootEvent) && in.Event != nil {
		w.vars[rootEvent] = eventValue(in.Event)
	}
	if t.readsRoot(rootProfile) {
		w.vars[rootProfile] = profileValue(in.User, in.Profile)
	}
	if collections := t.pulls(); len(collections) > 0 && in.Pull != nil {
		pulled := make(map[string]any, len(collections))
		for _, name := range collections {
			if doc := in.Pull(name); doc != nil {
				pulled[name] = object(doc)
			}
		}
		w.vars[rootPull] = pulled
	}
	w.vars[rootCampaign] = map[string]any{"name": in.Campaign}
	w.vars[rootActivation] = map[string]any{"id": in.Activation, "at": micros(in.At)}
	if in.Confirm != "" {
		w.vars[rootConfirm] = in.Confirm
	}
	if in.Unsubscribe != "" {
		w.vars[rootUnsubscribe] = in.Unsubscribe
	}
}

func eventValue(e *event.Event) map[string]any {
	c := &e.Context
	m := map[string]any{
		"name":       e.Name,
		"type":       e.Type.String(),
		"timestamp":  micros(e.Timestamp),
		"properties": object(e.Properties),
		"traits":     object(e.Traits),
		"source":     e.Source,
		"messageId":  e.MessageID,
	}
	set(m, "userId", e.UserID)
	set(m, "anonymousId", e.AnonymousID)
	set(m, "sessionId", e.SessionID)

	ctx := object(c.Extra)
	page := map[string]any{}
	set(page, "url", c.Page.URL)
	set(page, "path", c.Page.Path)
	set(page, "referrer", c.Page.Referrer)
	set(page, "title", c.Page.Title)
	ctx["page"] = page
	ctx["campaign"] = campaignValue(&c.Campaign)
	set(ctx, "device", c.Device)
	set(ctx, "os", c.OS)
	set(ctx, "browser", c.Browser)
	set(ctx, "screen", c.Screen)
	set(ctx, "locale", c.Locale)
	set(ctx, "timezone", c.Timezone)
	set(ctx, "country", c.Country)
	m["context"] = ctx
	return m
}

func campaignValue(c *event.CampaignContext) map[string]any {
	m := map[string]any{}
	set(m, "source", c.Source)
	set(m, "medium", c.Medium)
	set(m, "name", c.Name)
	set(m, "term", c.Term)
	set(m, "content", c.Content)
	return m
}

func profileValue(user string, p *profile.Profile) map[string]any {
	m := map[string]any{"id": user}
	if p == nil {
		m["traits"] = map[string]any{}
		return m
	}
	m["traits"] = object(p.AppendTraits(nil))
	m["firstSeen"] = micros(p.FirstSeen)
	m["lastSeen"] = micros(p.LastSeen)
	set(m, "userId", p.UserID)
	set(m, "country", p.Country)
	set(m, "locale", p.Locale)
	set(m, "timezone", p.Timezone)
	set(m, "device", p.Device)
	set(m, "os", p.OS)
	set(m, "browser", p.Browser)
	acquisition := map[string]any{"campaign": campaignValue(&p.Acquisition.Campaign)}
	set(acquisition, "referrer", p.Acquisition.Referrer)
	set(acquisition, "month", p.Acquisition.Month)
	m["acquisition"] = acquisition
	last := map[string]any{}
	if t := &p.LastTouch; t.At != 0 {
		set(last, "source", t.Source)
		set(last, "medium", t.Medium)
		set(last, "campaign", t.Campaign)
		last["at"] = micros(t.At)
	}
	m["lastTouch"] = last
	return m
}

func set(m map[string]any, key, value string) {
	if value != "" {
		m[key] = value
	}
}

// object reads a JSON object; what is not one is empty. Events are checked and
// bounded before they get into the log.
func object(raw []byte) map[string]any {
	out := map[string]any{}
	if len(raw) == 0 {
		return out
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var m map[string]any
	if d.Decode(&m) != nil || m == nil {
		return out
	}
	for k, v := range m {
		m[k] = number(v)
	}
	return m
}

// number gives numbers the types that expressions compute with.
func number(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil && n >= math.MinInt && n <= math.MaxInt {
			return int(n)
		}
		f, err := v.Float64()
		if err != nil {
			return nil
		}
		return f
	case map[string]any:
		for k, e := range v {
			v[k] = number(e)
		}
	case []any:
		for i, e := range v {
			v[i] = number(e)
		}
	}
	return v
}
