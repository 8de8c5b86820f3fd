package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strings"

	"heed/internal/channel/outbox"
	"heed/internal/condition"
	"heed/internal/console/api"
	"heed/internal/definition"
	"heed/internal/eventlog"
	"heed/internal/profile"
	"heed/internal/userstate"
)

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// GetHome answers with the checklist, the figures and what to paste.
func (s *server) GetHome(ctx context.Context, _ api.GetHomeRequestObject) (api.GetHomeResponseObject, error) {
	c := s.c
	set := c.deps.Definitions.Current()
	lastAt, err := c.newest(ctx)
	if err != nil {
		return nil, err
	}
	demo := c.demo()
	out := api.GetHome200JSONResponse{AsOf: c.now().UTC(), Demo: demo.Enabled, Tour: demo.Tour}
	out.Figures = api.HomeFigures{Newest: api.Time(lastAt), ActiveUsersWindowSeconds: 300}
	if c.deps.Live != nil {
		stats := c.deps.Live.Stats()
		out.Figures.EventsPerSecond, out.Figures.ActiveUsers, out.Figures.Failures = stats.EventsPerSecond, stats.ActiveUsers, stats.Failures
	}
	for _, k := range set.Campaigns {
		// what was sent once is over, though its receipts still count
		if k.Status == definition.Live && k.When.Once == "" {
			out.Figures.LiveCampaigns++
		}
	}
	if out.Checklist, err = c.checklist(ctx, set, lastAt); err != nil {
		return nil, err
	}
	collector := ""
	if c.deps.Collector != nil {
		collector = c.deps.Collector()
	}
	out.Source = sourceOf(set, askedOf(ctx), collector)
	return out, nil
}

// newest is when the newest record came into the log (µs).
func (c *Console) newest(ctx context.Context) (lastAt int64, err error) {
	for _, p := range c.allPartitions() {
		b, err := c.deps.Log.Bounds(ctx, eventlog.Events, p)
		if err != nil {
			return 0, fmt.Errorf("read the log: %w", err)
		}
		lastAt = max(lastAt, b.Time)
	}
	return lastAt, nil
}

// checklist tells for each step whether it is done, and by what that shows.
func (c *Console) checklist(ctx context.Context, set *definition.Set, lastAt int64) ([]api.HomeStep, error) {
	step := func(id api.HomeStepId, href string, done bool, yes, no string) api.HomeStep {
		if done {
			return api.HomeStep{Id: id, Done: true, Evidence: yes, Href: href}
		}
		return api.HomeStep{Id: id, Evidence: no, Href: href}
	}
	// The log also holds control records: a client's event shows by what was counted or by a user.
	user, err := c.someUser(ctx)
	if err != nil {
		return nil, err
	}
	received := user != ""
	latest := ""
	if c.deps.Live != nil {
		for _, n := range c.deps.Live.Names() {
			if !strings.HasPrefix(n.Name, "heed.") {
				received, latest = true, n.Name
				break
			}
		}
	}
	evidence := fmt.Sprintf("The newest came at %s.", api.Time(lastAt).Format("2006-01-02 15:04:05 MST"))
	if latest != "" {
		evidence = "The most frequent event is " + latest + "."
	}
	tests, sent, err := c.messages(ctx)
	if err != nil {
		return nil, err
	}
	live := ""
	for _, name := range sorted(set.Campaigns) {
		if set.Campaigns[name].Status == definition.Live {
			live = name
			break
		}
	}
	audience := ""
	if names := sorted(set.Audiences); len(names) > 0 {
		audience = names[0]
	}
	connected := "The outbox is there: it catches what would be sent, so no provider is needed yet."
	if names := sorted(set.Channels); len(names) > 0 {
		connected = "Configured: " + strings.Join(names, ", ") + "."
	}
	return []api.HomeStep{
		step(api.SendEvent, "/data/events", received, evidence, "No event has come yet: paste the snippet into a page, or run the command."),
		step(api.SeeUser, "/users", user != "", "The first one is "+cut(user, 64)+".", "0 users: they appear with the first event."),
		step(api.BuildAudience, "/audiences", audience != "", "There is "+audience+".", "No audience is defined yet. A campaign without one goes to everybody."),
		step(api.ConnectChannel, "/settings?tab=channels", true, connected, ""),
		step(api.Test, "/campaigns", tests || sent, "A message has been sent.", "Nothing was sent yet: start a campaign's trigger, or test it on yourself."),
		step(api.Launch, "/campaigns", live != "", "Live: "+live+".", "No campaign is live."),
	}, nil
}

// someUser is the id of any user, "" if there is none.
func (c *Console) someUser(ctx context.Context) (string, error) {
	for _, p := range c.allPartitions() {
		rows, err := c.deps.State.Scan(ctx, p, userstate.Profile, "", "", 1)
		if err != nil {
			return "", fmt.Errorf("look for users: %w", err)
		}
		if len(rows) > 0 {
			return rows[0].User, nil
		}
	}
	return "", nil
}

