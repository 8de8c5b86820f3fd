package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/duckdb/duckdb-go/v2"

	"heed/internal/driver/duckdb/ask"
)

// engine is one DuckDB without a database of its own: it computes over hot rows
// and files.
type engine struct {
	connector *duckdb.Connector
	db        *sql.DB
}

// limits are what an engine may use.
type limits struct {
	memory, tempBytes int64
	threads           int
	temp              string // folder
	only              string // folder; nothing else can be opened, and no setting changed any more. "": not confined
}

// openEngine starts DuckDB with the functions of env.
func openEngine(ctx context.Context, l limits, env *environment) (_ *engine, err error) {
	connector, err := duckdb.NewConnector("", nil)
	if err != nil {
		return nil, fmt.Errorf("start DuckDB: %w", err)
	}
	e := &engine{connector: connector, db: sql.OpenDB(connector)}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close())
		}
	}()
	conn, err := e.db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("start DuckDB: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	settings := []string{
		"SET autoinstall_known_extensions=false",
		"SET autoload_known_extensions=false",
		"SET allow_community_extensions=false",
		"SET allow_persistent_secrets=false",
		"SET parquet_metadata_cache=true",
		"SET TimeZone='UTC'",
		fmt.Sprintf("SET threads=%d", l.threads),
		fmt.Sprintf("SET memory_limit='%dB'", l.memory),
		"SET temp_directory=" + quote(l.temp),
		fmt.Sprintf("SET max_temp_directory_size='%dB'", l.tempBytes),
	}
	if l.only != "" {
		settings = append(settings,
			fmt.Sprintf("SET allowed_directories=[%s]", quote(l.only)),
			"SET enable_external_access=false",
			"SET lock_configuration=true",
		)
	}
	for i, s := range settings {
		if i == len(settings)-3 && l.only != "" || i == len(settings)-1 && l.only == "" {
			if err := env.register(ctx, conn); err != nil {
				return nil, fmt.Errorf("start DuckDB: %w", err)
			}
		}
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return nil, fmt.Errorf("start DuckDB: %s: %w", s, err)
		}
	}
	return e, nil
}

func (e *engine) Close() error { return errors.Join(e.db.Close(), e.connector.Close()) }

// quote makes a text a SQL string.
func quote(s string) string { return ask.Quote(s) }

// quoteName makes a text a SQL name.
func quoteName(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// joinClose closes what was in use, also after an error.
func joinClose(err error, c interface{ Close() error }) error { return errors.Join(err, c.Close()) }
