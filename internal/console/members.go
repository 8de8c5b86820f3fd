package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"heed/internal/console/analysis"
	"heed/internal/console/api"
	"heed/internal/console/drafts"
	"heed/internal/console/explain"
	"heed/internal/console/reaching"
	"heed/internal/console/sending"
	"heed/internal/console/starters"
	"heed/internal/console/streams"
	"heed/internal/console/trial"
	"heed/internal/documents"
)

// server implements the strict handlers.
type server struct {
	c *Console
	*explain.Campaigns
	*analysis.Handlers
	*reaching.Reaching
	*drafts.Drafts
	*starters.Starters
	*trial.API
	*sending.Sending
	*streams.Streams
}

func memberOf(m member) api.Member {
	return api.Member{Email: m.Email, Name: m.Name, Role: m.Role, CreatedAt: m.CreatedAt, LastLoginAt: m.LastLogin}
}

func (c *Console) members(ctx context.Context) ([]member, error) {
	var out []member
	err := c.each(ctx, collMembers, func(d documents.Document) error {
		var m member
		if err := json.Unmarshal(d.Value, &m); err != nil {
			return fmt.Errorf("read member %s: %w", d.Key, err)
		}
		out = append(out, m)
		return nil
	})
	return out, err
}

// ListMembers lists who may sign in.
func (s *server) ListMembers(ctx context.Context, _ api.ListMembersRequestObject) (api.ListMembersResponseObject, error) {
	ms, err := s.c.members(ctx)
	if err != nil {
		return nil, err
	}
	out := api.ListMembers200JSONResponse{Members: make([]api.Member, len(ms))}
	for i, m := range ms {
		out.Members[i] = memberOf(m)
	}
	return out, nil
}

// lastAdmin tells whether nobody but this member is an administrator.
func (c *Console) lastAdmin(ctx context.Context, email string) (bool, error) {
	ms, err := c.members(ctx)
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(ms, func(m member) bool { return m.Role == api.RoleAdmin && m.Email != email }), nil
}

func keepAdmin() error {
	return api.Fail(http.StatusConflict, "conflict", "this is the last administrator", "make somebody else an administrator first")
}

// PostMember adds or changes a member.
func (s *server) PostMember(ctx context.Context, r api.PostMemberRequestObject) (api.PostMemberResponseObject, error) {
	c := s.c
	email, err := validEmail(r.Body.Email)
	if err != nil {
		return nil, err
	}
	if rank(r.Body.Role) < 0 {
		return nil, api.BadRequest("there is no role "+cut(string(r.Body.Role), 40), "analyst, marketer or admin")
	}
	var m member
	version, err := c.get(ctx, collMembers, email, &m)
	fresh := errors.Is(err, documents.ErrNotFound)
	if err != nil && !fresh {
		return nil, err
	}
	if fresh {
		version = documents.Absent
		m = member{Email: email, CreatedAt: c.now().UTC(), Epoch: 1}
		m.Name, _, _ = strings.Cut(email, "@")
	}
	if m.Role == api.RoleAdmin && r.Body.Role != api.RoleAdmin {
		if last, err := c.lastAdmin(ctx, email); err != nil {
			return nil, err
		} else if last {
			return nil, keepAdmin()
		}
	}
	if name := cut(strings.TrimSpace(r.Body.Name), 128); name != "" {
		m.Name = name
	}
	m.Role = r.Body.Role
	if r.Body.Password != "" || fresh {
		if err := validPassword(r.Body.Password); err != nil {
			return nil, err
		}
		if m.Password, err = c.passwords.Hash(ctx, r.Body.Password); err != nil {
			return nil, err
		}
		m.Epoch = c.now().UnixMicro()
	}
	if err := c.put(ctx, collMembers, email, m, version); errors.Is(err, documents.ErrConflict) {
		return nil, api.Fail(http.StatusConflict, "conflict", "the member was changed by somebody else meanwhile", "load it again")
	} else if err != nil {
		return nil, err
	}
	c.audit(ctx, askedOf(ctx).caller.who, "member_saved", email, string(m.Role))
	return api.PostMember200JSONResponse(memberOf(m)), nil
}

