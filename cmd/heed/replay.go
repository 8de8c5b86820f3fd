package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"heed/internal/definition"
	"heed/internal/replay"
	"heed/internal/trigger"
)

type replayCommand struct {
	Trigger string `required:"" help:"Definition of the trigger (YAML; other kinds in the file are ignored)." type:"path" placeholder:"FILE"`
	Events  string `required:"" help:"Events as JSON lines in order of arrival, as in the native API; - for standard input." placeholder:"FILE"`
	Until   string `help:"Run timers up to this time (RFC 3339); default: the last event." placeholder:"TIME"`
}

// Run prints one JSON line per firing, and the counts on standard error.
func (r replayCommand) Run(e *env) (err error) {
	docs, err := loadDefinitions(r.Trigger)
	if err != nil {
		return err
	}
	var cfg replay.Config
	var problems definition.Problems
	for _, d := range docs {
		t, ok := d.Spec.(*trigger.Definition)
		if !ok {
			continue
		}
		p, err := trigger.Compile(t)
		if te, ok := errors.AsType[*trigger.Error](err); ok {
			problems = append(problems, d.Problem(te.Path, te.Message, ""))
			continue
		}
		if err != nil {
			return fmt.Errorf("trigger %s: %w", d.Name, err)
		}
		cfg.Programs = append(cfg.Programs, p)
	}
	if problems != nil {
		return problems
	}
	if len(cfg.Programs) == 0 {
		return usagef("%s holds no trigger", r.Trigger)
	}
	if r.Until != "" {
		until, err := time.Parse(time.RFC3339Nano, r.Until)
		if err != nil {
			return usagef("--until %q: write it like 2026-03-29T12:00:00Z", r.Until)
		}
		cfg.Until = until.UnixMicro()
	}
	cfg.Events = e.in
	if r.Events != "-" {
		f, err := os.Open(r.Events)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		cfg.Events = f
	}
	counts, err := replay.Run(e.ctx, cfg, func(f replay.Firing) error {
		return replay.WriteFiring(e.out, f)
	})
	if err != nil {
		return err
	}
	return replay.WriteCounts(e.err, counts)
}
