package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"heed/internal/analytics"
	"heed/internal/analytics/avrofiles"
	"heed/internal/analytics/eventsout"
	"heed/internal/console/api"
	"heed/internal/driver/duckdb"
	"heed/internal/eventlog"
	"heed/internal/facts"
	"heed/internal/measure"
)

// factsStore is the facts store with the fold that fills it; nil if the
// configuration leaves it out.
type factsStore struct {
	store *duckdb.Store
	fold  *analytics.Fold
}

// openFacts opens the store and makes the fold.
func (n *node) openFacts() (*factsStore, error) {
	cfg := n.cfg.Facts
	cfg.Reserve = n.cfg.Store.Reserve
	store, err := duckdb.Open(cfg, duckdb.Deps{Partitions: n.db.log.Partitions(), Logger: n.log, Clock: time.Now})
	if err != nil {
		return nil, err
	}
	fold, err := analytics.NewFold(analytics.FoldDeps{Log: n.db.log, Facts: store, Logger: n.log, Registerer: n.registry, Clock: time.Now})
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return &factsStore{store, fold}, nil
}

// run fills the store until ctx ends, then closes it.
func (f *factsStore) run(ctx context.Context) error {
	return errors.Join(f.fold.Run(ctx), f.store.Close())
}

// factsHealth tells how the facts store stands. That it is behind, damaged or
// away degrades analysis only, and is said.
func (n *node) factsHealth(out *api.Health) {
	if n.noFacts != nil {
		out.Status = api.HealthDegraded
		out.Notes = append(out.Notes, fmt.Sprintf("There is no analysis: the facts store could not be opened: %v", n.noFacts))
	}
	if n.facts == nil {
		return
	}
	behind := n.facts.fold.Behind()
	st := n.facts.store.Status()
	h := api.FactsHealth{
		BehindMs: behind.Milliseconds(), Rows: st.Rows, HotRows: st.Hot, Bytes: st.Bytes, Files: st.Files, Users: st.Users,
		Oldest: st.Oldest, Lost: []api.LostFacts{},
	}
	for _, l := range st.Lost {
		h.Lost = append(h.Lost, api.LostFacts{File: l.File, From: l.From, To: l.To, Events: l.Rows, Final: l.Final})
		out.Status = api.HealthDegraded
		state := "is being brought back from the log"
		if l.Final {
			state = "is missing for good as far as the log no longer has it"
		}
		out.Notes = append(out.Notes, fmt.Sprintf("A file of facts was damaged; what it held from %s to %s %s.", l.From.Format(time.DateOnly), l.To.Format(time.DateOnly), state))
	}
	if st.Repair != nil {
		h.Rebuilding = api.FactsRebuild{Done: int64(st.Repair.Done), Total: int64(st.Repair.Total)}
	}
	if st.Err != nil {
		out.Status = api.HealthDegraded
		h.Message = fmt.Sprintf("Events are not written to the disk at the moment: %v", st.Err)
		out.Notes = append(out.Notes, "Analysis: "+h.Message)
	}
	if behind > 10*time.Second {
		out.Notes = append(out.Notes, fmt.Sprintf("Analysis is %s behind.", behind.Round(time.Second)))
	}
	out.Facts = h
}

// behaviorHealth tells how the behavioral index stands. While it loads, and when
// it is given up, the facts answer what they can.
func (n *node) behaviorHealth(out *api.Health) {
	if n.behavior == nil {
		return
	}
	s := n.behavior.Status()
	h := api.BehaviorHealth{State: api.BehaviorHealthState(s.State), Events: s.Events, Users: s.Users, Bytes: s.Bytes, Done: s.Done, Of: s.Of}
	switch s.State {
	case analytics.BehaviorGivenUp:
		h.Message = fmt.Sprintf("The facts answer alone until the next start: %v", s.Err)
		out.Status = api.HealthDegraded
		out.Notes = append(out.Notes, "Behavioral index: "+h.Message)
	case analytics.BehaviorLoading:
		note := "The behavioral index is loading; some questions have to wait for it."
		if s.Err != nil {
			h.Message = fmt.Sprintf("It cannot be loaded at the moment, and is tried again: %v", s.Err)
			out.Status = api.HealthDegraded
			note = "Behavioral index: " + h.Message
		}
		out.Notes = append(out.Notes, note)
	case analytics.BehaviorReady:
	}
	out.Behavior = h
}

// folderFacts answers over a folder that no server uses: it opens the store
// when it is first asked, and takes in what the log has beyond it.
type folderFacts struct {
	node *node
	once sync.Once
	f    *factsStore
	err  error
}

func (o *folderFacts) open(ctx context.Context) error {
	o.once.Do(func() {
		if o.f, o.err = o.node.openFacts(); o.err == nil {
			o.err = o.f.fold.CatchUp(ctx)
		}
	})
	return o.err
}

// SQL is facts.Store's.
func (o *folderFacts) SQL(ctx context.Context, text string, opts facts.Options) (facts.Rows, error) {
	if err := o.open(ctx); err != nil {
		return nil, err
	}
	return o.f.store.SQL(ctx, text, opts)
}

// Parquet is facts.Files'.
func (o *folderFacts) Parquet(ctx context.Context, text string, opts facts.Options) (*os.File, error) {
	if err := o.open(ctx); err != nil {
		return nil, err
	}
	return o.f.store.Parquet(ctx, text, opts)
}

// ParquetOf is facts.Files'.
func (o *folderFacts) ParquetOf(ctx context.Context, head []measure.Column, rows [][]any) (*os.File, error) {
	if err := o.open(ctx); err != nil {
		return nil, err
	}
	return o.f.store.ParquetOf(ctx, head, rows)
}

func (o *folderFacts) close() error {
	if o == nil || o.f == nil {
		return nil
	}
	return o.f.store.Close()
}

// addSinks makes what writes events for others.
func (n *node) addSinks(add func(name string, run func(context.Context) error, ready func() error)) error {
	if !n.cfg.Avro.Off {
		files, err := avrofiles.New(n.cfg.Avro, avrofiles.Deps{Log: n.db.log, Dir: n.folder.path(avroFolder), Logger: n.log, Registerer: n.registry, Clock: time.Now})
		if err != nil {
			return err
		}
		add("avro files", files.Run, files.Ready)
		if err := n.watch("avro files", "avro", eventlog.Events, files.Next); err != nil {
			return err
		}
	}
	if n.cfg.EventsOut.Off() {
		return nil
	}
	out, err := eventsout.New(n.cfg.EventsOut, eventsout.Deps{Log: n.db.log, Documents: n.db.documents, Logger: n.log, Registerer: n.registry})
	if err != nil {
		return err
	}
	add("events out", out.Run, out.Ready)
	return n.watch("events out", "events_out", eventlog.Events, out.Next)
}
