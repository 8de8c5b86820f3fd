package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/hamba/avro/v2"

	"heed/internal/definition"
	"heed/internal/event"
	"heed/internal/intake/message"
)

// Bounds of a registry.
const (
	registryTimeout = 5 * time.Second
	registryBytes   = 1 << 20 // of an answer
	registrySchemas = 1000    // that are remembered
)

// registry asks a schema registry with the HTTP API of Confluent's, once for each
// schema: what a number stands for never changes. It is used by one goroutine.
type registry struct {
	avro  *definition.Avro
	http  *http.Client
	known map[uint32]avro.Schema
}

// schemasOf is nil where a stream names no registry.
func schemasOf(d *definition.Stream) message.Schemas {
	if d.Avro == nil || d.Avro.Registry == "" {
		return nil
	}
	return &registry{avro: d.Avro, http: &http.Client{Timeout: registryTimeout}, known: map[uint32]avro.Schema{}}
}

// Schema implements message.Schemas.
func (g *registry) Schema(ctx context.Context, id uint32) (avro.Schema, error) {
	if s := g.known[id]; s != nil {
		return s, nil
	}
	s, err := g.ask(ctx, id)
	if _, refused := errors.AsType[event.Refusal](err); err != nil && !refused {
		return nil, fmt.Errorf("the schema registry cannot be asked at the moment: %w", err)
	}
	if err != nil {
		return nil, err
	}
	if len(g.known) >= registrySchemas {
		clear(g.known)
	}
	g.known[id] = s
	return s, nil
}

func (g *registry) ask(ctx context.Context, id uint32) (avro.Schema, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/schemas/ids/%d", strings.TrimSuffix(g.avro.Registry, "/"), id), nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/vnd.schemaregistry.v1+json, application/json")
	if g.avro.User != "" {
		r.SetBasicAuth(g.avro.User, g.avro.Password)
	}
	resp, err := g.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return nil, event.Refusal(fmt.Sprintf("is written with schema %d, which the registry does not know", id))
	default:
		return nil, fmt.Errorf("it answers %s", resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, registryBytes))
	if err != nil {
		return nil, err
	}
	var answer struct {
		Schema string `json:"schema"`
		Type   string `json:"schemaType"` // absent: Avro
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("its answer is not JSON: %w", err)
	}
	if answer.Type != "" && answer.Type != "AVRO" {
		return nil, event.Refusal(fmt.Sprintf("is written with schema %d, which is of the type %s", id, answer.Type))
	}
	s, err := definition.ParseSchema(answer.Schema)
	if err != nil {
		return nil, event.Refusal(fmt.Sprintf("is written with schema %d, which %v", id, err))
	}
	if s.Type() != avro.Record {
		return nil, event.Refusal(fmt.Sprintf("is written with schema %d, which is of the type %s", id, s.Type()))
	}
	return s, nil
}
