package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"heed/bench/load"
)

// backtests measures what backtests do to the live answer: same-reply mode with
// and without them, in turn, while 20,000 events a second come in. They run one
// after the other without a pause, each with a preview.
func (b *bench) backtests() error {
	p, _, err := b.startHeed("", filepath.Join(b.dir, "backtest"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	background := make(chan error, 1)
	go func() {
		_, err := load.Run(ctx, load.Config{
			URL: p.url, Key: "bench-key", Rate: 20_000, Batch: 20, Conns: 8, Users: 100_000, Irrelevant: 0.95, Duration: 10 * time.Minute,
		})
		background <- err
	}()
	var alone, beside, speeds, previews []float64
	for range b.rounds {
		one, err := probeReply(ctx, p.url)
		if err != nil {
			return err
		}
		alone = append(alone, one[len(one)*99/100])
		during, stop := context.WithCancel(ctx)
		tried := make(chan error, 1)
		go func() {
			var err error
			for err == nil && during.Err() == nil {
				var preview, speed float64
				if preview, speed, err = tryTrigger(during, p.url); err == nil {
					speeds, previews = append(speeds, speed), append(previews, preview)
				}
			}
			tried <- err
		}()
		one, err = probeReply(ctx, p.url)
		stop()
		if tryErr := <-tried; tryErr != nil && !errors.Is(tryErr, context.Canceled) {
			err = errors.Join(err, tryErr)
		}
		if err != nil {
			return err
		}
		beside = append(beside, one[len(one)*99/100])
	}
	cancel()
	if err := <-background; err != nil {
		return err
	}
	if len(speeds) == 0 {
		return errors.New("no backtest came to its end")
	}
	slices.Sort(previews)
	slices.Sort(speeds)
	note := fmt.Sprintf("medians of %d turns; %d backtests", b.rounds, len(speeds))
	b.add(row{Group: "backtest", What: "same-reply mode, p99, beside backtests", Unit: "ms", Value: median(beside), Floor: median(alone), Note: note})
	b.add(row{Group: "backtest", What: "preview, slowest", Unit: "ms", Value: previews[len(previews)-1], Goal: 500})
	b.add(row{Group: "backtest", What: "read beside the load, best", Unit: "events/s", Value: speeds[len(speeds)-1]})
	return p.stop()
}

// tryTrigger runs one backtest and returns how long its preview took, in ms,
// and how fast it read.
func tryTrigger(ctx context.Context, url string) (preview, speed float64, err error) {
	body := `{"days": 1, "preview": true, "trigger": {"pattern": [{"event": "product_view", "times": 3}], "within": "10m", "by": "properties.product_id"}}`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/api/v1/triggers:backtest", bytes.NewReader([]byte(body)))
	if err != nil {
		return 0, 0, err
	}
	req.Header.Set("Authorization", "Bearer "+adminToken)
	begin := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	if resp.StatusCode != http.StatusOK {
		return 0, 0, fmt.Errorf("backtest: %s", resp.Status)
	}
	in := json.NewDecoder(resp.Body)
	for {
		var line struct {
			Estimate *struct{}
			Result   *struct{ EventsPerSecond float64 }
			Error    *struct{ Message string }
		}
		if err := in.Decode(&line); err != nil {
			return 0, 0, fmt.Errorf("backtest: %w", err)
		}
		switch {
		case line.Error != nil:
			return 0, 0, fmt.Errorf("backtest: %s", line.Error.Message)
		case line.Estimate != nil:
			preview = time.Since(begin).Seconds() * 1000
		case line.Result != nil:
			return preview, line.Result.EventsPerSecond, nil
		}
	}
}
