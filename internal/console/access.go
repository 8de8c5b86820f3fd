package console

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"heed/internal/console/api"
	"heed/internal/console/drafts"
	"heed/internal/console/reaching"
	"heed/internal/console/sending"
	"heed/internal/console/starters"
	"heed/internal/console/streams"
	"heed/internal/console/trial"
	"heed/internal/documents"
)

// Limits of request bodies, in bytes.
const (
	maxBody      = 1 << 20
	maxApplyBody = 8 << 20
	intakeBody   = 257 << 20 // the importer says more kindly where it ends
)

// caller is who asks.
type caller struct {
	kind    api.MeKind
	who     string // for the audit log and as author
	email   string
	name    string
	role    api.Role
	session string // hash of the session id, "" for tokens
	ends    time.Time
}

type requestKey struct{}

// asked is what handlers know of the request beside its parameters.
type asked struct {
	caller  *caller // nil: nobody
	address netip.Addr
	https   bool
	local   bool // plain http, but the browser is on this host: cookies are kept
	relayed bool // another process has let the caller in
	http    *http.Request
}

func askedOf(ctx context.Context) *asked {
	if a, ok := ctx.Value(requestKey{}).(*asked); ok {
		return a
	}
	return &asked{}
}

// rank orders the roles.
func rank(r api.Role) int {
	return slices.Index([]api.Role{api.RoleAnalyst, api.RoleMarketer, api.RoleAdmin}, r)
}

// open are the operations that anybody may call.
func open(operation string) bool {
	switch operation {
	case "GetSetup", "PostSetup", "PostLogin", "PostLogout":
		return true
	}
	return false
}

// required is the least role for an operation; definitions look closer.
func required(operation string) api.Role {
	switch operation {
	case "ListMembers", "PostMember", "DeleteMember", "ListTokens", "PostToken", "DeleteToken", "ListAudit", "exportEvents", "SampleStream":
		return api.RoleAdmin
	case "PutDefinition", "DeleteDefinition", "applyDefinitions", "PostCrowd", "PostSample", "ReviewSend", "PostSend", "PostTrial",
		"PutSending", "PostInclude",
		"LookUpSuppression", "SuppressAddress", "UnsuppressAddress",
		"ListImports", "UploadImport", "GetImport", "StartImport", "CancelImport", "GetImportErrors":
		return api.RoleMarketer
	}
	return api.RoleAnalyst
}

// permit tells whether the caller may do the operation.
func permit(a *asked, operation string) error {
	if open(operation) {
		return nil
	}
	if a.caller == nil {
		return api.Fail(http.StatusUnauthorized, "not_signed_in", "sign in first, or send a token", "Authorization: Bearer TOKEN")
	}
	if need := required(operation); rank(a.caller.role) < rank(need) {
		return forbidden(a.caller, need)
	}
	return nil
}

func forbidden(c *caller, need api.Role) error {
	return api.Fail(http.StatusForbidden, "forbidden", "the role "+string(c.role)+" may not do this", "it takes the role "+string(need))
}

// server makes the handlers.
func (c *Console) server() *server {
	deps := c.deps.Reach
	deps.Definitions, deps.Clock = c.deps.Definitions, c.now
	deps.Audit = func(ctx context.Context, action, subject, detail string) {
		c.audit(ctx, askedOf(ctx).caller.who, action, subject, detail)
	}
	steering := c.deps.Sending
	steering.Definitions, steering.Audit = deps.Definitions, deps.Audit
	steering.Who = func(ctx context.Context) string { return askedOf(ctx).caller.who }
	show := drafts.Deps{Definitions: c.deps.Definitions}
	if c.deps.Sends != nil {
		show.Preview = c.deps.Sends.Preview
	}
	return &server{
		c: c, Handlers: c.analysis, Reaching: reaching.New(deps), Campaigns: c.campaigns(),
		API: &trial.API{
			Tries: c.deps.Tries, Definitions: c.deps.Definitions, Log: c.deps.Log, Now: c.now, Budget: c.cfg.ScanBudget,
		},
		Drafts: drafts.New(show), Starters: starters.New(), Sending: sending.New(steering),
		Streams: streams.New(streams.Deps{
			Documents: c.deps.Documents, Definitions: c.deps.Definitions, Draft: c.deps.Definitions.Draft, Audit: deps.Audit, Logger: c.log, Clock: c.now,
		}),
	}
}

