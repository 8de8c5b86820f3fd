package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/mail"
	"strings"
	"time"

	"heed/internal/console/api"
	"heed/internal/documents"
)

// Collections of documents.Store that the console owns.
const (
	collMembers  = "members"  // e-mail address -> member
	collSessions = "sessions" // hash of the session id -> session
	collTokens   = "tokens"   // hash of the secret -> token
	collAudit    = "audit"    // time and a random part -> auditEntry
)

// member may sign in.
type member struct {
	Email     string    `json:"email"`
	Name      string    `json:"name"`
	Role      api.Role  `json:"role"`
	Password  string    `json:"password"` // PHC string
	CreatedAt time.Time `json:"createdAt"`
	LastLogin time.Time `json:"lastLogin,omitzero"`
	// Epoch ends the member's sessions of an older one.
	Epoch int64 `json:"epoch"`
}

// session is one browser's.
type session struct {
	Email   string    `json:"email"`
	Created time.Time `json:"created"`
	Seen    time.Time `json:"seen"` // exact to seenStep
	Epoch   int64     `json:"epoch"`
}

// seenStep bounds how often a session is written.
const seenStep = 5 * time.Minute

// get reads a document of the console into v; it returns its version.
func (c *Console) get(ctx context.Context, coll, key string, v any) (int64, error) {
	d, err := c.deps.Documents.Get(ctx, coll, key)
	if err != nil {
		return 0, fmt.Errorf("read from %s: %w", coll, err)
	}
	if err := json.Unmarshal(d.Value, v); err != nil {
		return 0, fmt.Errorf("read from %s: %w", coll, err)
	}
	return d.Version, nil
}

func (c *Console) put(ctx context.Context, coll, key string, v any, expect int64) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write to %s: %w", coll, err)
	}
	err = c.deps.Documents.Apply(ctx, documents.Durable, documents.Write{Collection: coll, Key: key, Value: b, Expect: expect})
	if err != nil {
		return fmt.Errorf("write to %s: %w", coll, err)
	}
	return nil
}

func (c *Console) remove(ctx context.Context, coll string, keys ...string) error {
	writes := make([]documents.Write, len(keys))
	for i, k := range keys {
		writes[i] = documents.Write{Collection: coll, Key: k, Expect: documents.Any}
	}
	if err := c.deps.Documents.Apply(ctx, documents.Durable, writes...); err != nil {
		return fmt.Errorf("remove from %s: %w", coll, err)
	}
	return nil
}

// each visits every document of a collection in order of key.
func (c *Console) each(ctx context.Context, coll string, visit func(d documents.Document) error) error {
	for after := ""; ; {
		page, err := c.deps.Documents.List(ctx, documents.Query{Collection: coll, After: after})
		if err != nil {
			return fmt.Errorf("list %s: %w", coll, err)
		}
		for _, d := range page {
			if err := visit(d); err != nil {
				return err
			}
			after = d.Key
		}
		if len(page) < documents.MaxList {
			return nil
		}
	}
}

func (c *Console) hasMembers(ctx context.Context) (bool, error) {
	page, err := c.deps.Documents.List(ctx, documents.Query{Collection: collMembers, Limit: 1})
	if err != nil {
		return false, fmt.Errorf("look for members: %w", err)
	}
	return len(page) > 0, nil
}

func cookieName(https bool) string {
	if https {
		return "__Host-heed"
	}
	return "heed"
}

func (c *Console) cookie(a *asked, value string, age time.Duration) string {
	k := http.Cookie{
		Name: cookieName(a.https), Value: value, Path: "/", HttpOnly: true, Secure: a.https,
		SameSite: http.SameSiteLaxMode, MaxAge: int(age / time.Second),
	}
	if age <= 0 {
		k.MaxAge = -1
	}
	return k.String()
}

// canSignIn fails where the browser would drop the session cookie.
func canSignIn(a *asked) error {
	if a.https || a.local {
		return nil
	}
	return api.Fail(http.StatusBadRequest, "insecure_cookie",
		"over plain http a browser keeps no sign-in for another host, so this would lead back here for ever", signInHint)
}

const signInHint = "put an https proxy in front and name it in HEED_TRUSTED_PROXIES, or use a tunnel: " +
	"ssh -L 8080:127.0.0.1:8080 HOST, then open http://localhost:8080"

