package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"heed/internal/app"
	"heed/internal/driver/kafka"
	"heed/internal/event"
	"heed/internal/eventlog"
)

// distributed measures the way from POST to the message on the stream through
// five processes, Kafka, Redis and a server with MongoDB's protocol, and what
// part of it each hop takes.
func (b *bench) distributed() (err error) {
	dir := filepath.Join(b.dir, "engines")
	config := filepath.Join(dir, "heed.yaml")
	if out, err := exec.CommandContext(b.ctx, "scripts/engines", "start", dir).CombinedOutput(); err != nil {
		fmt.Printf("COULD NOT RUN: %s\n", bytes.TrimSpace(out))
		return nil
	}
	defer func() {
		if stop := exec.CommandContext(context.WithoutCancel(b.ctx), "scripts/engines", "stop", dir).Run(); stop != nil {
			err = errors.Join(err, fmt.Errorf("stop the engines: %w", stop))
		}
	}()
	const secret = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	if err := os.Setenv("HEED_SECRET", secret); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Unsetenv("HEED_SECRET")) }()
	var url string
	for _, role := range []string{"gateway", "decider", "engager", "analytics", "console"} {
		p, _, err := b.startHeed("", filepath.Join(b.dir, role), "--config", config, "--roles", role)
		if err != nil {
			return fmt.Errorf("%s: %w", role, err)
		}
		defer func() { err = errors.Join(err, p.stop()) }()
		if role == "gateway" {
			url = p.url
		}
	}
	if _, err := postProbe(b.ctx, url+"/v1/track?wait=2s", "first", 0); err != nil { // connections are opened
		return err
	}
	probes, err := probeStream(b.ctx, url)
	if err != nil {
		return err
	}
	cfg, err := app.Load(config, nil)
	if err != nil {
		return err
	}
	hops, sizes, err := b.hops(cfg.Kafka, probes)
	if err != nil {
		return err
	}
	all := sortedMS(probes)
	b.add(row{Group: "distributed", What: "five processes: POST -> message on the stream, p50", Unit: "ms", Value: all[len(all)/2], Note: sizes})
	b.add(row{Group: "distributed", What: "five processes: POST -> message on the stream, p99", Unit: "ms", Value: all[len(all)*99/100], Goal: 300})
	for i, what := range []string{"POST -> event in Kafka", "-> intent in Kafka (decided)", "-> message written (engaged)", "-> on the stream"} {
		slices.Sort(hops[i])
		b.add(row{
			Group: "distributed", What: "  of it, " + what + ", p50", Unit: "ms", Value: hops[i][len(all)/2],
			Note: fmt.Sprintf("p99 %.1f", hops[i][len(all)*99/100]),
		})
	}
	return nil
}

// hops reads from Kafka when each probe came by: all clocks are this machine's,
// Kafka's in milliseconds. It also tells the sizes of messages.
func (b *bench) hops(cfg kafka.Config, probes []probe) (hops [4][]float64, sizes string, err error) {
	log, err := kafka.Open(b.ctx, cfg, kafka.Deps{})
	if err != nil {
		return hops, "", err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	p := eventlog.PartitionOf("prober", log.Partitions())
	var stored, decided, sent []int64 // µs
	var eventBytes, intentBytes int
	err = drain(b, log, eventlog.Events, p, func(c eventlog.Chunk) error {
		d := event.NewDecoder(c.Data)
		var e event.Event
		for {
			ok, err := d.Next(&e)
			if !ok {
				return err
			}
			switch {
			case e.UserID != "prober":
			case e.Name == "probe":
				stored = append(stored, c.Appended)
				eventBytes = len(c.Data) / c.Count
			case e.Name == event.NameDelivery:
				sent = append(sent, e.Timestamp)
			}
		}
	})
	if err != nil {
		return hops, "", err
	}
	err = drain(b, log, eventlog.Intents, p, func(c eventlog.Chunk) error {
		for range c.Count {
			decided = append(decided, c.Appended)
		}
		intentBytes = len(c.Data) / c.Count
		return nil
	})
	if err != nil {
		return hops, "", err
	}
	n := len(probes)
	if len(stored) != n || len(decided) < n || len(sent) < n {
		return hops, "", fmt.Errorf("%d probes, and %d events, %d intents, %d outcomes in Kafka", n, len(stored), len(decided), len(sent))
	}
	for i, at := range probes {
		stops := []int64{at.posted.UnixMicro(), stored[i], decided[i], sent[i], at.seen.UnixMicro()}
		for hop := range hops {
			hops[hop] = append(hops[hop], float64(stops[hop+1]-stops[hop])/1000)
		}
	}
	return hops, fmt.Sprintf("%d bytes an event, %d an intent", eventBytes, intentBytes), nil
}

// drain reads what a partition holds.
func drain(b *bench, log eventlog.Log, s eventlog.Stream, partition int, see func(eventlog.Chunk) error) error {
	bounds, err := log.Bounds(b.ctx, s, partition)
	if err != nil {
		return err
	}
	r, err := log.Read(b.ctx, s, partition, bounds.First)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // nothing was written
	end := time.Now().Add(time.Minute)
	for at := bounds.First; at < bounds.Next && time.Now().Before(end); {
		c, err := r.Next(b.ctx)
		if err != nil {
			return err
		}
		if err := see(c); err != nil {
			return err
		}
		at = c.Next()
	}
	return nil
}
