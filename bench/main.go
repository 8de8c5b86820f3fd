// Command bench measures a built heed against its goals. Every row names the
// goal, the floor measured in the same run where there is one, and the ratio:
// wall-clock figures of shared machines drift, ratios do not.
//
//	make bench                    all rows; writes bench/out/results.json
//	go run ./bench -only collector
//	go run ./bench load -url http://127.0.0.1:8080 -key bench-key -rate 20000
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"heed/bench/load"
)

// row is one line of the report.
type row struct {
	Group string  `json:"group"`
	What  string  `json:"what"`
	Unit  string  `json:"unit"`
	Value float64 `json:"value"`
	Goal  float64 `json:"goal,omitempty"`
	// AtLeast: the goal is a minimum, not a maximum.
	AtLeast bool    `json:"at_least,omitempty"`
	Floor   float64 `json:"floor,omitempty"`
	Note    string  `json:"note,omitempty"`
}

func (r row) met() bool {
	if r.Goal == 0 {
		return true
	}
	if r.AtLeast {
		return r.Value >= r.Goal
	}
	return r.Value <= r.Goal
}

// bench is one run.
type bench struct {
	ctx      context.Context
	heed     string // binary
	dir      string // for data folders
	duration time.Duration
	rounds   int // of the collector
	events   int // of the facts
	rows     []row
	started  []*process
	long     bool // what takes minutes too
}

func (b *bench) add(r row) {
	b.rows = append(b.rows, r)
	fmt.Println(format(r))
}

func format(r row) string {
	verdict := "      "
	if r.Goal != 0 {
		verdict = "met   "
		if !r.met() {
			verdict = "MISSED"
		}
	}
	line := fmt.Sprintf("%s %-58s %12s %-18s", verdict, r.What, number(r.Value), r.Unit)
	if r.Goal != 0 {
		sign := "<="
		if r.AtLeast {
			sign = ">="
		}
		line += fmt.Sprintf(" goal %s %s", sign, number(r.Goal))
	}
	if r.Floor != 0 {
		line += fmt.Sprintf(" · floor %s, ratio %.2f", number(r.Floor), r.Value/r.Floor)
	}
	if r.Note != "" {
		line += " · " + r.Note
	}
	return line
}

func number(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.2f M", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.0f k", v/1e3)
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "load" {
		exit(runLoad(os.Args[2:]))
	}
	exit(runAll())
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func runAll() (err error) {
	heed := flag.String("heed", "bin/heed", "binary to measure")
	only := flag.String("only", "", "groups to run, by comma: collector, engine, latency, facts, backtest, popup, process, memory, distributed")
	events := flag.Int("events", 10_000_000, "events of the facts, and of the memory, that are measured; 50000000 in a long run")
	seconds := flag.Int("seconds", 4, "length of each load, in seconds")
	rounds := flag.Int("rounds", 3, "how often the collector is measured; the medians count")
	long := flag.Bool("long", false, "measure with ten million active rows: takes minutes and some GB of disk")
	out := flag.String("out", "bench/out/results.json", "where to write the figures")
	flag.Parse()
	if *seconds < 1 || *rounds < 1 || *events < 1 {
		return errors.New("-seconds, -rounds and -events must be at least 1")
	}
	path, err := filepath.Abs(*heed)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("%w (make build, or -heed)", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dir, err := os.MkdirTemp(".", ".bench-") // on the same disk as a data folder would be
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &bench{ctx: ctx, heed: path, dir: dir, duration: time.Duration(*seconds) * time.Second, rounds: *rounds, events: *events, long: *long}
	defer b.killAll()
	for _, g := range []struct {
		name string
		run  func() error
	}{{"collector", b.collector}, {"engine", b.engine}, {"latency", b.latency}, {"facts", b.facts}, {"backtest", b.backtests}, {"popup", b.popup}, {"process", b.process}, {"memory", b.memory}, {"distributed", b.distributed}} {
		if *only != "" && !strings.Contains(","+*only+",", ","+g.name+",") {
			continue
		}
		fmt.Printf("\n== %s\n", g.name)
		if err := g.run(); err != nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
	}
	return b.write(*out)
}

func (b *bench) write(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(map[string]any{
		"at": time.Now().UTC().Format(time.RFC3339), "cpus": runtime.NumCPU(), "go": runtime.Version(), "rows": b.rows,
	}, "", "  ")
	if err != nil {
		return err
	}
	missed := 0
	for _, r := range b.rows {
		if !r.met() {
			missed++
		}
	}
	fmt.Printf("\n%d rows, %d goals missed; figures in %s\n", len(b.rows), missed, path)
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

func runLoad(args []string) error {
	fs := flag.NewFlagSet("load", flag.ExitOnError)
	var cfg load.Config
	fs.StringVar(&cfg.URL, "url", "http://127.0.0.1:8080", "server")
	fs.StringVar(&cfg.Key, "key", "bench-key", "write key")
	fs.IntVar(&cfg.Rate, "rate", 0, "events a second; 0: as fast as answered")
	fs.IntVar(&cfg.Batch, "batch", 20, "events a request")
	fs.IntVar(&cfg.Conns, "conns", 16, "connections")
	fs.IntVar(&cfg.Users, "users", 100_000, "users")
	fs.Float64Var(&cfg.Irrelevant, "irrelevant", 0.95, "share of events that no trigger reads")
	fs.DurationVar(&cfg.Duration, "duration", 10*time.Second, "how long")
	if err := fs.Parse(args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	res, err := load.Run(ctx, cfg)
	fmt.Printf("acknowledged %d events in %.1f s (%.0f/s), refused %d; requests p50 %v, p99 %v, worst %v\n",
		res.Acked, res.Elapsed.Seconds(), float64(res.Acked)/res.Elapsed.Seconds(), res.Refused, res.P50, res.P99, res.Worst)
	return err
}