// bySession finds the caller of a session; nil if it has ended.
func (c *Console) bySession(ctx context.Context, id string) (*caller, error) {
	if id == "" || len(id) > 128 {
		return nil, nil
	}
	key := hashOf(id)
	var s session
	version, err := c.get(ctx, collSessions, key, &s)
	if errors.Is(err, documents.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	now := c.now()
	if c.ended(s, now) {
		return nil, nil
	}
	var m member
	if _, err := c.get(ctx, collMembers, s.Email, &m); errors.Is(err, documents.ErrNotFound) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if m.Epoch != s.Epoch {
		return nil, nil
	}
	if now.Sub(s.Seen) >= seenStep {
		s.Seen = now
		if err := c.put(ctx, collSessions, key, s, version); err != nil && !errors.Is(err, documents.ErrConflict) {
			return nil, err
		}
	}
	return &caller{
		kind: api.MeMember, who: m.Email, email: m.Email, name: m.Name, role: m.Role,
		session: key, ends: s.Created.Add(c.cfg.SessionMax),
	}, nil
}

func (c *Console) ended(s session, now time.Time) bool {
	return now.Sub(s.Seen) >= c.cfg.SessionIdle || now.Sub(s.Created) >= c.cfg.SessionMax
}

// signIn starts a session with a new id and ends the one that the browser had.
func (c *Console) signIn(ctx context.Context, a *asked, m member) (cookie string, me api.Me, err error) {
	if a.caller != nil && a.caller.session != "" {
		if err := c.remove(ctx, collSessions, a.caller.session); err != nil {
			return "", api.Me{}, err
		}
	}
	id, now := c.randomText(32), c.now().UTC()
	if err := c.put(ctx, collSessions, hashOf(id), session{Email: m.Email, Created: now, Seen: now, Epoch: m.Epoch}, documents.Absent); err != nil {
		return "", api.Me{}, err
	}
	who := &caller{kind: api.MeMember, email: m.Email, name: m.Name, role: m.Role, ends: now.Add(c.cfg.SessionMax)}
	return c.cookie(a, id, c.cfg.SessionMax), meOf(who), nil
}

func meOf(c *caller) api.Me {
	return api.Me{Kind: c.kind, Email: c.email, Name: c.name, Role: c.role, ExpiresAt: c.ends.UTC()}
}

// sweep removes ended sessions and expired tokens.
func (c *Console) sweep(ctx context.Context) error {
	now := c.now()
	var gone []string
	err := c.each(ctx, collSessions, func(d documents.Document) error {
		var s session
		if json.Unmarshal(d.Value, &s) != nil || c.ended(s, now) {
			gone = append(gone, d.Key)
		}
		return nil
	})
	if err != nil || len(gone) == 0 {
		return err
	}
	return c.remove(ctx, collSessions, gone...)
}

// validEmail is the address as it is kept: lower case, nothing around it.
func validEmail(s string) (string, error) {
	s = strings.ToLower(strings.TrimSpace(s))
	addr, err := mail.ParseAddress(s)
	if err != nil || addr.Address != s || len(s) > 254 {
		return "", api.BadRequest("this is not an e-mail address", "name@example.com")
	}
	return s, nil
}

// Bounds of a password, in bytes.
const minPassword, maxPassword = 10, 1024

func validPassword(s string) error {
	switch {
	case len(s) < minPassword:
		return api.BadRequest("the password is too short", "at least 10 characters")
	case len(s) > maxPassword:
		return api.BadRequest("the password is too long", "at most 1024 bytes")
	}
	return nil
}

// GetSetup tells what the first page must ask for.
func (s *server) GetSetup(ctx context.Context, _ api.GetSetupRequestObject) (api.GetSetupResponseObject, error) {
	has, err := s.c.hasMembers(ctx)
	if err != nil {
		return nil, err
	}
	a := askedOf(ctx)
	out := api.GetSetup200JSONResponse{
		Needed: !has, CanSignIn: true, SignedOut: a.caller == nil,
		Demo: s.c.demo().Enabled, Version: s.c.deps.Version,
	}
	if canSignIn(a) != nil {
		out.CanSignIn, out.Hint = false, signInHint
	}
	return out, nil
}

// PostSetup makes the first administrator.
func (s *server) PostSetup(ctx context.Context, r api.PostSetupRequestObject) (api.PostSetupResponseObject, error) {
	c, a := s.c, askedOf(ctx)
	if err := canSignIn(a); err != nil {
		return nil, err
	}
	has, err := c.hasMembers(ctx)
	if err != nil {
		return nil, err
	}
	if has {
		return nil, api.Fail(http.StatusConflict, "setup_done", "the first administrator exists already", "sign in")
	}
	if wait := c.throttle.Try(c.now(), "setup", "first", a.address.String()); wait > 0 {
		return nil, throttled(wait)
	}
	if !equal(r.Body.Token, c.setupToken) {
		return nil, api.Fail(http.StatusForbidden, "bad_credentials", "this is not the setup token", "the server printed it when it started")
	}
	c.throttle.Succeeded("setup", "first", a.address.String())
	email, err := validEmail(r.Body.Email)
	if err != nil {
		return nil, err
	}
	if err := validPassword(r.Body.Password); err != nil {
		return nil, err
	}
	hash, err := c.passwords.Hash(ctx, r.Body.Password)
	if err != nil {
		return nil, err
	}
	m := member{
		Email: email, Name: cut(strings.TrimSpace(r.Body.Name), 128), Role: api.RoleAdmin,
		Password: hash, CreatedAt: c.now().UTC(), LastLogin: c.now().UTC(), Epoch: 1,
	}
	if m.Name == "" {
		m.Name, _, _ = strings.Cut(email, "@")
	}
	// The marker makes two setups at once conflict.
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("make the first administrator: %w", err)
	}
	err = c.deps.Documents.Apply(ctx, documents.Durable,
		documents.Write{Collection: collMembers, Key: email, Value: b, Expect: documents.Absent},
		documents.Write{Collection: "setup", Key: "done", Value: []byte("{}"), Expect: documents.Absent})
	if errors.Is(err, documents.ErrConflict) {
		return nil, api.Fail(http.StatusConflict, "setup_done", "the first administrator exists already", "sign in")
	}
	if err != nil {
		return nil, fmt.Errorf("make the first administrator: %w", err)
	}
	c.audit(ctx, email, "setup", email, "")
	cookie, me, err := c.signIn(ctx, a, m)
	if err != nil {
		return nil, err
	}
	return api.PostSetup200JSONResponse{Body: me, Headers: api.PostSetup200ResponseHeaders{SetCookie: cookie}}, nil
}