// DeleteMember removes a member, whose sessions end with it.
func (s *server) DeleteMember(ctx context.Context, r api.DeleteMemberRequestObject) (api.DeleteMemberResponseObject, error) {
	c, email := s.c, strings.ToLower(r.Email)
	if email == "" || len(email) > 254 {
		return nil, api.NotFound("there is no such member")
	}
	var m member
	if _, err := c.get(ctx, collMembers, email, &m); errors.Is(err, documents.ErrNotFound) {
		return nil, api.NotFound("there is no such member")
	} else if err != nil {
		return nil, err
	}
	if m.Role == api.RoleAdmin {
		if last, err := c.lastAdmin(ctx, email); err != nil {
			return nil, err
		} else if last {
			return nil, keepAdmin()
		}
	}
	if err := c.remove(ctx, collMembers, email); err != nil {
		return nil, err
	}
	c.audit(ctx, askedOf(ctx).caller.who, "member_removed", email, "")
	return api.DeleteMember204Response{}, nil
}

// token is what is kept of an API token: never its secret.
type token struct {
	Name      string      `json:"name"`
	Scopes    []api.Scope `json:"scopes"`
	CreatedBy string      `json:"createdBy"`
	CreatedAt time.Time   `json:"createdAt"`
	ExpiresAt time.Time   `json:"expiresAt"`
	LastUsed  time.Time   `json:"lastUsed,omitzero"` // exact to seenStep
}

// role is the role that the scopes stand for.
func (t *token) role() api.Role {
	switch {
	case slices.Contains(t.Scopes, api.ScopeAdmin):
		return api.RoleAdmin
	case slices.Contains(t.Scopes, api.ScopeWrite):
		return api.RoleMarketer
	default:
		return api.RoleAnalyst
	}
}

// tokenIDLen is how much of a secret's hash is the token's public id.
const tokenIDLen = 24

func tokenOf(key string, t token) api.Token {
	return api.Token{
		Id: key[:min(tokenIDLen, len(key))], Name: t.Name, Scopes: t.Scopes, CreatedBy: t.CreatedBy,
		CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt, LastUsedAt: t.LastUsed,
	}
}

// tokenBySecret returns documents.ErrNotFound if there is none that is valid.
func (c *Console) tokenBySecret(ctx context.Context, secret string) (*token, error) {
	key := hashOf(secret)
	var t token
	version, err := c.get(ctx, collTokens, key, &t)
	if err != nil {
		return nil, err
	}
	now := c.now()
	if !now.Before(t.ExpiresAt) {
		return nil, fmt.Errorf("token %s has expired: %w", t.Name, documents.ErrNotFound)
	}
	if now.Sub(t.LastUsed) >= seenStep {
		t.LastUsed = now.UTC()
		if err := c.put(ctx, collTokens, key, t, version); err != nil && !errors.Is(err, documents.ErrConflict) {
			return nil, err
		}
	}
	return &t, nil
}

