package email

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"time"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"heed/internal/clienttls"
	"heed/internal/definition"
)

// Bounds of connections to a server.
const (
	maxInFlight  = 16
	idleFor      = 30 * time.Second
	maxUses      = 100
	maxReplies   = 256 << 10 // bytes that a server may say in one attempt
	attemptLimit = 30 * time.Second
)

// servers are the connections that may be used again, by what they were made
// with.
type servers struct {
	mu   sync.Mutex
	idle map[account][]*connection
	shut bool
}

// account is what connections are made with.
type account struct {
	definition.SMTP
	tls clienttls.Config
}

func accountOf(def *definition.Channel) account { return account{*def.SMTP, def.Encryption(true)} }

// connection is a session with a server.
type connection struct {
	wire   *wire
	client *smtp.Client
	uses   int
	since  time.Time // idle
}

func (c *connection) close() { _ = c.wire.Close() }

// send makes one attempt. Its failures are *failure. The context bounds it.
func (s *servers) send(ctx context.Context, of account, m *message, now func() time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, attemptLimit)
	defer cancel()
	c := s.take(of, now())
	if c != nil && c.ready(ctx) != nil {
		c.close()
		c = nil
	}
	if c == nil {
		var err error
		if c, err = of.dial(ctx); err != nil {
			return failed(stageConnect, clienttls.Explain(err))
		}
	}
	err := c.transact(ctx, m)
	if f, ok := errors.AsType[*failure](err); err != nil && (!ok || f.code == 0 || f.code == 421 || f.stage == stageContent) {
		c.close()
		return err
	}
	s.give(of, c, now())
	return err
}

// ready makes a used connection fit for another message.
func (c *connection) ready(ctx context.Context) error {
	defer c.wire.within(ctx)()
	return c.client.Reset()
}

func (c *connection) transact(ctx context.Context, m *message) error {
	defer c.wire.within(ctx)()
	c.uses++
	if ok, limit := c.client.Extension("SIZE"); ok {
		if n, err := strconv.Atoi(strings.TrimSpace(limit)); err == nil && n > 0 && len(m.data) > n {
			return failed(stageSender, &textproto.Error{Code: 552, Msg: fmt.Sprintf("5.3.4 the message has %d bytes, and the server takes %d", len(m.data), n)})
		}
	}
	if err := c.client.Mail("<" + m.from + ">"); err != nil {
		return failed(stageSender, err)
	}
	if err := c.client.Rcpt("<" + m.to + ">"); err != nil {
		return failed(stageAddress, err)
	}
	w, err := c.client.Data()
	if err != nil {
		return failed(stageContent, err)
	}
	if _, err := w.Write(m.data); err != nil {
		return failed(stageContent, err) // without the dot it is not taken
	}
	err = w.Close()
	if reply, ok := errors.AsType[*textproto.Error](err); ok && reply.Code/100 == 2 {
		return nil
	}
	if err != nil {
		return failed(stageEnd, err)
	}
	return nil
}

// dial opens a session: greeting, TLS and AUTH.
func (of *account) dial(bound context.Context) (*connection, error) {
	c, release, def := &connection{}, func() {}, &of.SMTP
	config, err := of.tls.Client() // files are renewed
	if err != nil {
		return nil, fmt.Errorf("tls.%w", err)
	}
	config.ServerName = cmp.Or(config.ServerName, def.Host)
	options := []gomail.Option{
		gomail.WithPort(def.PortOrUsual()), gomail.WithTLSConfig(config), gomail.WithTLSPolicy(gomail.TLSMandatory), gomail.WithTimeout(attemptLimit),
		gomail.WithDialContextFunc(func(ctx context.Context, network, address string) (net.Conn, error) {
			raw, err := new(net.Dialer).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			c.wire = &wire{Conn: raw}
			release = c.wire.within(bound)
			if def.TLS == definition.ImplicitTLS {
				return tls.Client(c.wire, config), nil
			}
			if def.TLS == definition.NoTLS && !def.AllowPlain && !loopback(raw.RemoteAddr()) {
				return nil, fmt.Errorf("%s is not on this machine, so the connection must be protected: leave tls out, or say allowPlain: true", address)
			}
			return c.wire, nil
		}),
	}
	switch def.TLS {
	case definition.ImplicitTLS:
		options = append(options, gomail.WithSSL())
	case definition.NoTLS:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	}
	if def.User != "" {
		mechanisms := []gomail.SMTPAuthType{gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin}
		if def.TLS == definition.NoTLS { // on this machine
			mechanisms = []gomail.SMTPAuthType{gomail.SMTPAuthPlainNoEnc, gomail.SMTPAuthLoginNoEnc}
		}
		options = append(options, gomail.WithOpportunisticSMTPAuth(mechanisms...), gomail.WithUsername(def.User), gomail.WithPassword(def.Password))
	}
	session, err := gomail.NewClient(def.Host, options...)
	if err != nil {
		return nil, err
	}
	c.client, err = session.DialToSMTPClientWithContext(bound)
	release()
	if err != nil {
		if c.wire != nil {
			c.close()
		}
		return nil, err
	}
	return c, nil
}

func loopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

func (s *servers) take(key account, now time.Time) *connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.idle[key]
	for len(list) > 0 {
		c := list[len(list)-1]
		list = list[:len(list)-1]
		s.idle[key] = list
		if now.Sub(c.since) < idleFor {
			return c
		}
		c.close()
	}
	return nil
}

func (s *servers) give(key account, c *connection, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut || c.uses >= maxUses || len(s.idle[key]) >= maxInFlight {
		c.close()
		return
	}
	if s.idle == nil {
		s.idle = map[account][]*connection{}
	}
	c.since = now
	s.idle[key] = append(s.idle[key], c)
}

// tidy closes what has not been used for a while.
func (s *servers) tidy(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, list := range s.idle {
		for len(list) > 0 && now.Sub(list[0].since) >= idleFor {
			list[0].close()
			list = list[1:]
		}
		if s.idle[key] = list; len(list) == 0 {
			delete(s.idle, key)
		}
	}
}

// close closes all that is idle, and from now on what becomes so.
func (s *servers) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = true
	for _, list := range s.idle {
		for _, c := range list {
			c.close()
		}
	}
	s.idle = nil
}

// wire is a connection that a context bounds, and that does not listen for ever.
type wire struct {
	net.Conn
	left int64 // bytes that may still be read
}

var errTalkative = errors.New("the server says too much")

// within bounds the connection until the function that it gives is called.
func (w *wire) within(ctx context.Context) func() {
	w.left = maxReplies
	deadline, _ := ctx.Deadline() // zero: none
	_ = w.Conn.SetDeadline(deadline)
	stop := context.AfterFunc(ctx, func() { _ = w.Close() })
	return func() { stop() }
}

// Read implements net.Conn.
func (w *wire) Read(p []byte) (int, error) {
	if w.left <= 0 {
		return 0, errTalkative
	}
	n, err := w.Conn.Read(p[:min(int64(len(p)), w.left)])
	w.left -= int64(n)
	return n, err
}

// SetDeadline implements net.Conn: the context says when it ends, not go-mail.
func (*wire) SetDeadline(time.Time) error { return nil }
