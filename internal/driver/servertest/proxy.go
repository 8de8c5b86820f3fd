package servertest

import (
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// Proxy passes bytes between clients and a server. Its methods may be called
// concurrently.
type Proxy struct {
	ln     net.Listener
	server string
	going  sync.WaitGroup
	deaf   atomic.Bool

	mu      sync.Mutex
	changed sync.Cond
	cut     bool // new connections are closed at once
	held    bool // what is sent stays here
	conns   map[net.Conn]struct{}
}

// NewProxy is a proxy that ends with the test.
func NewProxy(t testing.TB, server string) *Proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, ln, server)
}

// NewTLSProxy is one that speaks TLS with its clients; ca is the file that its
// certificate can be checked with.
func NewTLSProxy(t testing.TB, server string) (ca string, p *Proxy) {
	t.Helper()
	ca, keys := Certify(t)
	pair, err := tls.LoadX509KeyPair(ca, keys)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	return ca, serve(t, ln, server)
}

func serve(t testing.TB, ln net.Listener, server string) *Proxy {
	p := &Proxy{ln: ln, server: server, conns: make(map[net.Conn]struct{})}
	p.changed.L = &p.mu
	p.going.Go(p.accept)
	t.Cleanup(func() {
		_ = ln.Close()
		p.Cut()
		p.going.Wait()
	})
	return p
}

// Addr is where clients reach it.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

func (p *Proxy) accept() {
	for {
		client, err := p.ln.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		if p.cut {
			_, _ = client.Close(), server.Close()
			p.mu.Unlock()
			continue
		}
		p.conns[client], p.conns[server] = struct{}{}, struct{}{}
		p.mu.Unlock()
		p.going.Go(func() { p.pass(server, client, false) })
		p.going.Go(func() { p.pass(client, server, true) })
	}
}

// pass copies; while the proxy is deaf, answers are thrown away.
func (p *Proxy) pass(to, from net.Conn, answers bool) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.await()
		if n > 0 && (!answers || !p.deaf.Load()) {
			if _, werr := to.Write(buf[:n]); werr != nil {
				err = werr
			}
		}
		if err != nil {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range []net.Conn{to, from} {
		_ = c.Close()
		delete(p.conns, c)
	}
}

// await returns when what is sent may pass; not even the end of a connection does
// while it may not.
func (p *Proxy) await() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.held {
		p.changed.Wait()
	}
}

// Hold lets nothing pass in either direction from now on, and tells nobody:
// connections stay open, new ones are made, and what is sent by them comes late.
func (p *Proxy) Hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = true
}

// Cut ends what is under way and lets nothing through.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut, p.held = true, false
	p.changed.Broadcast()
	for c := range p.conns {
		_ = c.Close()
	}
}

// Mend lets clients through again, who are answered; what was held comes now.
func (p *Proxy) Mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut, p.held = false, false
	p.changed.Broadcast()
	p.deaf.Store(false)
}

// Deafen throws answers away from now on: the server does what nobody is told.
func (p *Proxy) Deafen() { p.deaf.Store(true) }
