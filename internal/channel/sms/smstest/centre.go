// Package smstest owns a message centre for tests: an SMPP server of another make
// (the npm package smpp), in a process of its own.
package smstest

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

//go:embed centre.cjs
var script string

// Patience is how long a test waits for what must happen.
const Patience = 60 * time.Second

// Event is what the message centre says happened (centre.cjs).
type Event struct {
	Event, ID, From, To, Text, UDH, System, Password string
	FromTON, ToTON, Coding, Receipt, Status, Version int
	Port                                             int
	Payload                                          bool
}

// Centre is the message centre. It serves one test, and is not for concurrent use.
type Centre struct {
	Port   int
	t      *testing.T
	in     io.Writer
	events chan Event
	kept   []Event // that nobody has awaited yet
}

// Start starts one, which ends with the test. It needs node, and what web's lock
// file installs. env are variables that centre.cjs names.
func Start(t *testing.T, env ...string) *Centre {
	t.Helper()
	cmd := exec.CommandContext(context.Background(), "node", "-e", script) // it ends with its input
	cmd.Env = append(append(os.Environ(), "NODE_PATH="+filepath.Join(root(t), "web", "node_modules")), env...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("node is needed: %v", err)
	}
	c := &Centre{t: t, in: in, events: make(chan Event, 1000)}
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(c.events)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var e Event
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				t.Errorf("the message centre says %q", lines.Text())
			}
			c.events <- e
		}
	})
	t.Cleanup(func() {
		_ = in.Close() // which ends it
		reading.Wait()
		_ = cmd.Wait() // how it ends says nothing of what is tested
	})
	c.Port = c.Await("listening").Port
	return c
}

// root is the module's folder.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			break
		}
		dir = up
	}
	t.Fatalf("no go.mod above %s: %v", dir, err)
	return ""
}

// Do gives an order.
func (c *Centre) Do(order map[string]any) {
	c.t.Helper()
	b, err := json.Marshal(order)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.in.Write(append(b, '\n')); err != nil {
		c.t.Fatal(err)
	}
	if order["do"] == "behave" {
		c.Await("behaving")
	}
}

// Await gives the first event of a kind that it has not given yet.
func (c *Centre) Await(kind string) Event {
	c.t.Helper()
	is := func(e Event) bool { return e.Event == kind }
	if i := slices.IndexFunc(c.kept, is); i >= 0 {
		e := c.kept[i]
		c.kept = slices.Delete(c.kept, i, i+1)
		return e
	}
	timeout := time.After(Patience)
	for {
		select {
		case e, ok := <-c.events:
			if !ok {
				c.t.Fatalf("the message centre ended before it said %q", kind)
			}
			if is(e) {
				return e
			}
			c.kept = append(c.kept, e)
		case <-timeout:
			c.t.Fatalf("the message centre did not say %q", kind)
		}
	}
}

// Said counts the events of a kind so far that Await has not given.
func (c *Centre) Said(kind string) (n int) {
	for {
		select {
		case e, ok := <-c.events:
			if ok {
				c.kept = append(c.kept, e)
				continue
			}
		default:
		}
		for _, e := range c.kept {
			if e.Event == kind {
				n++
			}
		}
		return n
	}
}
