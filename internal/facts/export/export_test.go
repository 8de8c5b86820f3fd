package export_test

import (
	"math"
	"strings"
	"testing"

	"heed/internal/facts"
	"heed/internal/facts/export"
)

// rows is one row.
type rows struct {
	facts.Rows

	values []any
	at     int
}

func (r *rows) Columns() []facts.Column { return make([]facts.Column, len(r.values)) }
func (r *rows) Next() bool              { r.at++; return r.at == 1 }
func (r *rows) Values() []any           { return r.values }
func (r *rows) More() bool              { return false }
func (r *rows) Err() error              { return nil }

// Numbers that JSON does not have are texts, inside of lists and structs too: an answer
// does not break off at them.
func TestNumbersThatJSONLacks(t *testing.T) {
	row := func() *rows {
		return &rows{values: []any{
			math.NaN(), math.Inf(-1), 1.7e308, []any{1.5, math.NaN()}, map[string]any{"a": []any{math.Inf(1)}}, nil, "x",
		}}
	}
	var out strings.Builder
	if err := export.JSON(&out, row(), nil); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	if want := `["NaN","-Inf",1.7e+308,[1.5,"NaN"],{"a":["+Inf"]},null,"x"]`; lines[1] != want {
		t.Errorf("a row is %s, want %s", lines[1], want)
	}
	if want := `{"more":false,"rows":1}`; lines[2] != want {
		t.Errorf("the end is %s, want %s", lines[2], want)
	}
	out.Reset()
	if err := export.CSV(&out, row()); err != nil {
		t.Fatal(err)
	}
	if want := `NaN,-Inf,1.7e+308,"[1.5,""NaN""]","{""a"":[""+Inf""]}",,x`; !strings.Contains(out.String(), want) {
		t.Errorf("CSV is %s, want %s", out.String(), want)
	}
}
