package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"heed/bench/load"
)

const probes = 500

// latency measures from POST to the message on the user's stream, and the same
// on the very same request, while 20,000 events a second come in of which 95 %
// are irrelevant.
func (b *bench) latency() error {
	p, _, err := b.startHeed("", filepath.Join(b.dir, "latency"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	background := make(chan error, 1)
	var res load.Result
	go func() {
		var err error
		res, err = load.Run(ctx, load.Config{
			URL: p.url, Key: "bench-key", Rate: 20_000, Batch: 20, Conns: 8, Users: 100_000, Irrelevant: 0.95, Duration: 5 * time.Minute,
		})
		background <- err
	}()
	sync, err := fdatasyncP99(b.dir)
	if err != nil {
		return err
	}
	stream, err := probeStream(ctx, p.url)
	if err != nil {
		return err
	}
	answers := sortedMS(stream)
	same, err := probeReply(ctx, p.url)
	if err != nil {
		return err
	}
	cancel()
	if err := <-background; err != nil {
		return err
	}
	note := fmt.Sprintf("%d probes beside %s; fdatasync p99 %.1f ms", probes, rate(float64(res.Acked)/res.Elapsed.Seconds()), sync)
	// A slow disk moves the goal: four times the same run's fdatasync p99.
	p99Goal := max(50, 4*sync)
	b.add(row{Group: "latency", What: "POST -> message on the stream, p50", Unit: "ms", Value: answers[len(answers)/2], Goal: 10, Note: note})
	b.add(row{Group: "latency", What: "POST -> message on the stream, p99", Unit: "ms", Value: answers[len(answers)*99/100], Goal: p99Goal, Floor: sync})
	b.add(row{Group: "latency", What: "same-reply mode, p99", Unit: "ms", Value: same[len(same)*99/100], Goal: p99Goal, Floor: sync})
	return p.stop()
}

// probe is one event and its message.
type probe struct{ posted, seen time.Time }

func sortedMS(all []probe) []float64 {
	out := make([]float64, len(all))
	for i, p := range all {
		out[i] = p.seen.Sub(p.posted).Seconds() * 1000
	}
	slices.Sort(out)
	return out
}

// probeStream posts one event at a time and waits for its message.
func probeStream(ctx context.Context, url string) ([]probe, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/v1/messages/stream?writeKey=bench-key&userId=prober", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // read to no end
	messages := make(chan string, 16)
	go func() {
		defer close(messages)
		sc := bufio.NewScanner(resp.Body)
		sc.Buffer(nil, 1<<20)
		for sc.Scan() {
			if data, ok := strings.CutPrefix(sc.Text(), "data: "); ok {
				messages <- data
			}
		}
	}()
	var out []probe
	for n := range probes {
		want := "<b>" + strconv.Itoa(n) + "</b>"
		begin := time.Now()
		if _, err := postProbe(ctx, url+"/v1/track", "prober", n); err != nil {
			return nil, err
		}
		for {
			select {
			case data, open := <-messages:
				if !open {
					return nil, errors.New("the stream ended")
				}
				var m struct{ HTML string }
				if err := json.Unmarshal([]byte(data), &m); err != nil {
					return nil, err
				}
				if m.HTML != want {
					continue // of an earlier probe
				}
			case <-time.After(10 * time.Second):
				return nil, fmt.Errorf("probe %d: no message within 10 s", n)
			}
			break
		}
		out = append(out, probe{begin, time.Now()})
	}
	return out, nil
}

// probeReply asks for the message on the very same request.
func probeReply(ctx context.Context, url string) ([]float64, error) {
	var out []float64
	for n := range probes {
		begin := time.Now()
		answer, err := postProbe(ctx, url+"/v1/track?wait=2s", "replied", n)
		if err != nil {
			return nil, err
		}
		if len(answer.Messages) != 1 {
			return nil, fmt.Errorf("probe %d: the reply carries %d messages, want 1", n, len(answer.Messages))
		}
		out = append(out, time.Since(begin).Seconds()*1000)
	}
	slices.Sort(out)
	return out, nil
}

type probeAnswer struct {
	Messages []struct{ HTML string }
}

func postProbe(ctx context.Context, url, user string, n int) (a probeAnswer, err error) {
	body := fmt.Sprintf(`{"writeKey":"bench-key","event":"probe","userId":%q,"properties":{"n":%d}}`, user, n)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader([]byte(body)))
	if err != nil {
		return a, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return a, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	if resp.StatusCode != http.StatusOK {
		return a, fmt.Errorf("probe %d: %s", n, resp.Status)
	}
	return a, json.NewDecoder(resp.Body).Decode(&a)
}

// fdatasyncP99 is what one small durable write costs now, in ms.
func fdatasyncP99(dir string) (ms float64, err error) {
	f, err := os.Create(filepath.Join(dir, "fdatasync"))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	block := make([]byte, 4096)
	var all []float64
	for range 300 {
		begin := time.Now()
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return 0, err
		}
		all = append(all, time.Since(begin).Seconds()*1000)
	}
	slices.Sort(all)
	return all[len(all)*99/100], nil
}
