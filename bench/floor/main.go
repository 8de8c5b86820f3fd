// Command floor is the least that a collector in Go can cost: net/http that
// reads the body and answers 204, with --append also a group-committed
// fdatasync before the answer. Heed's own figures are read beside it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	path := flag.String("append", "", "append the bodies to this file, durably, before answering")
	flag.Parse()
	if err := serve(*path); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

func serve(path string) error {
	var log *appender
	if path != "" {
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		log = &appender{file: f, wake: make(chan struct{}, 1)}
		go log.run()
	}
	pool := sync.Pool{New: func() any { b := make([]byte, 0, 64<<10); return &b }}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		buf := pool.Get().(*[]byte)
		defer pool.Put(buf)
		b := (*buf)[:0]
		for {
			n, err := r.Body.Read(b[len(b):cap(b)])
			b = b[:len(b)+n]
			if err != nil || len(b) == cap(b) {
				if err != nil && !errors.Is(err, io.EOF) {
					w.WriteHeader(http.StatusBadRequest)
					return
				}
				break
			}
		}
		if log != nil {
			if err := log.append(b); err != nil {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
		}
		w.WriteHeader(http.StatusNoContent)
	})
	ln, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("http://" + ln.Addr().String())
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	return srv.Serve(ln)
}

// appender writes what waits in one write and one fdatasync.
type appender struct {
	file *os.File
	wake chan struct{}

	mu      sync.Mutex
	pending []byte
	waiting []chan error
}

func (a *appender) append(b []byte) error {
	done := make(chan error, 1)
	a.mu.Lock()
	a.pending = append(a.pending, b...)
	a.waiting = append(a.waiting, done)
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
	return <-done
}

func (a *appender) run() {
	var spare []byte
	for range a.wake {
		a.mu.Lock()
		data, waiting := a.pending, a.waiting
		a.pending, a.waiting = spare[:0], nil
		a.mu.Unlock()
		_, err := a.file.Write(data)
		if err == nil {
			err = unix.Fdatasync(int(a.file.Fd()))
		}
		for _, w := range waiting {
			w <- err
		}
		spare = data
	}
}
