package express

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections hold nothing that is on its way.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	close(p.closed)
	return nil
}
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// slowly runs a test where time costs nothing.
func slowly(t *testing.T, f func(t *testing.T, w *world, dial func() *client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		w := &world{t: t, served: make(chan error, 1)}
		w.l = Listen(p, Config{Paths: map[string]http.Handler{"/a": w, "/big": w}})
		w.srv = &http.Server{Handler: w, ReadHeaderTimeout: time.Minute}
		go func() { w.served <- w.srv.Serve(w.l) }()
		f(t, w, func() *client {
			here, there := net.Pipe()
			p.conns <- there
			return &client{t, here, bufio.NewReader(here)}
		})
		if err := errors.Join(w.srv.Close(), w.l.Drain(context.Background())); err != nil {
			t.Error(err)
		}
		if err := <-w.served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

// TestAnswersThatNobodyReads: they end the connection, whoever serves it.
func TestAnswersThatNobodyReads(t *testing.T) {
	for _, text := range []string{post("/a", "x"), "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"} {
		slowly(t, func(t *testing.T, w *world, dial func() *client) {
			c := dial()
			for range 3 { // also after a while, when the deadline is an old one
				c.send(text)
				resp, err := http.ReadResponse(c.r, nil)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, resp.Body); errors.Join(err, resp.Body.Close()) != nil {
					t.Fatal(err)
				}
				time.Sleep(writeTimeout - 30*time.Second)
			}
			c.send(text)
			time.Sleep(writeTimeout / 4)
			synctest.Wait()
			w.l.mu.Lock()
			n := len(w.l.conns)
			w.l.mu.Unlock()
			if n == 0 && strings.HasPrefix(text, "POST") {
				t.Error("the connection did not get its time")
			}
			time.Sleep(writeTimeout)
			c.hearsEnd()
		})
	}
}

func TestHeadsAndBodiesHaveTimesOfTheirOwn(t *testing.T) {
	slowly(t, func(t *testing.T, _ *world, dial func() *client) {
		c := dial()
		text := post("/a", "body")
		for range 3 {
			c.send(text[:10])
			time.Sleep(headTimeout - time.Second)
			c.send(text[10 : len(text)-3])
			time.Sleep(bodyTimeout - time.Second)
			sent := make(chan error, 1)
			go func() { // the next one begins with the end of this one
				_, err := io.WriteString(c, text[len(text)-3:]+text[:5])
				sent <- err
			}()
			c.hears(200, "express POST /a h [] body <nil>")
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
			time.Sleep(headTimeout - time.Second)
			c.send(text[5:])
			c.hears(200, "express POST /a h [] body <nil>")
			time.Sleep(idleTimeout - idleSlack - time.Second)
		}
		for _, b := range []byte(text[:9]) {
			c.send(string(b))
			time.Sleep(time.Second)
		}
		time.Sleep(2 * time.Second)
		c.hearsEnd()
	})
}

func TestABigAnswerIsNotKept(t *testing.T) {
	slowly(t, func(t *testing.T, w *world, dial func() *client) {
		c := dial()
		long := strings.Repeat("x", 4*keepBytes)
		c.send(post("/a", long))
		c.hears(200, "express POST /a h [] "+long+" <nil>")
		synctest.Wait()
		w.l.mu.Lock()
		defer w.l.mu.Unlock()
		for c := range w.l.conns {
			if n := cap(c.answer.out) + cap(c.answer.body); n > keepBytes {
				t.Errorf("an idle connection keeps %d bytes", n)
			}
		}
	})
}
