package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
)

// popup measures, in a real Chromium, from the click that completes a trigger
// to its pop-up on the screen, with the page's own clock.
func (b *bench) popup() error {
	if _, err := os.Stat("/usr/bin/chromium"); errors.Is(err, fs.ErrNotExist) {
		fmt.Println("COULD NOT RUN: there is no /usr/bin/chromium")
		return nil
	}
	cmd := exec.CommandContext(b.ctx, "npm", "--prefix", "web/e2e", "run", "--silent", "bench:popup")
	cmd.Env = append(os.Environ(), "HEED_BIN="+b.heed)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("npm run bench:popup: %w\n%s", err, out)
	}
	var figures struct {
		P50, P99 float64
		N        int
	}
	if err := json.Unmarshal(out, &figures); err != nil {
		return fmt.Errorf("read the figures: %w in %q", err, out)
	}
	b.add(row{Group: "popup", What: "click -> pop-up visible in Chromium, p50", Unit: "ms", Value: figures.P50})
	b.add(row{
		Group: "popup", What: "click -> pop-up visible in Chromium, p99", Unit: "ms", Value: figures.P99, Goal: 150,
		Note: fmt.Sprintf("%d tries", figures.N),
	})
	return nil
}
