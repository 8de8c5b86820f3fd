package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const adminToken = "bench-admin-token-0123456789abcdef0123456789ab"

// process is a server under measurement.
type process struct {
	cmd *exec.Cmd
	url string
	dir string // data folder of a heed
	log string // what it printed
}

// killAll ends what is still running after a failure.
func (b *bench) killAll() {
	for _, p := range b.started {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill() // it may have ended by itself
			_ = p.cmd.Wait()
		}
	}
}

// startFloor runs the floor server on the first core.
func (b *bench) startFloor(args ...string) (*process, error) {
	bin := filepath.Join(b.dir, "floor")
	if _, err := os.Stat(bin); err != nil {
		build := exec.CommandContext(b.ctx, "go", "build", "-o", bin, "./bench/floor")
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build the floor: %w\n%s", err, out)
		}
	}
	p := &process{cmd: b.pinned("0", bin, args...)}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	b.started = append(b.started, p)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("the floor did not start: %w", err)
	}
	p.url = strings.TrimSpace(line)
	return p, nil
}

// startHeed runs heed on cores ("" for all) and waits until it is ready.
func (b *bench) startHeed(cores, dir string, args ...string) (*process, time.Duration, error) {
	p := &process{dir: dir}
	args = append([]string{"run", "--definitions", "bench/definitions"}, args...)
	p.cmd = b.pinned(cores, b.heed, args...)
	p.cmd.Env = append(os.Environ(), "HEED_DATA_DIR="+dir, "HEED_LISTEN=127.0.0.1:0", "HEED_ADMIN_TOKEN="+adminToken)
	log, err := os.Create(filepath.Join(b.dir, filepath.Base(dir)+".log"))
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = log.Close() }() // the process has its own
	p.cmd.Stdout, p.cmd.Stderr, p.log = log, log, log.Name()
	_ = os.Remove(filepath.Join(dir, "server.json"))
	begin := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, 0, err
	}
	b.started = append(b.started, p)
	for time.Since(begin) < 30*time.Second {
		if text, err := os.ReadFile(filepath.Join(dir, "server.json")); err == nil {
			var info struct{ URL string }
			if json.Unmarshal(text, &info) == nil && ready(b.ctx, info.URL) {
				p.url = info.URL
				return p, time.Since(begin), nil
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
	text, _ := os.ReadFile(log.Name())
	return nil, 0, fmt.Errorf("heed was not ready in time:\n%s", text)
}

func ready(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

// pinned is a command on the given cores ("" for all), with as many threads that
// run Go. It dies with this process.
func (b *bench) pinned(cores, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(b.ctx, name, args...)
	if cores != "" {
		cmd = exec.CommandContext(b.ctx, "taskset", append([]string{"-c", cores, name}, args...)...)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// cpu is the CPU time that the process has used so far.
func (p *process) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// Fields are counted behind the name, which stands in parentheses.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	const tick = 10 * time.Millisecond // USER_HZ is 100 on Linux
	return time.Duration(user+system) * tick, err
}

// memory is a line of the process's status, in bytes: VmRSS:, VmHWM:.
func (p *process) memory(line string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), line)
	kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	return kb * 1024, err
}

// stop ends the process and waits for it. A heed that does not end well, or not
// at all, is an error; the floor knows no other end than by the signal.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	late := time.AfterFunc(30*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if p.dir == "" && errors.As(err, &exit) {
		return nil
	}
	if err != nil {
		text, _ := os.ReadFile(p.log) // as much as there is
		return fmt.Errorf("stop: %w\n%s", err, text[max(0, len(text)-2000):])
	}
	return nil
}

// process measures the process as a whole.
func (b *bench) process() error {
	dir := filepath.Join(b.dir, "idle")
	p, first, err := b.startHeed("", dir)
	if err != nil {
		return err
	}
	b.add(row{Group: "process", What: "ready, first start", Unit: "s", Value: first.Seconds(), Goal: 2})
	if err := p.stop(); err != nil {
		return err
	}
	p, again, err := b.startHeed("", dir)
	if err != nil {
		return err
	}
	b.add(row{Group: "process", What: "ready, again", Unit: "s", Value: again.Seconds(), Goal: 2})
	select {
	case <-time.After(5 * time.Second): // what the start needed is given back
	case <-b.ctx.Done():
		return b.ctx.Err()
	}
	rss, err := p.memory("VmRSS:")
	if err != nil {
		return err
	}
	b.add(row{Group: "process", What: "idle resident memory", Unit: "MB", Value: rss / 1e6, Goal: 150})
	return p.stop()
}
