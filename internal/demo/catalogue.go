package demo

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"heed/internal/documents"
)

//go:embed catalogue.json
var catalogueJSON []byte

// Product is something the shop sells.
type Product struct {
	ID       string      `json:"id"`
	Name     string      `json:"name"`
	Category string      `json:"category"`
	Cents    int64       `json:"cents"` // price
	Stock    int         `json:"stock"` // in the catalogue: what the shop opens with
	Summary  string      `json:"summary"`
	Specs    [][2]string `json:"specs"`
	Docs     []Doc       `json:"docs"`
}

// Doc is a page of a product's documentation.
type Doc struct {
	Title string `json:"title"`
	Text  string `json:"text"`
}

// Catalogue lists the products as the shop opens.
func Catalogue() ([]Product, error) {
	var products []Product
	if err := json.Unmarshal(catalogueJSON, &products); err != nil {
		return nil, fmt.Errorf("demo: catalogue.json: %w", err)
	}
	return products, nil
}

const stockCollection = "demo_stock"

// stockOf reads how many pieces are left; version is what a write must expect.
func (s *Shop) stockOf(ctx context.Context, id string) (left int, version int64, err error) {
	d, err := s.deps.Documents.Get(ctx, stockCollection, id)
	if errors.Is(err, documents.ErrNotFound) {
		return s.catalog[id].Stock, documents.Absent, nil
	}
	if err != nil {
		return 0, 0, fmt.Errorf("demo: read the stock of %s: %w", id, err)
	}
	if err := json.Unmarshal(d.Value, &left); err != nil {
		return 0, 0, fmt.Errorf("demo: the stock of %s: %w", id, err)
	}
	return left, d.Version, nil
}

func (s *Shop) products(w http.ResponseWriter, r *http.Request) {
	list := make([]Product, 0, len(s.order))
	for _, id := range s.order {
		p := s.catalog[id]
		left, _, err := s.stockOf(r.Context(), id)
		if err != nil {
			s.broken(w, r, err)
			return
		}
		p.Stock = left
		list = append(list, p)
	}
	reply(w, http.StatusOK, map[string]any{"products": list})
}

func (s *Shop) product(w http.ResponseWriter, r *http.Request) {
	p, ok := s.catalog[r.PathValue("id")]
	if !ok {
		fail(w, http.StatusNotFound, "not_found", "there is no such product")
		return
	}
	var err error
	if p.Stock, _, err = s.stockOf(r.Context(), p.ID); err != nil {
		s.broken(w, r, err)
		return
	}
	reply(w, http.StatusOK, p)
}
