package console_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"heed/internal/console"
	"heed/internal/console/api"
)

func TestSetupAndSession(t *testing.T) {
	w := newWorld(t)
	c := w.browser()
	if s := ok[api.SetupState](c.get("/setup")); !s.Needed || !s.CanSignIn || !s.Demo || s.Version != "test" {
		t.Errorf("setup: %+v", s)
	}
	c.get("/me").fails(401, "not_signed_in")
	c.send("POST", "/api/v1/login", api.LoginRequest{Email: "ann@example.com", Password: password}).fails(409, "setup_needed")
	c.send("POST", "/api/v1/setup", api.SetupRequest{Token: "guess", Email: "a@b.c", Password: password}).fails(403, "bad_credentials")
	token, err := w.console.SetupToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.send("POST", "/api/v1/setup", api.SetupRequest{Token: token, Email: "not an address", Password: password}).fails(400, "bad_request")
	c.send("POST", "/api/v1/setup", api.SetupRequest{Token: token, Email: "a@b.c", Password: "short"}).fails(400, "bad_request")
	w.setup(c)
	if me := ok[api.Me](c.get("/me")); me.Email != "ann@example.com" || me.Role != api.RoleAdmin || me.Kind != api.MeMember {
		t.Errorf("me: %+v", me)
	}
	if s := ok[api.SetupState](c.get("/setup")); s.Needed {
		t.Error("setup is still needed")
	}
	c.send("POST", "/api/v1/setup", api.SetupRequest{Token: token, Email: "b@b.c", Password: password}).fails(409, "setup_done")
	if again, _ := w.console.SetupToken(t.Context()); again != "" {
		t.Error("the setup token is given out again")
	}

	// A login has a new session and ends the old one.
	cookie := func() string { return c.http.Jar.Cookies(mustURL(t, w.server.URL))[0].Value }
	old := cookie()
	a := c.send("POST", "/api/v1/login", api.LoginRequest{Email: "ANN@example.com ", Password: password})
	if a.status != 200 || cookie() == old {
		t.Errorf("login: %d, the session id stayed: %t", a.status, cookie() == old)
	}
	set := a.head.Get("Set-Cookie")
	for _, want := range []string{"heed=", "HttpOnly", "SameSite=Lax", "Path=/"} {
		if !strings.Contains(set, want) {
			t.Errorf("cookie %q lacks %s", set, want)
		}
	}
	w.as("").with("Cookie", "heed="+old).get("/me").fails(401, "not_signed_in")

	// What is stored does not let anybody in.
	for _, coll := range []string{"sessions", "members"} {
		docs, err := w.db.Documents().List(t.Context(), query(coll))
		if err != nil || len(docs) == 0 {
			t.Fatalf("%s: %v, %v", coll, docs, err)
		}
		for _, d := range docs {
			if strings.Contains(d.Key+string(d.Value), cookie()) || strings.Contains(string(d.Value), password) {
				t.Errorf("%s holds a secret in clear", coll)
			}
		}
	}
	if out := c.send("POST", "/api/v1/logout", nil); out.status != 204 {
		t.Errorf("logout: %d", out.status)
	}
	c.get("/me").fails(401, "not_signed_in")
}

func TestSessionsEnd(t *testing.T) {
	w := newWorld(t, func(c *console.Config, _ *console.Deps) { c.SessionIdle, c.SessionMax = time.Hour, 3*time.Hour })
	c := w.browser()
	w.setup(c)
	step := func(d time.Duration) { w.shift.Add(int64(d)) }
	for range 3 { // in use
		step(50 * time.Minute)
		if a := c.get("/me"); a.status != 200 {
			t.Fatalf("in use: %d", a.status)
		}
	}
	step(50 * time.Minute)
	c.get("/me").fails(401, "not_signed_in") // 3 h 20 min after its begin
	w.browser().send("POST", "/api/v1/login", api.LoginRequest{Email: "ann@example.com", Password: password})
	d := w.browser()
	d.send("POST", "/api/v1/login", api.LoginRequest{Email: "ann@example.com", Password: password})
	step(61 * time.Minute)
	d.get("/me").fails(401, "not_signed_in")
}

