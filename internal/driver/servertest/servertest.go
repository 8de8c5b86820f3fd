// Package servertest owns what the packages have in common that start real servers
// for tests: addresses of the loopback interface, processes that end with the test,
// a certificate, and a proxy that holds up what is sent, and loses answers and connections. It is used by tests
// only.
//
// It does not own any server: how each is found, set up and asked whether it is ready
// is its own package's.
package servertest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// ready bounds how long servers may take to start on a slow machine.
const ready = 2 * time.Minute

// Free is an address that nobody listens on, with a port that no outgoing connection
// is given (below 32768): so a server finds it again when it is launched anew.
func Free(t testing.TB) string {
	t.Helper()
	for range 1000 {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(22_000)))
		if err != nil {
			continue
		}
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
		return ln.Addr().String()
	}
	t.Fatal("no port is free")
	return ""
}

// Process is the process of a server, which may end and be launched again. Its
// methods are called by one goroutine at a time.
type Process struct {
	t      testing.TB
	name   string
	output string
	cmd    *exec.Cmd     // nil: it does not run
	ended  chan struct{} // closed when the process has ended
}

// NewProcess is a process that is not launched yet. It ends with the test, which then
// logs the end of what it printed if the test has failed; that is kept in dir.
func NewProcess(t testing.TB, name, dir string) *Process {
	p := &Process{t: t, name: name, output: filepath.Join(dir, "output")}
	t.Cleanup(func() {
		p.Kill()
		if text := p.said(); t.Failed() && len(text) > 0 {
			t.Logf("%s said at the end:\n%s", p.name, text)
		}
	})
	return p
}

// said is the end of what the server printed.
func (p *Process) said() []byte {
	text, _ := os.ReadFile(p.output) // nothing, if it never ran
	text = bytes.TrimSpace(text)
	return text[max(0, len(text)-4000):]
}

// Launch runs the command.
func (p *Process) Launch(cmd *exec.Cmd) {
	p.t.Helper()
	out, err := os.OpenFile(p.output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = out.Close() }() // the process has its own
	cmd.Stdout, cmd.Stderr = out, out
	DieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		p.t.Fatalf("start %s: %v", p.name, err)
	}
	ended := make(chan struct{})
	p.cmd, p.ended = cmd, ended
	go func() {
		_ = cmd.Wait() // it is killed
		close(ended)
	}()
}

// Await waits until the server is as it should be.
func (p *Process) Await(what string, ok func(context.Context) error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), ready)
	defer cancel()
	for {
		err := ok(ctx)
		if err == nil {
			return
		}
		select {
		case <-p.ended:
			p.t.Fatalf("%s ended by itself", p.name)
		case <-ctx.Done():
			p.t.Fatalf("%s: not that it %s: %v", p.name, what, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Kill ends the server, if it runs, as kill -9 does.
func (p *Process) Kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.ended
	p.cmd = nil
}

// Pause stops the server in its tracks; its connections stay open.
func (p *Process) Pause() { p.signal(syscall.SIGSTOP) }

// Resume lets a paused server go on.
func (p *Process) Resume() { p.signal(syscall.SIGCONT) }

func (p *Process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("%s to %s: %v", s, p.name, err)
	}
}
