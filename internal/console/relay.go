package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"heed/internal/console/api"
	"heed/internal/peer"
)

// The roles that answer for others. Demo stands for the demo shop.
const (
	roleAnalytics = "analytics"
	roleEngager   = "engager"
	roleDemo      = "demo"
)

// need says which role it takes to answer a request.
type need struct {
	operation string // as in required
	role      string
	// unless: without a process of that role, each answers what it can itself.
	unless bool
	// only: the requests that need it; nil: all.
	only func(r *http.Request) bool
}

// needs are the requests that only a process with a role can answer, by pattern.
// All others, each process answers: from what all of them share, or by asking for
// a part of the answer.
func needs() map[string]need {
	out := map[string]need{
		"GET /api/v1/home":          {"GetHome", roleAnalytics, true, nil},
		"GET /api/v1/event-names":   {"ListEventNames", roleAnalytics, true, nil},
		"GET /api/v1/event-fields":  {"ListEventFields", roleAnalytics, true, nil},
		"GET /api/v1/traits":        {"ListTraits", roleAnalytics, true, nil},
		"POST /api/v1/demo/crowd":   {"PostCrowd", roleDemo, true, nil},
		"POST /api/v1/demo/sample":  {"PostSample", roleDemo, true, nil},
		"GET /api/v1/events:export": {"exportEvents", roleAnalytics, false, func(r *http.Request) bool { return r.URL.Query().Get("format") == "parquet" }},
	}
	for role, patterns := range map[string]map[string]string{
		roleAnalytics: {
			"GET /api/v1/live":                    "streamLive",
			"POST /api/v1/sql":                    "runSQL",
			"POST /api/v1/measures:query":         "queryMeasure",
			"POST /api/v1/measures:users":         "listMeasureUsers",
			"POST /api/v1/audiences:preview":      "previewAudience",
			"GET /api/v1/alerts":                  "ListAlerts",
			"GET /api/v1/campaigns/{name}/report": "GetCampaignReport",
		},
		roleEngager: {
			"GET /api/v1/users/{id}/campaigns":        "ExplainCampaigns",
			"GET /api/v1/users/{id}/campaigns/{name}": "ExplainCampaign",
			"POST /api/v1/templates:preview":          "PreviewTemplate",
			"GET /api/v1/campaigns/{name}/include":    "GetIncluded",
			"POST /api/v1/campaigns/{name}/include":   "PostInclude",
			"GET /api/v1/schedules":                   "ListSchedules",
			"GET /api/v1/sending":                     "GetSending",
			"PUT /api/v1/sending":                     "PutSending",
			"POST /api/v1/sends:review":               "ReviewSend",
			"POST /api/v1/sends":                      "PostSend",
			"POST /api/v1/trials":                     "PostTrial",
			"GET /api/v1/trials/{id}":                 "GetTrial",
		},
	} {
		for pattern, operation := range patterns {
			out[pattern] = need{operation: operation, role: role}
		}
	}
	return out
}

// behalf is what a process says about whom it asks for.
type behalf struct {
	Kind  api.MeKind `json:"kind"`
	Who   string     `json:"who"`
	Email string     `json:"email,omitempty"`
	Name  string     `json:"name,omitempty"`
	Role  api.Role   `json:"role"`
	From  netip.Addr `json:"from"`
	Host  string     `json:"host"` // that the browser called
	HTTPS bool       `json:"https,omitempty"`
}

// heard takes over what another process says about a request; false: it is nobody's
// of the installation.
func (c *Console) heard(r *http.Request, a *asked) (*http.Request, bool, error) {
	if c.deps.Peers == nil {
		return r, false, nil
	}
	said, err := c.deps.Peers.Heard(r)
	if errors.Is(err, peer.ErrNotTrusted) {
		err = api.Fail(http.StatusUnauthorized, "not_signed_in", err.Error(), "")
	}
	if err != nil || said == nil {
		return r, false, err
	}
	a.relayed = true
	a.caller = &caller{kind: api.MeToken, who: "heed", name: "heed", role: api.RoleAdmin}
	if said.For != nil {
		var b behalf
		if err := json.Unmarshal(said.For, &b); err != nil {
			return r, false, fmt.Errorf("for whom another process asks: %w", err)
		}
		a.caller = &caller{kind: b.Kind, who: b.Who, email: b.Email, name: b.Name, role: b.Role}
		a.address, r.Host, a.https, a.local = b.From, b.Host, b.HTTPS, isLoopbackHost(b.Host)
	}
	if said.Own {
		r = r.WithContext(peer.WithOwn(r.Context()))
	}
	return r, true, nil
}

// elsewhere has a request answered by another process if this one cannot; false: it
// can, or nobody can better.
func (c *Console) elsewhere(w http.ResponseWriter, r *http.Request, a *asked, pattern string) bool {
	n, needed := c.needs[pattern]
	if !needed || c.deps.Peers == nil || a.relayed || c.deps.Peers.Here(n.role) || n.only != nil && !n.only(r) {
		return false
	}
	err := permit(a, n.operation)
	if err == nil {
		if n.unless && len(c.deps.Peers.Others(n.role)) == 0 {
			return false
		}
		if err = c.relay(w, r, a, n.role); err != nil && n.unless && r.Method == http.MethodGet {
			return false
		}
	}
	if err != nil {
		c.fail(w, r, err)
	}
	return true
}

// relay has a process with the role answer. On an error nothing was answered yet.
func (c *Console) relay(w http.ResponseWriter, r *http.Request, a *asked, role string) error {
	by := a.caller
	who, err := json.Marshal(behalf{by.kind, by.who, by.email, by.name, by.role, a.address, r.Host, a.https})
	if err != nil {
		return fmt.Errorf("ask another process: %w", err)
	}
	ctx, rc, stop := c.streaming(w, r)
	defer stop()
	err = c.deps.Peers.Forward(&timedResponse{w, &timedWriter{w, rc}}, r.WithContext(ctx), role, who)
	if err == nil || r.Context().Err() != nil {
		return err
	}
	return c.unanswered(role, err)
}

// unanswered says what is missing.
func (c *Console) unanswered(role string, err error) error {
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return err
	}
	if _, ok := errors.AsType[*peer.NobodyError](err); ok {
		return api.Fail(http.StatusServiceUnavailable, "unavailable", err.Error(), "start one: heed run --roles "+role+", with the configuration of this one")
	}
	c.log.Warn("another process does not answer", "role", role, "error", err)
	f := api.Fail(http.StatusServiceUnavailable, "unavailable", "the process with the role "+role+" does not answer", "see whether it runs, and whether this one reaches it at the address it advertises")
	f.RetryAfter = time.Second
	return f
}

// timedResponse gives each write its deadline, so that a reader who has gone holds
// nothing.
type timedResponse struct {
	http.ResponseWriter

	timed *timedWriter
}

func (t *timedResponse) Write(b []byte) (int, error) { return t.timed.Write(b) }
func (t *timedResponse) Unwrap() http.ResponseWriter { return t.ResponseWriter }