func TestCookieOverHTTPS(t *testing.T) {
	w := newWorld(t, func(c *console.Config, _ *console.Deps) {
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	w.setup(w.browser())
	login := api.LoginRequest{Email: "ann@example.com", Password: password}
	proxied := w.as("").with("X-Forwarded-Proto", "https").with("X-Forwarded-For", "203.0.113.9").with("Host", "heed.example")
	a := proxied.send("POST", "/api/v1/login", login)
	if set := a.head.Get("Set-Cookie"); a.status != 200 || !strings.HasPrefix(set, "__Host-heed=") || !strings.Contains(set, "Secure") {
		t.Errorf("behind an https proxy: %d %q", a.status, set)
	}
	// Plain http by another name: say so instead of looping.
	plain := w.as("").with("Host", "heed.example:8080")
	if e := plain.send("POST", "/api/v1/login", login).fails(400, "insecure_cookie"); !strings.Contains(e.Hint, "https") {
		t.Errorf("hint: %q", e.Hint)
	}
	if s := ok[api.SetupState](plain.get("/setup")); s.CanSignIn || s.Hint == "" {
		t.Errorf("setup: %+v", s)
	}
	entries := ok[api.AuditList](w.as(adminToken).get("/audit")).Entries
	if len(entries) == 0 || entries[0].What != "login" || entries[0].Address != "203.0.113.9" {
		t.Errorf("audit: %+v", entries)
	}
}

func TestProxyHeadersOfStrangersAreNotBelieved(t *testing.T) {
	w := newWorld(t)
	w.setup(w.browser())
	w.as("").with("X-Forwarded-Proto", "https").with("Host", "heed.example").
		send("POST", "/api/v1/login", api.LoginRequest{Email: "ann@example.com", Password: password}).fails(400, "insecure_cookie")
}

func TestThrottling(t *testing.T) {
	w := newWorld(t)
	w.setup(w.browser())
	c := w.as("")
	wrong := api.LoginRequest{Email: "ann@example.com", Password: "wrong password"}
	for i := range 11 {
		c.send("POST", "/api/v1/login", wrong).fails(401, "bad_credentials")
		if i >= 4 && i < 10 { // waits that double, until one is long beside what a login takes on a busy machine
			w.shift.Add(int64(time.Minute))
		}
	}
	right := api.LoginRequest{Email: "ann@example.com", Password: password}
	a := c.send("POST", "/api/v1/login", right)
	a.fails(429, "throttled")
	if a.head.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	w.shift.Add(int64(5 * time.Minute))
	if a := c.send("POST", "/api/v1/login", right); a.status != 200 {
		t.Errorf("after the wait: %d %s", a.status, a.body)
	}
	// Who is a member cannot be told apart.
	x := c.send("POST", "/api/v1/login", api.LoginRequest{Email: "nobody@example.com", Password: "wrong password"}).fails(401, "bad_credentials")
	y := c.send("POST", "/api/v1/login", wrong).fails(401, "bad_credentials")
	if x.Message != y.Message {
		t.Errorf("%q and %q differ", x.Message, y.Message)
	}
}

func TestTokens(t *testing.T) {
	w := newWorld(t)
	admin := w.as(adminToken)
	for _, token := range []string{adminToken, localToken} {
		if me := ok[api.Me](w.as(token).get("/me")); me.Role != api.RoleAdmin || me.Kind != api.MeToken {
			t.Errorf("%s: %+v", token, me)
		}
	}
	w.as(adminToken+"x").get("/me").fails(401, "not_signed_in")
	w.as("").with("Authorization", "Basic eDp5").get("/me").fails(401, "not_signed_in")

	made := ok[api.NewToken](admin.send("POST", "/api/v1/tokens", api.TokenRequest{Name: "ci", Scopes: []api.Scope{api.ScopeRead}, ExpiresInDays: 1}))
	if len(made.Secret) < 43 {
		t.Errorf("a secret of %d characters", len(made.Secret))
	}
	ci := w.as(made.Secret)
	if me := ok[api.Me](ci.get("/me")); me.Role != api.RoleAnalyst || me.Name != "ci" {
		t.Errorf("me: %+v", me)
	}
	list := ok[api.TokenList](admin.get("/tokens"))
	if len(list.Tokens) != 1 || list.Tokens[0].Id != made.Token.Id || list.Tokens[0].LastUsedAt.IsZero() {
		t.Errorf("tokens: %+v", list)
	}
	docs, _ := w.db.Documents().List(t.Context(), query("tokens"))
	if len(docs) != 1 || strings.Contains(docs[0].Key+string(docs[0].Value), made.Secret) {
		t.Error("the secret is stored")
	}
	w.shift.Add(int64(25 * time.Hour))
	ci.get("/me").fails(401, "not_signed_in")
	w.shift.Store(0)
	if a := admin.send("DELETE", "/api/v1/tokens/"+made.Token.Id, nil); a.status != 204 {
		t.Errorf("revoke: %d", a.status)
	}
	ci.get("/me").fails(401, "not_signed_in")
	admin.send("DELETE", "/api/v1/tokens/"+made.Token.Id, nil).fails(404, "not_found")
	for _, r := range []any{
		api.TokenRequest{Name: "", Scopes: []api.Scope{"read"}},
		api.TokenRequest{Name: "x"},
		api.TokenRequest{Name: "x", Scopes: []api.Scope{"all"}},
		api.TokenRequest{Name: "x", Scopes: []api.Scope{"read"}, ExpiresInDays: -1},
	} {
		admin.send("POST", "/api/v1/tokens", r).fails(400, "bad_request")
	}
}

// Every operation against every role.
func TestAuthMatrix(t *testing.T) {
	w := newWorld(t)
	admin := w.as(adminToken)
	callers := map[string]*client{"nobody": w.as(""), "admin": admin}
	for scope, role := range map[api.Scope]string{api.ScopeRead: "analyst", api.ScopeWrite: "marketer"} {
		made := ok[api.NewToken](admin.send("POST", "/api/v1/tokens", api.TokenRequest{Name: role, Scopes: []api.Scope{scope}}))
		callers[role] = w.as(made.Secret)
	}
	f := func(least, method, path, body string) {
		t.Helper()
		order := []string{"nobody", "analyst", "marketer", "admin"}
		allowed := false
		for _, who := range order {
			allowed = allowed || who == least
			var b any
			if body != "" {
				b = body
			}
			a := callers[who].send(method, "/api/v1"+path, b)
			switch {
			case who == "nobody" && a.status != 401:
				t.Errorf("%s %s by nobody: %d", method, path, a.status)
			case who != "nobody" && !allowed && a.status != 403:
				t.Errorf("%s %s by %s: %d, want 403", method, path, who, a.status)
			case allowed && (a.status == 401 || a.status == 403 || a.status >= 500):
				t.Errorf("%s %s by %s: %d %s", method, path, who, a.status, a.body)
			}
		}
	}
	for _, path := range []string{
		"/me", "/definitions", "/definitions/trigger", "/definitions/trigger/x", "/definitions/trigger/x/versions", "/definitions:export",
		"/home", "/events", "/event-names", "/event-fields?name=x", "/bad-events", "/triggers/progress", "/users", "/users/u", "/users/u/triggers/t", "/users/u/timeline",
		"/deliveries", "/outbox", "/outbox/x", "/campaigns/x/report", "/health", "/demo",
	} {
		f("analyst", "GET", path, "")
	}
	for _, path := range []string{"/members", "/tokens", "/audit", "/events:export"} {
		f("admin", "GET", path, "")
	}
	f("marketer", "POST", "/demo/crowd", `{"running":true}`)
	f("marketer", "PUT", "/definitions/template/t", `{"channel":"outbox","body":"hi"}`)
	f("marketer", "PUT", "/definitions/event/e", `{"key":true}`)
	f("marketer", "PUT", "/definitions/dimension/d", `{"field":"traits.plan"}`)
	f("marketer", "POST", "/definitions:apply", "kind: template\nname: t\nchannel: outbox\nbody: hi\n")
	f("marketer", "DELETE", "/definitions/template/t", "")
	f("analyst", "POST", "/definitions:check", `{"kind":"trigger","name":"t","spec":{"pattern":[{"event":"win"}]}}`)
	f("admin", "PUT", "/definitions/source/s", `{"origins":[]}`)
	f("admin", "POST", "/definitions:apply", "kind: source\nname: s\n")
	f("admin", "DELETE", "/definitions/source/s", "")
	f("admin", "POST", "/tokens", `{"name":"x","scopes":["read"]}`)
	f("admin", "DELETE", "/tokens/x", "")
	f("admin", "POST", "/members", `{"email":"x@example.com","role":"analyst","password":"0123456789"}`)
	f("admin", "DELETE", "/members/y@example.com", "")
}

func TestMembers(t *testing.T) {
	w := newWorld(t)
	ann := w.browser()
	w.setup(ann)
	post := func(r api.MemberRequest) answer { return ann.send("POST", "/api/v1/members", r) }
	ok[api.Member](post(api.MemberRequest{Email: "bob@example.com", Role: api.RoleMarketer, Password: password}))
	bob := w.browser()
	ok[api.Me](bob.send("POST", "/api/v1/login", api.LoginRequest{Email: "bob@example.com", Password: password}))
	ann.send("DELETE", "/api/v1/members/ann@example.com", nil).fails(409, "conflict")
	post(api.MemberRequest{Email: "ann@example.com", Role: api.RoleAnalyst}).fails(409, "conflict")
	post(api.MemberRequest{Email: "eve@example.com", Role: "owner", Password: password}).fails(400, "bad_request")
	post(api.MemberRequest{Email: "eve@example.com", Role: api.RoleAnalyst}).fails(400, "bad_request")

	// A role takes effect at once; a new password ends the sessions.
	ok[api.Member](post(api.MemberRequest{Email: "bob@example.com", Role: api.RoleAnalyst}))
	if me := ok[api.Me](bob.get("/me")); me.Role != api.RoleAnalyst {
		t.Errorf("bob is %s", me.Role)
	}
	ok[api.Member](post(api.MemberRequest{Email: "bob@example.com", Role: api.RoleAnalyst, Password: "another password"}))
	bob.get("/me").fails(401, "not_signed_in")
	ok[api.Me](bob.send("POST", "/api/v1/login", api.LoginRequest{Email: "bob@example.com", Password: "another password"}))
	if a := ann.send("DELETE", "/api/v1/members/bob@example.com", nil); a.status != 204 {
		t.Errorf("remove: %d %s", a.status, a.body)
	}
	bob.get("/me").fails(401, "not_signed_in")
	if ms := ok[api.MemberList](ann.get("/members")).Members; len(ms) != 1 || ms[0].LastLoginAt.IsZero() {
		t.Errorf("members: %+v", ms)
	}
}

func TestCrossSiteRequests(t *testing.T) {
	w := newWorld(t)
	c := w.browser()
	w.setup(c)
	crowd := `{"running":true}`
	c.with("Sec-Fetch-Site", "cross-site").send("POST", "/api/v1/demo/crowd", crowd).fails(403, "cross_origin")
	c.with("Origin", "https://evil.example").send("POST", "/api/v1/demo/crowd", crowd).fails(403, "cross_origin")
	c.with("Origin", "https://evil.example").send("POST", "/api/v1/logout", nil).fails(403, "cross_origin")
	if a := c.with("Sec-Fetch-Site", "same-origin").send("POST", "/api/v1/demo/crowd", crowd); a.status != 200 {
		t.Errorf("same origin: %d", a.status)
	}
	if a := w.as(adminToken).with("Origin", "https://tool.example").send("POST", "/api/v1/demo/crowd", crowd); a.status != 200 {
		t.Errorf("with a token: %d", a.status)
	}
}

// Whatever is sent, the answer is a refusal in the one shape.
func TestBadInputIsNeverA500(t *testing.T) {
	w := newWorld(t)
	c := w.as(adminToken)
	long := strings.Repeat("x", 3000)
	for _, path := range []string{
		"/nothing", "/definitions/nothing", "/definitions/trigger/%00", "/definitions/trigger/..%2fx", "/definitions/trigger/" + long,
		"/users/" + long, "/users/%00%ff", "/users/u/timeline?before=%ff", "/users/u/timeline?before=e30x", "/users/u/timeline?limit=-1",
		"/users/u/timeline?limit=1e999", "/users?limit=99999999999999999999", "/users?q=" + long, "/deliveries?status=no",
		"/deliveries?before=bnVsbA", "/deliveries?limit=1001", "/deliveries?user=" + long, "/outbox?before=" + long, "/outbox/%00", "/outbox/" + long,
		"/campaigns/%00/report", "/events?from=yesterday", "/events?limit=0", "/events?follow=maybe", "/events?until=" + long,
		"/events:export?format=xml", "/audit?limit=x", "/live?user=" + long, "/users?q=%ff%fe",
	} {
		a := c.get(path)
		if a.status >= 500 || a.status < 400 && !strings.HasPrefix(path, "/users?q=%ff") {
			t.Errorf("GET %.60s: %d %.200s", path, a.status, a.body)
		} else if a.status >= 400 && !strings.Contains(string(a.body), `"error"`) {
			t.Errorf("GET %.60s: not in the one shape: %.200s", path, a.body)
		}
	}
	deep := strings.Repeat("[", 100_000)
	for _, body := range []string{
		"", "{", "null", "[]", `"x"`, "1e999", `{"email":1}`, `{"running":"x"}`, `{"scopes":"x"}`, "\x00", "\xff\xfe", "{\"a\":\"\\ud800\"}", deep,
		`{"name":"x","name":"y"}`, `{"pattern":[{"event":"win"}],"nonsense":1}`, strings.Repeat(" ", 2<<20), strings.Repeat("&", 10), "a: &a [*a]", "!!binary x",
	} {
		for _, target := range []string{
			"POST /setup", "POST /login", "POST /members", "POST /tokens", "POST /demo/crowd", "POST /definitions:apply", "POST /definitions:apply?dryRun=x",
			"PUT /definitions/trigger/t", "PUT /definitions/campaign/t", "PUT /definitions/source/s",
		} {
			method, path, _ := strings.Cut(target, " ")
			for _, media := range []string{"application/json", "text/yaml"} {
				a := c.with("Content-Type", media).send(method, "/api/v1"+path, body)
				if a.status >= 500 {
					t.Errorf("%s with %.30q: %d %.200s", target, body, a.status, a.body)
				}
			}
		}
	}
	c.send("PATCH", "/api/v1/me", nil).fails(405, "bad_request")
	c.get("/nothing").fails(404, "not_found")
	c.send("GET", "/api/v2/me", nil).fails(404, "not_found")
	w.as("").get("/nothing").fails(401, "not_signed_in")
	huge := "kind: template\nname: t\nbody: " + strings.Repeat("x", 9<<20)
	c.send("POST", "/api/v1/definitions:apply", huge).fails(413, "too_large")
	c.send("PUT", "/api/v1/definitions/template/t", `{"body":"`+strings.Repeat("x", 2<<20)+`"}`).fails(413, "too_large")
	if a := c.get("/me"); a.head.Get("X-Content-Type-Options") != "nosniff" || a.head.Get("Cache-Control") != "no-store" {
		t.Errorf("headers: %v", a.head)
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []console.Config{
		{AdminToken: "short"},
		{SessionIdle: time.Second},
		{SessionIdle: time.Hour, SessionMax: time.Minute},
		{ScanBudget: time.Hour},
	} {
		if _, err := console.New(c, console.Deps{}); err == nil || strings.Contains(err.Error(), "needed") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
