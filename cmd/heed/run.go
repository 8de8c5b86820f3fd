package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"heed/internal/app"
)

type runCommand struct {
	Demo        bool     `help:"With a demo shop at /shop/, finished campaigns and a crowd of simulated shoppers."`
	Roles       []string `help:"Run some roles only: ${roles}. Default: all." placeholder:"ROLE,..."`
	Definitions string   `help:"Load definitions from this folder at start; they are read-only elsewhere." type:"path" placeholder:"DIR"`
	Listen      string   `help:"Address to listen on (default 127.0.0.1:8080)." placeholder:"HOST:PORT"`
}

// Run serves until it is told to stop.
func (r runCommand) Run(e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	if r.Demo {
		cfg.Demo = true
	}
	if len(r.Roles) > 0 {
		cfg.Roles = r.Roles
	}
	if r.Definitions != "" {
		cfg.Definitions = r.Definitions
	}
	if r.Listen != "" {
		cfg.Listen = r.Listen
	}
	for _, role := range cfg.Roles {
		if !slices.Contains(app.Roles(), role) {
			return usagef("role %q is not known: one of %s", role, strings.Join(app.Roles(), ", "))
		}
	}
	err = app.Run(e.ctx, cfg, app.Process{Version: version, Out: e.out, Err: e.err})
	if e.ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // told to stop before it had started
	}
	return err
}
