package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

type sqlCommand struct {
	Query  string `arg:"" help:"One SELECT over the views events, users, sessions and deliveries (docs/sql.md); - reads it from standard input."`
	Format string `enum:"table,csv,jsonl,parquet" default:"table" help:"table, csv, jsonl or parquet."`
	Limit  int    `default:"0" help:"At most so many rows (default: 1000 in a table, else the server's limit)." placeholder:"N"`
}

// tableRows is how many rows a table has unless somebody asks for more.
const tableRows = 1000

// Run prints the rows of a SELECT over the facts.
func (s sqlCommand) Run(e *env) (err error) {
	query := s.Query
	if query == "-" {
		text, err := io.ReadAll(io.LimitReader(e.in, 1<<20))
		if err != nil {
			return fmt.Errorf("read the statement: %w", err)
		}
		query = string(text)
	}
	if s.Limit == 0 && s.Format == "table" {
		s.Limit = tableRows
	}
	request := map[string]any{"query": query}
	if s.Limit > 0 {
		request["limit"] = s.Limit
	}
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	c, err := connect(e)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	path := "/sql"
	if s.Format == "csv" || s.Format == "parquet" {
		path += "?format=" + s.Format
	}
	answer, err := c.do(e.ctx, "POST", path, body)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, answer.Close()) }()
	if s.Format != "table" {
		_, err = io.Copy(e.out, answer)
		return err
	}
	return printTable(e, answer)
}

// printTable prints JSON lines as aligned columns.
func printTable(e *env, answer io.Reader) error {
	lines := bufio.NewReader(answer)
	w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return errors.New("the answer broke off")
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read the answer: %w", err)
		}
		if line[0] == '[' {
			var row []json.RawMessage
			if err := json.Unmarshal(line, &row); err != nil {
				return fmt.Errorf("read the answer: %w", err)
			}
			cells := make([]string, len(row))
			for i, v := range row {
				cells[i] = cell(v)
			}
			if _, err := fmt.Fprintln(w, strings.Join(cells, "\t")); err != nil {
				return err
			}
			continue
		}
		var control struct {
			Columns []struct{ Name string }
			Rows    int
			More    bool
			Error   struct{ Message string }
		}
		if err := json.Unmarshal(line, &control); err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		switch {
		case control.Error.Message != "":
			return errors.Join(w.Flush(), errors.New(control.Error.Message))
		case control.Columns != nil:
			names := make([]string, len(control.Columns))
			for i, c := range control.Columns {
				names[i] = c.Name
			}
			if _, err := fmt.Fprintln(w, strings.Join(names, "\t")); err != nil {
				return err
			}
		default:
			if control.More {
				if _, err := fmt.Fprintf(e.err, "only the first %d rows; --limit shows more\n", control.Rows); err != nil {
					return err
				}
			}
			return w.Flush()
		}
	}
}

// cell is a value as a table shows it.
func cell(v json.RawMessage) string {
	var text string
	if json.Unmarshal(v, &text) == nil && string(v) != "null" {
		return strings.NewReplacer("\t", " ", "\n", " ").Replace(text)
	}
	if string(v) == "null" {
		return ""
	}
	return string(v)
}
