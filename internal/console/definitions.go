package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"heed/internal/catalog"
	"heed/internal/console/api"
	"heed/internal/definition"
)

func kindOf(s string) (definition.Kind, error) {
	k := definition.Kind(s)
	if slices.Contains(definition.Kinds(), k) {
		return k, nil
	}
	names := make([]string, 0, 16)
	for _, k := range definition.Kinds() {
		names = append(names, string(k))
	}
	return "", api.Fail(http.StatusNotFound, "not_found", "there is no kind of definition "+cut(s, 64), strings.Join(names, ", "))
}

func nameOf(kind definition.Kind, s string) error {
	if !definition.ValidName(s) {
		return api.Fail(http.StatusNotFound, "not_found", fmt.Sprintf("no %s can be called %q", kind, cut(s, 64)),
			"1 to 64 letters, digits, - _ and ., beginning with a letter or digit")
	}
	return nil
}

// mayWrite tells whether a role may change definitions of a kind.
func mayWrite(c *caller, k definition.Kind) error {
	if c.role == api.RoleAdmin {
		return nil
	}
	switch k {
	case definition.KindEvent, definition.KindTrigger, definition.KindAudience, definition.KindDimension, definition.KindTemplate, definition.KindCampaign,
		definition.KindFunnel, definition.KindBoard:
		if c.role == api.RoleMarketer {
			return nil
		}
		return forbidden(c, api.RoleMarketer)
	default:
		return forbidden(c, api.RoleAdmin)
	}
}

func definitionOf(r catalog.Record) api.Definition {
	return api.Definition{
		Kind: string(r.Kind), Name: r.Name, Version: r.Version, Author: r.Author, At: r.At, ReadOnly: r.ReadOnly, Spec: r.Spec,
	}
}

func (c *Console) list(ctx context.Context, k definition.Kind) (api.DefinitionList, error) {
	out := api.DefinitionList{Revision: c.deps.Definitions.Current().Revision, Definitions: []api.Definition{}}
	records, err := c.deps.Definitions.List(ctx, k)
	for _, r := range records {
		out.Definitions = append(out.Definitions, definitionOf(r))
	}
	return out, err
}

// ListDefinitions lists everything.
func (s *server) ListDefinitions(ctx context.Context, _ api.ListDefinitionsRequestObject) (api.ListDefinitionsResponseObject, error) {
	out, err := s.c.list(ctx, "")
	return api.ListDefinitions200JSONResponse(out), err
}

// ListDefinitionsOfKind lists one kind.
func (s *server) ListDefinitionsOfKind(ctx context.Context, r api.ListDefinitionsOfKindRequestObject) (api.ListDefinitionsOfKindResponseObject, error) {
	k, err := kindOf(r.Kind)
	if err != nil {
		return nil, err
	}
	out, err := s.c.list(ctx, k)
	return api.ListDefinitionsOfKind200JSONResponse(out), err
}

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// GetDefinition reads one.
func (s *server) GetDefinition(ctx context.Context, r api.GetDefinitionRequestObject) (api.GetDefinitionResponseObject, error) {
	k, err := kindOf(r.Kind)
	if err == nil {
		err = nameOf(k, r.Name)
	}
	if err != nil {
		return nil, err
	}
	record, err := s.c.deps.Definitions.Get(ctx, k, r.Name)
	if err != nil {
		return nil, err
	}
	return api.GetDefinition200JSONResponse{
		Body: definitionOf(record), Headers: api.GetDefinition200ResponseHeaders{ETag: etag(record.Version)},
	}, nil
}

// ListDefinitionVersions lists what one was, newest first.
func (s *server) ListDefinitionVersions(ctx context.Context, r api.ListDefinitionVersionsRequestObject) (api.ListDefinitionVersionsResponseObject, error) {
	k, err := kindOf(r.Kind)
	if err == nil {
		err = nameOf(k, r.Name)
	}
	if err != nil {
		return nil, err
	}
	records, err := s.c.deps.Definitions.Versions(ctx, k, r.Name)
	if err != nil {
		return nil, err
	}
	out := api.ListDefinitionVersions200JSONResponse{Kind: string(k), Name: r.Name, Versions: []api.DefinitionVersion{}}
	for _, v := range slices.Backward(records) {
		out.Versions = append(out.Versions, api.DefinitionVersion{
			Version: v.Version, Author: v.Author, At: v.At, Deleted: v.Deleted, Spec: v.Spec,
		})
	}
	return out, nil
}

// expectation reads If-Match and If-None-Match; ok is false without them.
func expectation(match, noneMatch string) (version int64, ok bool, err error) {
	switch {
	case noneMatch == "*":
		return 0, true, nil
	case noneMatch != "":
		return 0, false, api.BadRequest("If-None-Match is not understood", "*")
	case match == "":
		return 0, false, nil
	}
	text := strings.Trim(strings.TrimPrefix(match, "W/"), `"`)
	version, err = strconv.ParseInt(text, 10, 64)
	if err != nil || version < 1 {
		return 0, false, api.BadRequest("If-Match is not understood", `the version in quotes, such as "3"`)
	}
	return version, true, nil
}