// messages tells whether a test or anything at all was sent.
func (c *Console) messages(ctx context.Context) (tests, sent bool, err error) {
	found, err := outbox.List(ctx, c.deps.Documents, "", 1)
	if err != nil {
		return false, false, err
	}
	if len(found) > 0 {
		return found[0].Test, true, nil
	}
	if c.deps.Live == nil {
		return false, false, nil
	}
	for _, name := range sorted(c.deps.Definitions.Current().Campaigns) {
		r := c.deps.Live.Report(name)
		tests, sent = tests || r.Tests > 0, sent || r.Sent > 0
	}
	return tests, sent, nil
}

// sourceOf is the source whose key is shown: the first by name. An empty collector is
// where the browser found the console.
func sourceOf(set *definition.Set, a *asked, collector string) api.HomeSource {
	names := sorted(set.Sources)
	if len(names) == 0 {
		return api.HomeSource{}
	}
	name := names[0]
	key, origin := set.Sources[name].WriteKey, "http://localhost:8080"
	if a.http != nil {
		origin = "http://" + a.http.Host
		if a.https {
			origin = "https://" + a.http.Host
		}
	}
	origin = cmp.Or(collector, origin)
	return api.HomeSource{
		Name: name, WriteKey: key,
		Snippet: fmt.Sprintf("<script async src=%q data-write-key=%q></script>", origin+"/heed.js", key),
		Curl: fmt.Sprintf("curl %s/v1/track -u %s: -H 'Content-Type: application/json' \\\n  -d '{\"anonymousId\": \"me\", \"event\": \"hello\"}'",
			shellSafe(origin), shellSafe(key)),
	}
}

// shellSafe quotes what a shell would read.
func shellSafe(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:[]", r)
	}
	if strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// audiencesOf lists the audiences that a user belongs to now.
func (c *Console) audiencesOf(ctx context.Context, user string, p *profile.Profile) ([]string, error) {
	recorded, err := profile.RecordedAudiences(user, func(of string) ([]byte, error) {
		return c.deps.State.Get(ctx, eventlog.PartitionOf(user, c.deps.Log.Partitions()), userstate.Members, of)
	})
	if err != nil {
		return nil, err
	}
	out := []string{}
	set := c.deps.Definitions.Current()
	facts := &condition.Facts{Traits: p.AppendTraits(nil)}
	for _, name := range sorted(set.Audiences) {
		where, err := set.Audiences[name].Program() // what does not compile was never accepted
		if err == nil && where.Eval(facts) || errors.Is(err, definition.ErrBehavior) && slices.Contains(recorded, name) {
			out = append(out, name)
		}
	}
	return out, nil
}

func (c *Console) demo() api.Demo {
	if c.deps.Demo == nil {
		return api.Demo{}
	}
	return c.deps.Demo.Demo()
}

// GetDemo tells about the demo.
func (s *server) GetDemo(_ context.Context, _ api.GetDemoRequestObject) (api.GetDemoResponseObject, error) {
	return api.GetDemo200JSONResponse(s.c.demo()), nil
}

// PostCrowd starts or stops the crowd.
func (s *server) PostCrowd(ctx context.Context, r api.PostCrowdRequestObject) (api.PostCrowdResponseObject, error) {
	c := s.c
	if !c.demo().Enabled {
		return nil, api.Fail(http.StatusNotFound, "no_demo", "this is not a demo", "heed run --demo")
	}
	if err := c.deps.Demo.SetCrowd(ctx, r.Body.Running); err != nil {
		return nil, fmt.Errorf("start or stop the crowd: %w", err)
	}
	c.audit(ctx, askedOf(ctx).caller.who, "crowd", "", fmt.Sprintf("running: %t", r.Body.Running))
	return api.PostCrowd200JSONResponse(c.demo()), nil
}

// PostSample loads the sample shop's history.
func (s *server) PostSample(ctx context.Context, _ api.PostSampleRequestObject) (api.PostSampleResponseObject, error) {
	c := s.c
	if c.deps.Demo == nil {
		return nil, api.Fail(http.StatusNotFound, "no_sample", "this process cannot load the sample shop", "")
	}
	c.deps.Demo.LoadSample()
	c.audit(ctx, askedOf(ctx).caller.who, "load sample shop", "", "")
	return api.PostSample200JSONResponse(c.demo()), nil
}

// GetHealth tells how the process fares.
func (s *server) GetHealth(ctx context.Context, _ api.GetHealthRequestObject) (api.GetHealthResponseObject, error) {
	c := s.c
	out := api.Health{Status: api.HealthOK}
	if c.deps.Health != nil {
		var err error
		if out, err = c.deps.Health.Health(ctx); err != nil {
			return nil, fmt.Errorf("ask for health: %w", err)
		}
	}
	out.AsOf = c.now().UTC()
	out.Version = cmp.Or(out.Version, c.deps.Version)
	out.GoVersion = runtime.Version()
	out.Revision = c.deps.Definitions.Current().Revision
	if out.Roles == nil {
		out.Roles = []api.RoleHealth{}
	}
	if out.Lags == nil {
		out.Lags = []api.Lag{}
	}
	return api.GetHealth200JSONResponse(out), nil
}
