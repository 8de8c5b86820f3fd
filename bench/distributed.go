package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"heed/internal/app"
	"heed/internal/driver/kafka"
	"heed/internal/event"
	"heed/internal/eventlog"
)

// distributed measures Heed in several processes on Kafka, Redis and a server with
// MongoDB's protocol.
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
	cfg, err := app.Load(config, nil)
	if err != nil {
		return err
	}
	if err := b.way(config, &cfg); err != nil {
		return err
	}
	return b.scale(config, &cfg)
}

// way measures from POST to the message on the stream through five processes, and
// what part of it each hop takes.
func (b *bench) way(config string, cfg *app.Config) (err error) {
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

// scaleEvents are decided by 1, 2 and 4 processes.
const scaleEvents = 4_000_000

// scale measures what a Decider uses when several share the partitions: each on
// one thread, the same log from its beginning, on an empty Redis.
func (b *bench) scale(config string, cfg *app.Config) (err error) {
	if err := b.fill(cfg.Kafka); err != nil {
		return err
	}
	if err := os.Setenv("GOMAXPROCS", "1"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Unsetenv("GOMAXPROCS")) }()
	if len(cfg.Redis.Addrs) != 1 {
		return errors.New("redis: the runs begin on an empty server, so redis.addrs must name one; sentinels and clusters are not measured")
	}
	store := redis.NewClient(&redis.Options{Addr: cfg.Redis.Addrs[0]})
	defer func() { err = errors.Join(err, store.Close()) }()
	start, err := b.idleStart(config)
	if err != nil {
		return err
	}
	alone := 0.0
	// The first run appends what every run derives (session_start), so that the
	// others have the same log before them.
	for run, n := range []int{1, 1, 2, 4} {
		if err := store.FlushAll(b.ctx).Err(); err != nil {
			return err
		}
		var deciders []*process
		begun := time.Now()
		for i := range n {
			p, _, err := b.startHeed("", filepath.Join(b.dir, fmt.Sprint("scale-", run, "-", i)), "--config", config, "--roles", "decider")
			if err != nil {
				return err
			}
			deciders = append(deciders, p)
		}
		for behind := true; behind; {
			select {
			case <-b.ctx.Done():
				return b.ctx.Err()
			case <-time.After(100 * time.Millisecond):
			}
			if behind, err = b.behind(deciders); err != nil {
				return err
			}
		}
		elapsed := time.Since(begun)
		var used time.Duration
		for _, p := range deciders {
			cpu, err := p.cpu()
			if err != nil {
				return err
			}
			used += cpu
		}
		for _, p := range deciders {
			if err := p.stop(); err != nil {
				return err
			}
		}
		if run == 0 {
			continue
		}
		r := row{
			Group: "distributed", What: fmt.Sprintf("%d decider processes on one log, CPU", n), Unit: "s/M events",
			Value: (used - time.Duration(n)*start).Seconds() * 1e6 / scaleEvents,
			Note:  fmt.Sprintf("%.0f s on the clock; without %.1f s for each start", elapsed.Seconds(), start.Seconds()),
		}
		if n == 1 {
			alone = r.Value
		} else {
			r.Goal = alone * 1.1
		}
		b.add(r)
	}
	return nil
}

// idleStart is the CPU time of a Decider's start where there is nothing to decide.
func (b *bench) idleStart(config string) (cpu time.Duration, err error) {
	names := []string{"HEED_KAFKA_PREFIX", "HEED_REDIS_PREFIX"}
	for _, name := range names {
		if err := os.Setenv(name, "idle."); err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, os.Unsetenv(name)) }()
	}
	p, _, err := b.startHeed("", filepath.Join(b.dir, "scale-idle"), "--config", config, "--roles", "decider")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	return p.cpu()
}

// fill appends events as shops send them, of which one in twenty means something
// to a trigger.
func (b *bench) fill(cfg kafka.Config) (err error) {
	log, err := kafka.Open(b.ctx, cfg, kafka.Deps{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	rng := rand.New(rand.NewPCG(1, 2))
	const lane, lanes = 500, 40 // events of an append to a partition
	for done := 0; done < scaleEvents; {
		batches := make([]*eventlog.Batch, log.Partitions())
		for p := range batches {
			batches[p] = &eventlog.Batch{Partition: p}
		}
		for range lane * lanes {
			now := time.Now().UnixMicro()
			e := event.Event{
				MessageID: fmt.Sprint("s", done), Type: event.Track, Name: "product_seen", UserID: fmt.Sprint("u", rng.IntN(100_000)), Source: "bench",
				Timestamp: now, ReceivedAt: now, Properties: []byte(`{"product_id":"sku-` + fmt.Sprint(rng.IntN(500)) + `","price":19.95,"currency":"EUR","category":"garden"}`),
			}
			if done%20 == 0 {
				e.Name = "product_view"
			}
			done++
			batch := batches[eventlog.PartitionOf(e.UserID, len(batches))]
			batch.Data = event.AppendEvent(batch.Data, &e)
			batch.Ends = append(batch.Ends, len(batch.Data))
			batch.Keys = append(batch.Keys, event.KeyOf(e.Source, e.MessageID))
		}
		if err := log.Append(b.ctx, eventlog.Events, batches); err != nil {
			return err
		}
	}
	return nil
}

// behind tells whether something in the log is not decided, or a partition nobody's.
func (b *bench) behind(deciders []*process) (bool, error) {
	partitions := 0
	for _, p := range deciders {
		req, err := http.NewRequestWithContext(b.ctx, http.MethodGet, p.url+"/metrics", nil)
		if err != nil {
			return false, err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false, err
		}
		text, err := io.ReadAll(resp.Body)
		if err = errors.Join(err, resp.Body.Close()); err != nil {
			return false, err
		}
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "heed_decider_behind_seconds{") {
				partitions++
				if !strings.HasSuffix(line, " 0\n") {
					return true, nil
				}
			}
		}
	}
	return partitions != kafka.DefaultPartitions, nil
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
	for until := time.Now().Add(10 * time.Second); len(sent) < len(probes) && time.Now().Before(until); { // outcomes are written a moment later
		stored, sent = nil, nil
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
