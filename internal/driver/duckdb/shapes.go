package duckdb

import (
	"fmt"
	"slices"
	"strings"

	"heed/internal/driver/duckdb/ask"
	"heed/internal/driver/duckdb/rows"
)

// maxShapes bounds the parts of the view of what is stored. Files of the rarest
// shapes are read as if they had no columns of properties.
const maxShapes = 12

// propertyColumn is a property's column in a file.
type propertyColumn struct {
	rows.Property
	Partly bool `json:"partly,omitempty"` // where it is null the JSON may still say something
}

// has tells whether the file has a property's column, and whether that says all
// that its JSON says of it.
func (e *entry) has(p rows.Property) (has, whole bool) {
	for _, c := range e.Columns {
		if c.Property == p {
			return true, !c.Partly
		}
	}
	return false, false
}

// setColumns notes the columns that a file is written with: those of the store, of
// which each says as much as it does in every source.
func (e *entry) setColumns(all []rows.Property, sources []func(rows.Property) (has, whole bool)) {
	for _, p := range all {
		c := propertyColumn{Property: p}
		for _, of := range sources {
			if _, whole := of(p); !whole {
				c.Partly = true
			}
		}
		e.Columns = append(e.Columns, c)
	}
}

// properties are those that have a column in the layout or in a file. A key has one
// type everywhere (Census.Choose); should a file have another, its JSON is read.
func properties(l *rows.Layout, files []*file) []rows.Property {
	var out []rows.Property
	names := map[string]bool{} // DuckDB tells no case
	add := func(p rows.Property) {
		if lower := strings.ToLower(p.Key); !names[lower] {
			names[lower] = true
			out = append(out, p)
		}
	}
	for _, p := range l.Promoted {
		add(p)
	}
	for _, f := range files {
		for _, c := range f.Columns {
			add(c.Property)
		}
	}
	return out
}

// shape is files that have the same columns of properties.
type shape struct {
	files []*file
	has   []bool // by property
	whole []bool
}

// shapes sorts files by the columns that they have.
func shapes(files []*file, all []rows.Property) []*shape {
	var out []*shape
	by := map[string]*shape{}
	for _, f := range files {
		key, some := "", ""
		one := &shape{files: []*file{f}, has: make([]bool, len(all)), whole: make([]bool, len(all))}
		for i, p := range all {
			one.has[i], one.whole[i] = f.has(p)
			key += fmt.Sprint(one.has[i])
			if one.has[i] && !one.whole[i] {
				some = "some partly"
			}
		}
		key += some
		s := by[key]
		if s == nil {
			by[key] = one
			out = append(out, one)
			continue
		}
		s.files = append(s.files, f)
		for i := range all {
			s.whole[i] = s.whole[i] && one.whole[i]
		}
	}
	if len(out) <= maxShapes {
		return out
	}
	slices.SortStableFunc(out, func(a, b *shape) int { return len(b.files) - len(a.files) })
	bare := &shape{has: make([]bool, len(all)), whole: make([]bool, len(all))}
	for _, s := range out[maxShapes-1:] {
		bare.files = append(bare.files, s.files...)
	}
	return append(out[:maxShapes-1], bare)
}

// selectFrom is what is stored in a relation that has some of the columns of
// properties: all of them, null where it has not. rest: and for each the JSON of
// those rows of which the column does not say all.
func selectFrom(from string, all []rows.Property, rest bool, has func(i int) (has, whole bool)) string {
	var b strings.Builder
	b.WriteString("SELECT ")
	for i, name := range rows.Names() {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(quoteName(name))
	}
	for i, p := range all {
		column := quoteName(p.Column())
		there, whole := has(i)
		value, json := column, "NULL::VARCHAR"
		switch {
		case !there:
			value, json = "NULL::"+string(p.Type), "properties"
		case !whole:
			json = "CASE WHEN " + column + " IS NULL THEN properties END"
		}
		fmt.Fprintf(&b, ", %s AS %s", value, column)
		if rest {
			fmt.Fprintf(&b, ", %s AS %s", json, ask.RestOf(p.Key))
		}
	}
	b.WriteString(" FROM " + from)
	return b.String()
}

// merged is a SELECT of what files hold, to be written again. A union of their shapes
// would hold on to twice the memory. By name, properties that differ in type, or in
// case alone, would be one column: of these the JSON goes on to tell.
func (s *Store) merged(files []*file, all []rows.Property) string {
	return selectFrom("read_parquet("+s.list(files)+", union_by_name = true)", all, false, func(i int) (has, whole bool) {
		for _, f := range files {
			for _, c := range f.Columns {
				switch {
				case c.Property == all[i]:
					has = true
				case strings.EqualFold(c.Key, all[i].Key):
					return false, true
				}
			}
		}
		return has, true
	})
}

// stored is a SELECT of what files hold, to be asked.
func (s *Store) stored(files []*file, all []rows.Property) string {
	var parts []string
	for _, one := range shapes(files, all) {
		parts = append(parts, selectFrom("read_parquet("+s.list(one.files)+")", all, true, func(i int) (has, whole bool) { return one.has[i], one.whole[i] }))
	}
	return strings.Join(parts, " UNION ALL ")
}