// PutDefinition writes one.
func (s *server) PutDefinition(ctx context.Context, r api.PutDefinitionRequestObject) (api.PutDefinitionResponseObject, error) {
	k, err := kindOf(r.Kind)
	if err == nil {
		err = nameOf(k, r.Name)
	}
	if err == nil {
		err = mayWrite(askedOf(ctx).caller, k)
	}
	if err != nil {
		return nil, err
	}
	doc, err := definition.ParseOne(k, r.Name, definition.Compact(*r.Body))
	if err != nil {
		return nil, err
	}
	o := catalog.Options{DryRun: r.Params.DryRun}
	want, ok, err := expectation(r.Params.IfMatch, r.Params.IfNoneMatch)
	if err != nil {
		return nil, err
	}
	if ok {
		o.Expect = map[string]int64{definition.Ref(k, r.Name): want}
	}
	applied, err := s.c.apply(ctx, []definition.Document{doc}, o)
	if err != nil {
		return nil, err
	}
	out := api.PutDefinition200JSONResponse{Body: applied}
	if len(applied.Changes) == 1 {
		out.Headers.ETag = etag(applied.Changes[0].Version)
	}
	return out, nil
}

// CheckDefinition tells what would be wrong with one.
func (s *server) CheckDefinition(ctx context.Context, r api.CheckDefinitionRequestObject) (api.CheckDefinitionResponseObject, error) {
	k, err := kindOf(r.Body.Kind)
	if err == nil {
		err = nameOf(k, r.Body.Name)
	}
	if err != nil {
		return nil, err
	}
	doc, err := definition.ParseOne(k, r.Body.Name, definition.Compact(r.Body.Spec))
	if err == nil {
		_, err = s.c.deps.Definitions.Apply(ctx, []definition.Document{doc}, catalog.Options{DryRun: true})
	}
	out := api.CheckDefinition200JSONResponse{Problems: []api.Problem{}}
	if problems, ok := errors.AsType[definition.Problems](err); ok {
		out.Problems = append(out.Problems, api.ProblemsOf(problems)...)
		return out, nil
	}
	return out, err
}

// DeleteDefinition deletes one.
func (s *server) DeleteDefinition(ctx context.Context, r api.DeleteDefinitionRequestObject) (api.DeleteDefinitionResponseObject, error) {
	k, err := kindOf(r.Kind)
	if err == nil {
		err = nameOf(k, r.Name)
	}
	if err == nil {
		err = mayWrite(askedOf(ctx).caller, k)
	}
	if err != nil {
		return nil, err
	}
	ref := definition.Ref(k, r.Name)
	o := catalog.Options{Delete: []string{ref}}
	want, ok, err := expectation(r.Params.IfMatch, "")
	if err != nil {
		return nil, err
	}
	if ok {
		o.Expect = map[string]int64{ref: want}
	}
	applied, err := s.c.apply(ctx, nil, o)
	return api.DeleteDefinition200JSONResponse(applied), err
}

// apply runs the transaction and notes it.
func (c *Console) apply(ctx context.Context, docs []definition.Document, o catalog.Options) (api.Applied, error) {
	o.Author = askedOf(ctx).caller.who
	res, err := c.deps.Definitions.Apply(ctx, docs, o)
	if err != nil {
		return api.Applied{}, err
	}
	out := api.Applied{Revision: res.Revision, DryRun: o.DryRun, Changes: []api.Change{}}
	var changed []string
	for _, ch := range res.Changes {
		out.Changes = append(out.Changes, api.Change{
			Kind: string(ch.Kind), Name: ch.Name, Action: api.ChangeAction(ch.Action), Version: ch.Version,
		})
		switch ch.Action {
		case "created":
			out.Created++
		case "updated":
			out.Updated++
		case "unchanged":
			out.Unchanged++
			continue
		}
		changed = append(changed, definition.Ref(ch.Kind, ch.Name))
	}
	if !o.DryRun && len(changed) > 0 {
		what := "apply"
		if len(o.Delete) > 0 {
			what = "delete"
		}
		c.audit(ctx, o.Author, what, strings.Join(changed, " "), fmt.Sprintf("revision %d", res.Revision))
	}
	return out, nil
}

// applyDefinitions applies a whole set.
func (c *Console) applyDefinitions(w http.ResponseWriter, r *http.Request) error {
	dryRun, err := boolOf(r, "dryRun")
	if err != nil {
		return err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return fmt.Errorf("read the definitions: %w", err)
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return api.BadRequest("the body is empty", "send YAML documents, or JSON")
	}
	file := cut(r.URL.Query().Get("file"), 512)
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")) // an unknown type is read as YAML
	var docs []definition.Document
	var problems definition.Problems
	if media == "application/json" {
		docs, problems, err = definition.ParseJSON(file, body)
	} else {
		docs, problems = definition.Parse(file, body)
	}
	if err != nil {
		return api.BadRequest(cut(err.Error(), 300), "")
	}
	if len(problems) > 0 {
		return problems
	}
	for _, d := range docs {
		if err := mayWrite(askedOf(r.Context()).caller, d.Kind); err != nil {
			return err
		}
	}
	applied, err := c.apply(r.Context(), docs, catalog.Options{DryRun: dryRun})
	if err != nil {
		return err
	}
	return reply(w, applied)
}

// exportDefinitions writes everything as YAML.
func (c *Console) exportDefinitions(w http.ResponseWriter, r *http.Request) error {
	text, err := c.deps.Definitions.Export(r.Context())
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/yaml; charset=utf-8")
	_, _ = w.Write(text) // the caller has gone
	return nil
}

// reply writes a JSON answer.
func reply(w http.ResponseWriter, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write an answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(b) // the caller has gone
	return nil
}

func boolOf(r *http.Request, name string) (bool, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return false, nil
	}
	v, err := strconv.ParseBool(text)
	if err != nil {
		return false, api.BadRequest(name+" is not true or false", "")
	}
	return v, nil
}
