package duckdb

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"heed/internal/facts"
	"heed/internal/facts/factstest"
	"heed/internal/measure"
)

// readParquet reads a file as any other program would, and closes it.
func readParquet(t *testing.T, f *os.File, text string) string {
	t.Helper()
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(db.Close(), f.Close()); err != nil {
			t.Error(err)
		}
	}()
	rows, err := db.QueryContext(t.Context(), fmt.Sprintf(text, fmt.Sprintf("read_parquet('/proc/self/fd/%d')", f.Fd())))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := rows.Close(); err != nil {
			t.Error(err)
		}
	}()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for rows.Next() {
		values, targets := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			targets[i] = &values[i]
		}
		if err := rows.Scan(targets...); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&out, values...)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestParquet(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir(), QueryRows: 50}, Deps{})
	feed(t, s, journal())
	const typed = "SELECT column_name || ' ' || column_type FROM (DESCRIBE SELECT * FROM %s) LIMIT 2"
	f, err := s.Parquet(t.Context(), "SELECT time, count(*) OVER () AS n FROM events ORDER BY time LIMIT 3", facts.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := readParquet(t, f, typed); got != "time TIMESTAMP\nn BIGINT\n" {
		t.Errorf("the columns are %q", got)
	}
	for rows, o := range map[int]facts.Options{7: {Rows: 7}, 121: {All: true}} {
		if f, err = s.Parquet(t.Context(), "FROM events", o); err != nil {
			t.Fatal(err)
		}
		if got := readParquet(t, f, "SELECT count(*) FROM %s"); got != fmt.Sprintln(rows) {
			t.Errorf("%+v: %s rows, want %d", o, got, rows)
		}
	}
	if _, err = s.Parquet(t.Context(), "FROM events", facts.Options{}); !errors.Is(err, facts.ErrTooBig) || !strings.Contains(err.Error(), "facts.query_rows") {
		t.Errorf("more rows than may be: %v", err)
	}
	for _, text := range []string{"COPY events TO 'x.parquet'", "SELECT 1) TO 'x.csv' (FORMAT csv); --", "SELECT * FROM 'recent/*.parquet'"} {
		if _, err = s.Parquet(t.Context(), text, facts.Options{}); !errors.Is(err, facts.ErrStatement) {
			t.Errorf("%s: %v, want ErrStatement", text, err)
		}
	}
	at := time.Date(2026, 3, 29, 0, 0, 0, 0, time.FixedZone("", 3600))
	head := []measure.Column{{Name: "start", Type: measure.Time}, {Name: "value", Type: measure.Text}, {Name: "Value", Type: measure.Whole}, {Name: "sum", Type: measure.Real}}
	rows := [][]any{{at, "it's; \x00 \u00fc -- \"", int64(1) << 60, 0.1}, {nil, "", int64(0), -2.5}}
	if f, err = s.ParquetOf(t.Context(), head, rows); err != nil {
		t.Fatal(err)
	}
	want := "1774738800000000 it's; \x00 \u00fc -- \" 1152921504606846976 0.1\n<nil>  0 -2.5\n"
	if got := readParquet(t, f, `SELECT epoch_us("start"), "value", "Value 2", sum FROM %s`); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if f, err = s.ParquetOf(t.Context(), head, nil); err != nil {
		t.Fatal(err)
	}
	if got := readParquet(t, f, typed); got != "start TIMESTAMP WITH TIME ZONE\nvalue VARCHAR\n" {
		t.Errorf("the columns of no rows are %q", got)
	}
	if left, err := os.ReadDir(s.path(exportFolder)); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	factstest.Append(t, s, 0, factstest.Chunk(500, factstest.Track("a", "still works", factstest.Noon)))
	if got := factstest.Rows(t, s, "SELECT count(*) FROM events WHERE event = 'still works'"); got != "1\n" {
		t.Error(got)
	}
}
