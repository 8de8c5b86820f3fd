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
	for _, g := range []struct {
		pkg, name, what string
		goal            float64 // events per second
		perOp           float64 // events per iteration
	}{
		{"./internal/trigger", "BenchmarkStep", "engine in memory, 3 candidate triggers", 1e6, 1},
		{"./internal/trigger", "BenchmarkDiscard", "irrelevant events discarded", 5e6, 1},
		{"./internal/decider", "BenchmarkDecide", "log to durable commit", 4e5, 1},
	} {
		cmd := exec.CommandContext(b.ctx, "go", "test", "-run", "^$", "-bench", "^"+g.name+"$", "-benchmem", "-cpu", "1", "-count", "3", g.pkg)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", g.name, err, out)
		}
		best, allocs, found := bestOf(out, g.name)
		if !found {
			return fmt.Errorf("%s printed no figure:\n%s", g.name, out)
		}
		b.add(row{
			Group: "engine", What: g.what, Unit: "events/s/core", Value: 1e9 / best * g.perOp, Goal: g.goal, AtLeast: true,
			Note: fmt.Sprintf("%g allocs an event", allocs),
		})
	}
	return nil
}

// bestOf reads the fastest of several runs of a benchmark: ns per event
// (ns/event where it reports that, else ns/op) and allocations.
func bestOf(out []byte, name string) (ns, allocs float64, found bool) {
	sc := bufio.NewScanner(bytes.NewReader(out))
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		if len(f) < 4 || !strings.HasPrefix(f[0], name) {
			continue
		}
		figures := map[string]float64{}
		for i := 2; i+1 < len(f); i += 2 {
			if v, err := strconv.ParseFloat(f[i], 64); err == nil {
				figures[f[i+1]] = v
			}
		}
		v, ok := figures["ns/event"]
		if !ok {
			v = figures["ns/op"]
		}
		a, ok := figures["allocs/event"]
		if !ok {
			a = figures["allocs/op"]
		}
		if !found || v < ns {
			ns, allocs, found = v, a, true
		}
	}
	return ns, allocs, found
}
