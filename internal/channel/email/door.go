package email

import (
	"net"
	"sync"
	"time"
)

// door is a listener that lets only so many connections of one host in at a time, and
// none for ever: whoever keeps all places busy, or takes a minute for each byte, keeps
// others out only that long.
type door struct {
	net.Listener

	mu     sync.Mutex
	inside map[string]int // by host
}

// Accept implements net.Listener.
func (d *door) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
		if err != nil {
			host = conn.RemoteAddr().String()
		}
		if d.enter(host) {
			return &guest{Conn: conn, ends: time.Now().Add(longestReturn), leave: sync.OnceFunc(func() { d.left(host) })}, nil
		}
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second)) // to tell is a courtesy
		_, _ = conn.Write([]byte("421 4.7.0 too many connections of yours at once\r\n"))
		_ = conn.Close()
	}
}

func (d *door) enter(host string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.inside[host] >= maxOfOneHost {
		return false
	}
	d.inside[host]++
	return true
}

func (d *door) left(host string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.inside[host]--; d.inside[host] <= 0 {
		delete(d.inside, host)
	}
}

// guest is a connection that ends.
type guest struct {
	net.Conn
	ends  time.Time
	leave func()
}

// SetReadDeadline implements net.Conn.
func (g *guest) SetReadDeadline(t time.Time) error { return g.Conn.SetReadDeadline(g.bounded(t)) }

// SetWriteDeadline implements net.Conn.
func (g *guest) SetWriteDeadline(t time.Time) error { return g.Conn.SetWriteDeadline(g.bounded(t)) }

func (g *guest) bounded(t time.Time) time.Time {
	if t.IsZero() || t.After(g.ends) {
		return g.ends
	}
	return t
}

// Close implements net.Conn.
func (g *guest) Close() error {
	g.leave()
	return g.Conn.Close()
}
