package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"heed/bench/load"
)

// collector measures CPU seconds per million events: both floors, the gateway
// alone, and everything in one process. The server is pinned to the first
// core, the load comes from the second.
func (b *bench) collector() (err error) {
	if err := pinSelf(1); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pinSelf(0, 1)) }()
	const gateway, whole = "gateway alone, durable", "whole (deciding, console)"
	type figure struct{ cpu, rate float64 }
	floors := map[int][2]figure{}
	for _, batch := range []int{20, 1} {
		var f [2]figure
		for i, args := range [][]string{nil, {"-append", filepath.Join(b.dir, "floor.log")}} {
			p, err := b.startFloor(args...)
			if err != nil {
				return err
			}
			if f[i].cpu, f[i].rate, err = b.measure(p, batch); err != nil {
				return err
			}
		}
		floors[batch] = f
		b.add(row{Group: "collector", What: name("floor: net/http, 204", batch), Unit: "CPU s/M events", Value: f[0].cpu, Note: rate(f[0].rate)})
		b.add(row{Group: "collector", What: name("floor: the same + group fdatasync", batch), Unit: "CPU s/M events", Value: f[1].cpu, Note: rate(f[1].rate)})
	}
	for i, c := range []struct {
		what  string
		roles []string
		batch int
		goal  float64
	}{
		{gateway, []string{"--roles", "gateway"}, 20, 3.5},
		{gateway, []string{"--roles", "gateway"}, 1, 28},
		{whole, nil, 20, 10},
	} {
		p, _, err := b.startHeed("0", filepath.Join(b.dir, fmt.Sprint("collector-", i)), c.roles...)
		if err != nil {
			return err
		}
		cpu, perSecond, err := b.measure(p, c.batch)
		if err != nil {
			return err
		}
		b.add(row{
			Group: "collector", What: name(c.what, c.batch), Unit: "CPU s/M events", Value: cpu, Goal: c.goal,
			Floor: floors[c.batch][1].cpu, Note: rate(perSecond),
		})
	}
	return nil
}

func name(what string, batch int) string {
	if batch == 1 {
		return what + ", single"
	}
	return fmt.Sprintf("%s, batch of %d", what, batch)
}

func rate(perSecond float64) string { return number(perSecond) + " events/s" }

// measure loads a server as fast as it answers and ends it: CPU seconds per
// million events, events per second.
func (b *bench) measure(p *process, batch int) (cpu, perSecond float64, err error) {
	cfg := load.Config{URL: p.url, Key: "bench-key", Batch: batch, Conns: 64, Users: 100_000, Irrelevant: 0.95, Duration: time.Second}
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
	return (after - before).Seconds() / float64(res.Acked) * 1e6, float64(res.Acked) / res.Elapsed.Seconds(), p.stop()
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
