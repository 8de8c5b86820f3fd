package console_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"heed/internal/console"
	"heed/internal/console/api"
	"heed/internal/definition"
	"heed/internal/eventlog"
	"heed/internal/facts"
	"heed/internal/measure"
	"heed/internal/profile"
	"heed/internal/userstate"
)

// counted knows one audience.
type counted struct {
	limit int
	query *measure.Query
	err   error
}

func (c *counted) Audiences(context.Context) ([]api.Audience, error) {
	return []api.Audience{{Name: "buyers", Kind: api.AudienceByBehavior, State: api.AudienceReady, Size: 3}}, nil
}

func (c *counted) Audience(ctx context.Context, name string) (*api.Audience, error) {
	list, err := c.Audiences(ctx)
	if name != "buyers" {
		return nil, err
	}
	return &list[0], err
}

func (c *counted) Changes(_ context.Context, _ string, limit int) ([]api.AudienceChange, error) {
	c.limit = limit
	return []api.AudienceChange{{Time: time.Unix(1, 0), User: "ann", Change: api.AudienceEntered}}, nil
}

func (c *counted) Names(context.Context) measure.Names { return nil }

func (c *counted) Preview(_ context.Context, q *measure.Query) (api.AudiencePreview, error) {
	c.query = q
	return api.AudiencePreview{Size: 1, Sample: []string{"ann"}}, c.err
}

func (c *counted) Begin(context.Context, string, []*definition.Audience, []string) error { return nil }

func TestAudiences(t *testing.T) {
	known := &counted{}
	w := newWorld(t, func(_ *console.Config, d *console.Deps) { d.Audiences = known })
	c := w.as(adminToken)
	c.send("POST", "/api/v1/definitions:apply", "kind: audience\nname: buyers\ndid: {event: purchase}\n")

	if l := ok[api.AudienceList](c.get("/audiences")); len(l.Audiences) != 1 || l.Audiences[0].Size != 3 {
		t.Errorf("%+v", l)
	}
	if a := ok[api.Audience](c.get("/audiences/buyers")); a.Name != "buyers" {
		t.Errorf("%+v", a)
	}
	c.get("/audiences/nobody").fails(404, "not_found")
	if l := ok[api.AudienceChangeList](c.get("/audiences/buyers/changes?limit=7")); len(l.Changes) != 1 || known.limit != 7 {
		t.Errorf("%+v, limit %d", l, known.limit)
	}
	c.get("/audiences/nobody/changes").fails(404, "not_found")
	c.get("/audiences/buyers/changes?limit=5000").fails(400, "bad_request")

	preview := func(body string) answer { return c.send("POST", "/api/v1/audiences:preview", body) }
	if p := ok[api.AudiencePreview](preview(`{"zone": "Europe/Berlin", "did": {"event": "purchase", "min": 2}}`)); p.Size != 1 || known.query.Zone != "Europe/Berlin" || *known.query.Audience.Did.Min != 2 {
		t.Errorf("%+v of %+v", p, known.query)
	}
	for body, why := range map[string]string{
		`{"did": {"event": "purchase", "mim": 2}}`:              "is unknown",
		`{"did": {"event": "x"}, "consent": "sms"}`:             "one of",
		`{"did": {"event": "x"}, "did": {"event": "y"}}`:        "twice",
		`{"zone": "Nowhere", "did": {"event": "x"}}`:            "no time zone",
		`{"users": ["` + strings.Repeat("x", 300<<10) + `"]}`:   "",
		`{"any": ` + strings.Repeat("[", 100) + `]`:             "",
		`{"did": {"event": "x", "during": {"last": "3 weeks"}}`: "",
		`nonsense`: "not JSON",
		``:         "",
	} {
		a := preview(body)
		if a.status != 400 && a.status != 413 || !strings.Contains(string(a.body), why) {
			t.Errorf("%.60s: %d %s", body, a.status, a.body)
		}
	}
	known.err = facts.ErrUnsupported
	preview(`{"did": {"event": "x"}}`).fails(422, "unsupported")
	known.err = facts.ErrLoading
	preview(`{"did": {"event": "x"}}`).fails(503, "unavailable")
}

func TestAudiencesElsewhere(t *testing.T) {
	c := newWorld(t).as(adminToken)
	c.get("/audiences").fails(503, "unavailable")
	c.send("POST", "/api/v1/audiences:preview", `{"did": {"event": "x"}}`).fails(503, "unavailable")
}

// A user's page names the audiences by behavior too.
func TestAudiencesOfAUser(t *testing.T) {
	w := newWorld(t)
	c := w.as(adminToken)
	c.send("POST", "/api/v1/definitions:apply", "kind: audience\nname: buyers\ndid: {event: purchase}\n---\nkind: audience\nname: others\ndid: {event: purchase, max: 0}\n")
	w.profile("ann", &profile.Profile{UserID: "ann"})
	p := eventlog.PartitionOf("ann", w.db.Log().Partitions())
	part, err := w.db.UserState().Open(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	members := profile.Memberships{{Audience: "buyers", Epoch: 1}, {Audience: "others", Epoch: 0}, {Audience: "gone", Epoch: 0}}
	epochs := profile.Memberships{{Audience: "buyers", Epoch: 1}, {Audience: "others", Epoch: 1}}
	err = part.Commit(t.Context(), &userstate.Commit{Base: part.Next(), Next: part.Next(), Rows: []userstate.Row{
		{Kind: userstate.Members, User: "", Value: epochs.Append(nil)}, {Kind: userstate.Members, User: "ann", Value: members.Append(nil)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if u := ok[api.User](c.get("/users/ann")); !slices.Equal(u.Audiences, []string{"buyers"}) {
		t.Errorf("audiences: %v", u.Audiences)
	}
}
