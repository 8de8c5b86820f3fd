package main

import (
	"bufio"
	"bytes"
	"fmt"
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
	} {
		pattern := "^" + strings.ReplaceAll(g.name, "/", "$/^") + "$"
		cmd := exec.CommandContext(b.ctx, "go", "test", "-run", "^$", "-bench", pattern, "-benchmem", "-cpu", "1", "-count", "3", g.pkg)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", g.name, err, out)
		}
		best, allocs, found := bestOf(out, g.name)
		if !found {
			return fmt.Errorf("%s printed no figure:\n%s", g.name, out)
		}
		b.add(row{
			Group: "engine", What: g.what, Unit: "events/s/core", Value: 1e9 / best, Goal: g.goal, AtLeast: true,
			Note: fmt.Sprintf("%g allocs an event", allocs),
		})
	}
	return nil
}

// bestOf reads the fastest of several runs of a benchmark whose operation is
// one event: ns and allocations per event.
func bestOf(out []byte, name string) (ns, allocs float64, found bool) {
	sc := bufio.NewScanner(bytes.NewReader(out))
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		if len(f) < 4 || f[0] != name {
			continue
		}
		figures := map[string]float64{}
		for i := 2; i+1 < len(f); i += 2 {
			if v, err := strconv.ParseFloat(f[i], 64); err == nil {
				figures[f[i+1]] = v
			}
		}
		v, a := figures["ns/op"], figures["allocs/op"]
		if !found || v < ns {
			ns, allocs, found = v, a, true
		}
	}
	return ns, allocs, found
}
