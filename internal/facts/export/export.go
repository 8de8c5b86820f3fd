// Package export owns how rows of facts are written for other programs: as JSON
// lines and as CSV. Parquet is the store's own.
package export

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"heed/internal/facts"
)

// JSON writes a line with the columns, one per row, and one that says how it ended;
// failure is how an error is written there.
func JSON(out io.Writer, rows facts.Rows, failure func(error) any) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	columns := []any{}
	for _, c := range rows.Columns() {
		columns = append(columns, struct {
			Name string `json:"name"`
			Type string `json:"type"`
		}{c.Name, c.Type})
	}
	if err := enc.Encode(map[string]any{"columns": columns}); err != nil {
		return err
	}
	n := 0
	for rows.Next() {
		n++
		if err := enc.Encode(written(rows.Values())); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return enc.Encode(map[string]any{"error": failure(err)})
	}
	return enc.Encode(map[string]any{"rows": n, "more": rows.More()})
}

// written puts texts in the place of numbers that JSON does not have, wherever in v
// they are.
func written(v any) any {
	switch v := v.(type) {
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return strconv.FormatFloat(v, 'g', -1, 64)
		}
	case []any:
		for i := range v {
			v[i] = written(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = written(v[k])
		}
	}
	return v
}

// CSV writes a header line and the rows; null is the empty field.
func CSV(out io.Writer, rows facts.Rows) error {
	w := csv.NewWriter(out)
	record := make([]string, len(rows.Columns()))
	for i, c := range rows.Columns() {
		record[i] = c.Name
	}
	if err := w.Write(record); err != nil {
		return err
	}
	for rows.Next() {
		for i, v := range rows.Values() {
			record[i] = field(v)
		}
		if err := w.Write(record); err != nil {
			return err
		}
	}
	w.Flush()
	return errors.Join(rows.Err(), w.Error())
}

func field(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	case []any, map[string]any:
		text, err := json.Marshal(written(v))
		if err != nil {
			return fmt.Sprint(v)
		}
		return string(text)
	default:
		return fmt.Sprint(v)
	}
}
