// Package statement owns what SQL from outside may say: one SELECT, which calls
// nothing but what only reads. It does not own what a statement costs (duckdb).
package statement

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/duckdb/duckdb-go/v2"

	"heed/internal/driver/duckdb/ask"
)

// tableFunctions are those that a statement from outside may call. Others are
// refused whatever they do: some of them change the engine for everybody.
func tableFunctions() []string {
	return []string{
		"range", "generate_series", "unnest", "json_each", "json_tree",
		"duckdb_columns", "duckdb_functions", "duckdb_keywords", "duckdb_settings", "duckdb_types", "duckdb_views", "pragma_version",
	}
}

// hiddenFunctions are scalar functions that it may not.
func hiddenFunctions() []string {
	return []string{"write_log", "getenv", ask.HoldsFunction, ask.TextFunction, ask.NumberFunction, ask.IDFunction, ask.RootFunction}
}

// bloatingFunctions are scalar functions that make a value of any size out of a
// number: gigabytes that the engine's limit of memory does not see.
func bloatingFunctions() []string {
	return []string{"range", "generate_series", "repeat", "lpad", "rpad", "list_resize", "array_resize", "bar", "printf", "format"}
}

// Check tells whether a text is exactly one SELECT that means something to the
// connection and that calls nothing but what only reads. It looks at the
// statement's tree before anything of it is bound.
func Check(ctx context.Context, conn *sql.Conn, text string) error {
	if strings.Contains(text, "\x00") {
		return errors.New("it has a NUL character")
	}
	var tree string
	if err := conn.QueryRowContext(ctx, "SELECT json_serialize_sql("+ask.Quote(text)+"::VARCHAR)::VARCHAR").Scan(&tree); err != nil {
		return err
	}
	var parsed struct {
		Error      bool
		Message    string `json:"error_message"`
		Statements []any
	}
	if err := json.Unmarshal([]byte(tree), &parsed); err != nil {
		return fmt.Errorf("read the statement's tree: %w", err)
	}
	switch {
	case parsed.Error && strings.Contains(parsed.Message, "Only SELECT"):
		return errors.New("only SELECT is possible here")
	case parsed.Error:
		return errors.New(parsed.Message)
	case len(parsed.Statements) != 1:
		return fmt.Errorf("it is %d statements, not one", len(parsed.Statements))
	}
	if err := checkTree(parsed.Statements[0]); err != nil {
		return err
	}
	return conn.Raw(func(driverConn any) (err error) {
		stmt, err := driverConn.(driver.Conn).Prepare(text)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stmt.Close()) }()
		kind, err := stmt.(*duckdb.Stmt).StatementType()
		if err != nil {
			return err
		}
		if kind != duckdb.STATEMENT_TYPE_SELECT {
			return errors.New("only SELECT is possible here")
		}
		if n := stmt.NumInput(); n > 0 {
			return fmt.Errorf("it has %d parameters and no values for them", n)
		}
		return nil
	})
}

// checkTree walks a statement's tree and refuses functions that may do more than
// read.
func checkTree(node any) error { return checkNode(node, false) }

// checkNode does it for a part of the tree; table: it is the call of a table function.
func checkNode(node any, table bool) error {
	switch n := node.(type) {
	case []any:
		for _, child := range n {
			if err := checkNode(child, false); err != nil {
				return err
			}
		}
	case map[string]any:
		if name, ok := n["function_name"].(string); ok {
			lower := strings.ToLower(name)
			switch {
			case table && !slices.Contains(tableFunctions(), lower):
				return fmt.Errorf("the table function %q is not possible here", name)
			case slices.Contains(hiddenFunctions(), lower), !table && slices.Contains(bloatingFunctions(), lower):
				return fmt.Errorf("the function %q is not possible here", name)
			}
		}
		// Such a name would be taken for a file, and those of the facts can be read.
		if name, ok := n["table_name"].(string); ok && strings.ContainsAny(name, `./\:*?[`) {
			return fmt.Errorf("%q is no view: files cannot be read", name)
		}
		for key, child := range n {
			if err := checkNode(child, key == "function" && n["type"] == "TABLE_FUNCTION"); err != nil {
				return err
			}
		}
	}
	return nil
}