// PostLogin signs in.
func (s *server) PostLogin(ctx context.Context, r api.PostLoginRequestObject) (api.PostLoginResponseObject, error) {
	c, a := s.c, askedOf(ctx)
	if err := canSignIn(a); err != nil {
		return nil, err
	}
	account, address := strings.ToLower(strings.TrimSpace(cut(r.Body.Email, 254))), a.address.String()
	if has, err := c.hasMembers(ctx); err != nil {
		return nil, err
	} else if !has {
		return nil, api.Fail(http.StatusConflict, "setup_needed", "there is no member yet", "make the first administrator with the setup token")
	}
	// Counted before the password is checked, or many attempts at once would all be free.
	if wait := c.throttle.Try(c.now(), "login", account, address); wait > 0 {
		c.logins.WithLabelValues("throttled").Inc()
		return nil, throttled(wait)
	}
	var m member
	var version int64
	err := documents.ErrNotFound
	if account != "" {
		version, err = c.get(ctx, collMembers, account, &m)
	}
	if err != nil && !errors.Is(err, documents.ErrNotFound) {
		return nil, err
	}
	known := err == nil
	hash := m.Password
	if !known {
		hash = noPassword // costs the same time, so that nobody learns who is a member
	}
	ok := false
	if len(r.Body.Password) <= maxPassword {
		if ok, err = c.passwords.Matches(ctx, hash, r.Body.Password); err != nil {
			return nil, err
		}
	}
	if !ok || !known {
		c.logins.WithLabelValues("failed").Inc()
		c.audit(ctx, cut(account, 100), "login_failed", "", "")
		return nil, api.Fail(http.StatusUnauthorized, "bad_credentials", "the e-mail address or the password is wrong", "")
	}
	c.throttle.Succeeded("login", account, address)
	m.LastLogin = c.now().UTC()
	if err := c.put(ctx, collMembers, m.Email, m, version); err != nil && !errors.Is(err, documents.ErrConflict) {
		return nil, err
	}
	cookie, me, err := c.signIn(ctx, a, m)
	if err != nil {
		return nil, err
	}
	c.logins.WithLabelValues("ok").Inc()
	c.audit(ctx, m.Email, "login", "", "")
	return api.PostLogin200JSONResponse{Body: me, Headers: api.PostLogin200ResponseHeaders{SetCookie: cookie}}, nil
}

// noPassword is a hash that no password makes.
const noPassword = "$argon2id$v=19$m=32768,t=3,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// PostLogout ends the session.
func (s *server) PostLogout(ctx context.Context, _ api.PostLogoutRequestObject) (api.PostLogoutResponseObject, error) {
	a := askedOf(ctx)
	if a.caller != nil && a.caller.session != "" {
		if err := s.c.remove(ctx, collSessions, a.caller.session); err != nil {
			return nil, err
		}
		s.c.audit(ctx, a.caller.who, "logout", "", "")
	}
	return api.PostLogout204Response{Headers: api.PostLogout204ResponseHeaders{SetCookie: s.c.cookie(a, "", 0)}}, nil
}

// GetMe tells who asks.
func (s *server) GetMe(ctx context.Context, _ api.GetMeRequestObject) (api.GetMeResponseObject, error) {
	return api.GetMe200JSONResponse(meOf(askedOf(ctx).caller)), nil
}