// ListTokens lists the tokens.
func (s *server) ListTokens(ctx context.Context, _ api.ListTokensRequestObject) (api.ListTokensResponseObject, error) {
	out := api.ListTokens200JSONResponse{Tokens: []api.Token{}}
	err := s.c.each(ctx, collTokens, func(d documents.Document) error {
		var t token
		if err := json.Unmarshal(d.Value, &t); err != nil {
			return fmt.Errorf("read a token: %w", err)
		}
		out.Tokens = append(out.Tokens, tokenOf(d.Key, t))
		return nil
	})
	slices.SortFunc(out.Tokens, func(a, b api.Token) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return out, err
}

// PostToken makes a token.
func (s *server) PostToken(ctx context.Context, r api.PostTokenRequestObject) (api.PostTokenResponseObject, error) {
	c := s.c
	name := strings.TrimSpace(r.Body.Name)
	if name == "" || len(name) > 128 {
		return nil, api.BadRequest("a token needs a name", "1 to 128 bytes that say what it is for")
	}
	if len(r.Body.Scopes) == 0 || len(r.Body.Scopes) > 3 {
		return nil, api.BadRequest("a token needs scopes", "read, write or admin")
	}
	for _, scope := range r.Body.Scopes {
		if !scope.Valid() {
			return nil, api.BadRequest("there is no scope "+cut(string(scope), 40), "read, write or admin")
		}
	}
	days := r.Body.ExpiresInDays
	if days == 0 {
		days = 90
	}
	if days < 1 || days > 3650 {
		return nil, api.BadRequest("expiresInDays is out of range", "1 to 3650")
	}
	who, now := askedOf(ctx).caller.who, c.now().UTC()
	t := token{Name: name, Scopes: r.Body.Scopes, CreatedBy: who, CreatedAt: now, ExpiresAt: now.AddDate(0, 0, days)}
	secret := "heed_" + c.randomText(32)
	key := hashOf(secret)
	if err := c.put(ctx, collTokens, key, t, documents.Absent); err != nil {
		return nil, err
	}
	c.audit(ctx, who, "token_made", name, "")
	return api.PostToken201JSONResponse{Token: tokenOf(key, t), Secret: secret}, nil
}

// DeleteToken revokes a token.
func (s *server) DeleteToken(ctx context.Context, r api.DeleteTokenRequestObject) (api.DeleteTokenResponseObject, error) {
	c := s.c
	if len(r.Id) != tokenIDLen {
		return nil, api.NotFound("there is no such token")
	}
	found, err := c.deps.Documents.List(ctx, documents.Query{Collection: collTokens, Prefix: r.Id, Limit: 1})
	if err != nil {
		return nil, fmt.Errorf("look for a token: %w", err)
	}
	if len(found) == 0 {
		return nil, api.NotFound("there is no such token")
	}
	var t token
	if err := json.Unmarshal(found[0].Value, &t); err != nil {
		return nil, fmt.Errorf("read a token: %w", err)
	}
	if err := c.remove(ctx, collTokens, found[0].Key); err != nil {
		return nil, err
	}
	c.audit(ctx, askedOf(ctx).caller.who, "token_revoked", t.Name, "")
	return api.DeleteToken204Response{}, nil
}

// audit notes who did what. That a note could not be written stops nothing: it
// is logged.
func (c *Console) audit(ctx context.Context, who, what, subject, detail string) {
	now := c.now().UTC()
	entry := api.AuditEntry{At: now, Who: who, What: what, Subject: cut(subject, 512), Detail: cut(detail, 512)}
	if a := askedOf(ctx); a.address.IsValid() {
		entry.Address = a.address.String()
	}
	key := fmt.Sprintf("%016x-%s", now.UnixMicro(), c.randomText(6))
	if err := c.put(context.WithoutCancel(ctx), collAudit, key, entry, documents.Absent); err != nil {
		c.log.Error("the audit log could not be written", "who", who, "what", what, "error", err)
	}
}

// ListAudit reads the audit log, newest first.
func (s *server) ListAudit(ctx context.Context, r api.ListAuditRequestObject) (api.ListAuditResponseObject, error) {
	limit, err := api.PageSize(r.Params.Limit)
	if err != nil {
		return nil, err
	}
	page, err := s.c.deps.Documents.List(ctx, documents.Query{
		Collection: collAudit, After: cut(r.Params.Before, documents.MaxKeyBytes), Reverse: true, Limit: limit,
	})
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	out := api.ListAudit200JSONResponse{Entries: make([]api.AuditEntry, len(page))}
	for i, d := range page {
		if err := json.Unmarshal(d.Value, &out.Entries[i]); err != nil {
			return nil, fmt.Errorf("read the audit log: %w", err)
		}
		out.Next = d.Key
	}
	if len(page) < limit {
		out.Next = ""
	}
	return out, nil
}