// handler routes the API.
func (c *Console) handler() http.Handler {
	mux := http.NewServeMux()
	strict := api.NewStrictHandlerWithOptions(c.server(), []api.StrictMiddlewareFunc{
		func(next api.StrictHandlerFunc, operation string) api.StrictHandlerFunc {
			return func(ctx context.Context, w http.ResponseWriter, r *http.Request, request any) (any, error) {
				if err := permit(askedOf(ctx), operation); err != nil {
					return nil, err
				}
				return next(ctx, w, r, request)
			}
		},
	}, api.StrictHTTPServerOptions{RequestErrorHandlerFunc: c.mistaken, ResponseErrorHandlerFunc: c.fail})
	api.HandlerWithOptions(strict, api.StdHTTPServerOptions{
		BaseURL: "/api/v1", BaseRouter: mux, ErrorHandlerFunc: c.mistaken,
	})
	for pattern, h := range map[string]struct {
		operation string
		serve     func(http.ResponseWriter, *http.Request) error
	}{
		"GET /api/v1/live":               {"streamLive", c.streamLive},
		"GET /api/v1/events":             {"streamEvents", c.streamEvents},
		"GET /api/v1/events:export":      {"exportEvents", c.exportEvents},
		"POST /api/v1/sql":               {"runSQL", c.analysis.RunSQL},
		"POST /api/v1/measures:query":    {"queryMeasure", c.analysis.QueryMeasure},
		"POST /api/v1/measures:users":    {"listMeasureUsers", c.analysis.ListMeasureUsers},
		"POST /api/v1/definitions:apply": {"applyDefinitions", c.applyDefinitions},
		"GET /api/v1/definitions:export": {"exportDefinitions", c.exportDefinitions},
		"POST /api/v1/triggers:backtest": {"backtestTrigger", c.backtestTrigger},
		"POST /api/v1/audiences:preview": {"previewAudience", c.analysis.PreviewAudience},
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			err := permit(askedOf(r.Context()), h.operation)
			if err == nil {
				err = h.serve(w, r)
			}
			if err != nil {
				c.fail(w, r, err)
			}
		})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.serve(mux, w, r) })
}

// serve finds out who asks before anything of the request is read.
func (c *Console) serve(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")

	a := &asked{address: c.address(r), https: c.https(r), http: r}
	a.local = isLoopbackHost(r.Host)
	r, relayed, err := c.heard(r, a)
	if err == nil && !relayed {
		err = c.admit(r, a)
	}
	if err != nil {
		c.fail(w, r, err)
		return
	}
	_, pattern := mux.Handler(r)
	if pattern == "" {
		if a.caller == nil {
			c.fail(w, r, permit(a, ""))
			return
		}
		c.unrouted(w, r, mux)
		return
	}
	limit := int64(maxBody)
	switch {
	case strings.HasSuffix(r.URL.Path, "/definitions:apply"):
		limit = maxApplyBody
	case r.URL.Path == "/api/v1/imports" && a.caller != nil:
		limit = intakeBody
	}
	r.Body = http.MaxBytesReader(w, r.Body, limit)
	if c.elsewhere(w, r, a, pattern) {
		return
	}
	mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestKey{}, a)))
}

