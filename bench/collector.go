package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"heed/bench/load"
)

// What the goals were set beside: CPU seconds per million events of the floor
// with fdatasync, on the machine that they were set on.
const (
	setBesideBatch  = 1.75
	setBesideSingle = 23.6
)

// subject is one server under load.
type subject struct {
	what    string
	batch   int
	users   int // 0: as many as nearly make every event somebody's first
	start   func() (*process, error)
	goal    float64
	against int // subject that is its floor, or -1

	cpu, rate []float64 // by round
}

// collector measures CPU seconds per million events: both floors, the gateway
// alone, and everything in one process. The server is pinned to the first
// core, the load comes from the second. Every round measures everything once, so
// that a busy spell of the machine meets the floor as well; the medians count.
func (b *bench) collector() (err error) {
	if err := pinSelf(1); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pinSelf(0, 1)) }()
	floor := func(args ...string) func() (*process, error) {
		return func() (*process, error) { return b.startFloor(args...) }
	}
	folders := 0
	heed := func(args ...string) func() (*process, error) {
		return func() (*process, error) {
			folders++
			p, _, err := b.startHeed("0", filepath.Join(b.dir, fmt.Sprint("collector-", folders)), args...)
			return p, err
		}
	}
	durable := floor("-append", filepath.Join(b.dir, "floor.log"))
	gateway := heed("--roles", "gateway")
	all := []*subject{
		{what: "floor: net/http, 204", batch: 20, start: floor(), against: -1},
		{what: "floor: the same + group fdatasync", batch: 20, start: durable, against: -1},
		{what: "gateway alone, durable", batch: 20, start: gateway, goal: 3.5, against: 1},
		{what: "whole, most users new", batch: 20, start: heed(), goal: 10, against: 1},
		{what: "whole, users who come back", batch: 20, users: 5_000, start: heed(), goal: 10, against: 1},
		{what: "floor: net/http, 204", batch: 1, start: floor(), against: -1},
		{what: "floor: the same + group fdatasync", batch: 1, start: durable, against: -1},
		{what: "gateway alone, durable", batch: 1, start: gateway, goal: 28, against: 6},
	}
	for range b.rounds {
		for _, s := range all {
			p, err := s.start()
			if err != nil {
				return err
			}
			cpu, rate, err := b.measure(p, s.batch, cmp.Or(s.users, 100_000))
			if err := errors.Join(err, p.stop()); err != nil {
				return fmt.Errorf("%s: %w", name(s.what, s.batch), err)
			}
			s.cpu, s.rate = append(s.cpu, cpu), append(s.rate, rate)
			if p.dir != "" {
				if err := os.RemoveAll(p.dir); err != nil {
					return err
				}
			}
		}
	}
	for _, s := range all {
		r := row{Group: "collector", What: name(s.what, s.batch), Unit: "CPU s/M events", Value: median(s.cpu), Note: rate(median(s.rate))}
		if s.against >= 0 {
			r.Floor = median(all[s.against].cpu)
			// A slower machine moves the goal, by as much as it does the floor.
			beside := setBesideBatch
			if s.batch == 1 {
				beside = setBesideSingle
			}
			r.Goal = s.goal * max(1, r.Floor/beside)
			r.Note += fmt.Sprintf("; the goal is %g where the floor is %g", s.goal, beside)
		}
		b.add(r)
	}
	return nil
}

// median of figures, which it sorts.
func median(of []float64) float64 {
	slices.Sort(of)
	if n := len(of); n%2 == 0 {
		return (of[n/2-1] + of[n/2]) / 2
	}
	return of[len(of)/2]
}

func name(what string, batch int) string {
	if batch == 1 {
		return what + ", single"
	}
	return fmt.Sprintf("%s, batch of %d", what, batch)
}

func rate(perSecond float64) string { return number(perSecond) + " events/s" }

// measure loads a server as fast as it answers: CPU seconds per million events,
// events per second.
func (b *bench) measure(p *process, batch, users int) (cpu, perSecond float64, err error) {
	cfg := load.Config{URL: p.url, Key: "bench-key", Batch: batch, Conns: 64, Users: users, Irrelevant: 0.95, Duration: time.Second}
	if _, err := load.Run(b.ctx, cfg); err != nil { // warm up
		return 0, 0, err
	}
	cfg.Duration = b.duration
	before, err := p.cpu()
	if err != nil {
		return 0, 0, err
	}
	res, err := load.Run(b.ctx, cfg)
	if err != nil {
		return 0, 0, err
	}
	after, err := p.cpu()
	if err != nil {
		return 0, 0, err
	}
	if res.Refused > 0 || res.Acked == 0 {
		return 0, 0, fmt.Errorf("%d events acknowledged, %d refused", res.Acked, res.Refused)
	}
	return (after - before).Seconds() / float64(res.Acked) * 1e6, float64(res.Acked) / res.Elapsed.Seconds(), nil
}

// pinSelf puts every thread of this process on the given cores.
func pinSelf(cores ...int) error {
	set := new(unix.CPUSet)
	for _, c := range cores {
		set.Set(c)
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(id, set); err != nil {
			return fmt.Errorf("pin the load to cores %v: %w", cores, err)
		}
	}
	return nil
}
