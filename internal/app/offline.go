package app

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"heed/internal/console"
	"heed/internal/decider"
)

// Offline is the admin API on a data folder that no server uses.
type Offline struct {
	Handler http.Handler
	Token   string
	node    *node
}

// Close closes the folder.
func (o *Offline) Close() error { return o.node.close() }

// OpenOffline opens a data folder for the length of a command. Nothing is
// decided or sent meanwhile.
func OpenOffline(ctx context.Context, cfg Config) (*Offline, error) {
	cfg.Demo, cfg.Definitions = false, ""
	if err := cfg.finish(); err != nil {
		return nil, err
	}
	if cfg.Shape != Embedded {
		return nil, errors.New("no server answers: in the distributed shape commands ask a running one; name it with --server or HEED_SERVER")
	}
	log := slog.New(slog.DiscardHandler)
	n, err := openNode(ctx, cfg, log, prometheus.NewRegistry(), func(error) {})
	if err != nil {
		return nil, err
	}
	c, err := n.offline(ctx)
	if err != nil {
		return nil, errors.Join(err, n.close())
	}
	mux := http.NewServeMux()
	c.Register(mux)
	return &Offline{Handler: mux, Token: n.localToken, node: n}, nil
}

// offline makes the console of a folder in which nothing runs; it reads what the
// Decider had committed.
func (n *node) offline(ctx context.Context) (_ *console.Console, err error) {
	n.decider, err = decider.New(n.cfg.Decider, decider.Deps{
		Log: n.db.log, State: n.db.state, Definitions: n.catalog, Logger: n.log, Clock: time.Now,
	})
	if err != nil {
		return nil, err
	}
	if err := n.decider.Load(ctx); err != nil {
		return nil, err
	}
	if !n.cfg.Facts.Off {
		n.folderSQL = &folderFacts{node: n}
	}
	if n.book, err = n.newBook(""); err != nil {
		return nil, err
	}
	if n.audiences, err = n.newAudiences(nil); err != nil {
		return nil, err
	}
	return n.console("", nil, nil)
}