// admit finds out who asks from outside.
func (c *Console) admit(r *http.Request, a *asked) (err error) {
	if c.deps.Inner {
		return api.Fail(http.StatusNotFound, "not_found", "this process does not run the console", "ask one with the role console")
	}
	if r.Header.Get("Authorization") == "" {
		// A browser sends the cookie by itself, so it must say where the request comes from.
		if err := c.crossOrig.Check(r); err != nil {
			return api.Fail(http.StatusForbidden, "cross_origin", "this request comes from another site", "")
		}
	}
	a.caller, err = c.identify(r, a)
	return err
}

// unrouted answers 404 or 405 in the API's shape.
func (c *Console) unrouted(w http.ResponseWriter, r *http.Request, mux *http.ServeMux) {
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
		probe := r.Clone(r.Context())
		probe.Method = method
		if _, pattern := mux.Handler(probe); pattern != "" {
			c.fail(w, r, api.Fail(http.StatusMethodNotAllowed, "bad_request", r.Method+" is not possible here", ""))
			return
		}
	}
	c.fail(w, r, api.NotFound("the API has no such address"))
}

// identify finds the caller by token or cookie; nil if there is none. A token
// that is wrong is an error, so that a mistyped one is told apart from none.
func (c *Console) identify(r *http.Request, a *asked) (*caller, error) {
	if header := r.Header.Get("Authorization"); header != "" {
		scheme, token, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > 512 {
			return nil, api.Fail(http.StatusUnauthorized, "not_signed_in", "the Authorization header is not understood", "Authorization: Bearer TOKEN")
		}
		return c.byToken(r.Context(), strings.TrimSpace(token), a)
	}
	cookie, err := r.Cookie(cookieName(a.https))
	if err != nil {
		return nil, nil //nolint:nilerr // no cookie: nobody
	}
	return c.bySession(r.Context(), cookie.Value)
}

func (c *Console) byToken(ctx context.Context, token string, a *asked) (*caller, error) {
	for _, known := range []struct{ token, name string }{{c.cfg.AdminToken, "admin-token"}, {c.deps.LocalToken, "local"}} {
		if known.token != "" && equal(token, known.token) {
			return &caller{kind: api.MeToken, who: known.name, name: known.name, role: api.RoleAdmin}, nil
		}
	}
	t, err := c.tokenBySecret(ctx, token)
	if errors.Is(err, documents.ErrNotFound) {
		if wait := c.throttle.Try(c.now(), "token", "", a.address.String()); wait > 0 {
			return nil, throttled(wait)
		}
		return nil, api.Fail(http.StatusUnauthorized, "not_signed_in", "the token is not known, or has expired", "")
	}
	if err != nil {
		return nil, err
	}
	return &caller{kind: api.MeToken, who: "token:" + t.Name, name: t.Name, role: t.role(), ends: t.ExpiresAt}, nil
}

// equal compares in a time that says nothing about the contents or lengths.
func equal(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// randomText is n random bytes as text for URLs.
func (c *Console) randomText(n int) string {
	b := make([]byte, n)
	c.deps.Random(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// proxied tells whether the connection comes from a trusted proxy.
func (c *Console) proxied(peer netip.Addr) bool {
	return slices.ContainsFunc(c.cfg.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(peer) })
}

func peerOf(r *http.Request) netip.Addr {
	if p, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return p.Addr().Unmap()
	}
	return netip.Addr{}
}

// address is the client's: the last hop that no trusted proxy has named.
func (c *Console) address(r *http.Request) netip.Addr {
	addr := peerOf(r)
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && c.proxied(addr); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		addr = hop.Unmap()
	}
	return addr
}

func (c *Console) https(r *http.Request) bool {
	return r.TLS != nil || c.proxied(peerOf(r)) && strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// isLoopbackHost tells whether the browser calls this server by a name of its
// own host, where plain http is safe.
func isLoopbackHost(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	if strings.EqualFold(host, "localhost") || strings.HasSuffix(strings.ToLower(host), ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.IsLoopback()
}

// cut shortens a text at a rune.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
