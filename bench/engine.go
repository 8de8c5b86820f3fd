package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// engine runs the Go benchmarks of the hot paths and reads their figures.
func (b *bench) engine() error {
	const trigger, decider = "./internal/trigger", "./internal/decider"
	for _, g := range []struct {
		pkg, name, what string
		goal            float64 // events per second
	}{
		{trigger, "BenchmarkStep", "engine in memory, 3 candidate triggers", 1e6},
		{trigger, "BenchmarkDiscard", "irrelevant events discarded by name", 5e6},
		{decider, "BenchmarkDecide/pebble/irrelevant/users=20000", "the same, decoded from the log, to the commit", 5e6},
		{decider, "BenchmarkDecide/pebble/5%/users=20000", "log to commit, 5 % relevant", 4e5},
		{decider, "BenchmarkDecide/pebble/relevant/users=500", "log to commit, all relevant, 500 users", 4e5},
		{decider, "BenchmarkDecide/pebble/relevant/users=20000", "log to commit, all relevant, nearly every event another user", 4e5},
		{decider, "BenchmarkThousand", "log to commit, 1,000 triggers in force, 3 read each name", 0},
		{decider, "BenchmarkOutsiders", "discarded since no trigger is for the user, decoded from the log", 0},
	} {
		best, err := b.goBench(g.pkg, g.name, 3)
		if err != nil {
			return err
		}
		b.add(row{
			Group: "engine", What: g.what, Unit: "events/s/core", Value: 1e9 / best.ns(), Goal: g.goal, AtLeast: true,
			Note: fmt.Sprintf("%g allocs an event", best["allocs/op"]),
		})
	}
	// Ten million rows take some minutes to write.
	users, what := "1000000", "a million"
	if b.long {
		users, what = "10000000", "ten million"
	}
	best, err := b.goBench(decider, "BenchmarkLatency", 1, "-cpu", "2", "-benchtime", "20000x", "HEED_BENCH_ROWS="+users)
	if err != nil {
		return err
	}
	b.add(row{
		Group: "engine", What: "decision in process, " + what + " active rows, p99", Unit: "ms", Value: best["p99-us"] / 1e3, Goal: 1,
		Note: fmt.Sprintf("p50 %.3f ms; rows, profile and timer take %.0f bytes of disk a user", best["p50-us"]/1e3, best["disk-B/user"]),
	})
	return nil
}

// figures are what a Go benchmark printed, by unit.
type figures map[string]float64

// ns is the time of an operation: of the processor where the benchmark tells it,
// since other work on the machine does not count there.
func (f figures) ns() float64 {
	if cpu := f["cpu-s/Mevent"]; cpu > 0 {
		return cpu * 1e3
	}
	return f["ns/op"]
}

// goBench runs a Go benchmark, on one core unless arguments say otherwise, and gives the fastest of its runs.
// Arguments with a = are for its environment.
func (b *bench) goBench(pkg, name string, count int, args ...string) (figures, error) {
	pattern := "^" + strings.ReplaceAll(name, "/", "$/^") + "$"
	cmd := exec.CommandContext(b.ctx, "go", "test", "-run", "^$", "-bench", pattern, "-benchmem", "-cpu", "1", "-count", strconv.Itoa(count), "-timeout", "1h", pkg)
	cmd.Env = os.Environ()
	for _, a := range args {
		if strings.Contains(a, "=") {
			cmd.Env = append(cmd.Env, a)
		} else {
			cmd.Args = append(cmd.Args, a)
		}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	best, found := bestOf(out, name)
	if !found {
		return nil, fmt.Errorf("%s printed no figure:\n%s", name, out)
	}
	return best, nil
}

// bestOf reads the fastest of several runs of a benchmark whose operation is
// one event.
func bestOf(out []byte, name string) (best figures, found bool) {
	sc := bufio.NewScanner(bytes.NewReader(out))
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		if len(f) < 4 || f[0] != name && !strings.HasPrefix(f[0], name+"-") {
			continue
		}
		one := figures{}
		for i := 2; i+1 < len(f); i += 2 {
			if v, err := strconv.ParseFloat(f[i], 64); err == nil {
				one[f[i+1]] = v
			}
		}
		if !found || one.ns() < best.ns() {
			best, found = one, true
		}
	}
	return best, found
}
