package email

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	gosmtp "github.com/emersion/go-smtp"
	"golang.org/x/net/netutil"

	"heed/internal/channel"
	"heed/internal/channel/email/provider"
	"heed/internal/channel/email/report"
)

// Bounds of what comes back.
const (
	maxReturning     = 64 // sessions at a time
	maxOfOneHost     = 16 // of them
	longestReturn    = 10 * time.Minute
	returnTimeout    = time.Minute // of one step
	maxReturnTargets = 10
)

// complaintsBox takes reports of spam; what they are about stands in them, signed.
const complaintsBox = "complaints"

// takeReturns listens for mail that comes back until ctx ends.
func (c *Channel) takeReturns(ctx context.Context) error {
	var secure *tls.Config
	if c.cfg.BounceCert != "" {
		var err error
		if secure, err = c.offerTLS(); err != nil {
			return fmt.Errorf("email: the certificate for mail that comes back (email.bounce_cert, email.bounce_key): %w", err)
		}
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", c.cfg.BounceListen)
	if err != nil {
		return fmt.Errorf("email: listen for mail that comes back (email.bounce_listen): %w", err)
	}
	return c.serveReturns(ctx, l, secure)
}

// offerTLS is how sessions are encrypted with who asks for it.
func (c *Channel) offerTLS() (*tls.Config, error) {
	files := newKeyPair(c.cfg.BounceCert, c.cfg.BounceKey)
	if _, err := files.load(); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		loaded, err := files.load()
		if err != nil {
			c.deps.Logger.Warn("a renewed certificate cannot be used; the one before it is", "setting", "email.bounce_cert", "error", err)
		}
		return loaded, nil
	}}, nil
}

// serveReturns takes mail at a listener, which it closes; secure is nil if encryption
// is not offered.
func (c *Channel) serveReturns(ctx context.Context, l net.Listener, secure *tls.Config) error {
	s := gosmtp.NewServer(gosmtp.BackendFunc(func(*gosmtp.Conn) (gosmtp.Session, error) {
		return &returning{channel: c, ctx: ctx}, nil
	}))
	s.TLSConfig = secure
	s.Domain, s.MaxMessageBytes, s.MaxRecipients = "heed", report.MaxBytes, maxReturnTargets
	s.ReadTimeout, s.WriteTimeout = returnTimeout, returnTimeout
	s.ErrorLog = quietLog{c.deps.Logger}
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	if err := s.Serve(netutil.LimitListener(&door{Listener: l, inside: map[string]int{}}, maxReturning)); err != nil && ctx.Err() == nil {
		return fmt.Errorf("email: take mail that comes back: %w", err)
	}
	return nil
}

// returning is a session with a server that brings mail back.
type returning struct {
	channel    *Channel
	ctx        context.Context
	deliveries []string // that its recipients name
	complaints bool
}

// Reset implements smtp.Session.
func (r *returning) Reset() { r.deliveries, r.complaints = nil, false }

// Logout implements smtp.Session.
func (*returning) Logout() error { return nil }

// Mail implements smtp.Session. Who says to send it proves nothing.
func (*returning) Mail(string, *gosmtp.MailOptions) error { return nil }

// Rcpt implements smtp.Session: nothing is taken but for addresses that Heed made.
func (r *returning) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	if local, _, _ := strings.Cut(strings.ToLower(to), "@"); local == complaintsBox {
		r.complaints = true
		return nil
	}
	delivery, ok := r.channel.seal.returned(to)
	if !ok {
		return &gosmtp.SMTPError{Code: 550, EnhancedCode: gosmtp.EnhancedCode{5, 1, 1}, Message: "no such mailbox"}
	}
	r.deliveries = append(r.deliveries, delivery)
	return nil
}

// Data implements smtp.Session. What cannot be read is taken and dropped: to send
// it back would help nobody.
func (r *returning) Data(in io.Reader) error {
	raw, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	rep, err := report.Parse(raw, provider.HeaderDelivery)
	if err != nil {
		r.channel.deps.Logger.Info("mail came back that cannot be read", "error", err)
		return nil
	}
	deliveries := r.deliveries
	if r.complaints && rep.Kind == report.Complaint {
		for _, name := range rep.Names {
			if delivery, ok := r.channel.seal.returned(name); ok {
				deliveries = append(deliveries, delivery)
				break
			}
		}
	}
	for _, delivery := range deliveries {
		if err := r.channel.reported(r.ctx, delivery, &rep); err != nil {
			r.channel.deps.Logger.Warn("what came back could not be kept", "delivery", delivery, "error", err)
			return &gosmtp.SMTPError{Code: 451, EnhancedCode: gosmtp.EnhancedCode{4, 3, 0}, Message: "try again later"}
		}
	}
	return nil
}

// reported tells what a report says of a delivery.
func (c *Channel) reported(ctx context.Context, delivery string, rep *report.Report) error {
	f := channel.Feedback{
		Delivery: delivery, Type: Type, Detail: rep.Detail, At: c.deps.Now().UnixMicro(), ID: fmt.Sprintf("report-%d-%s", rep.Kind, rep.Status),
	}
	switch rep.Kind {
	case report.Delivered:
		f.Kind = channel.Delivered
	case report.Failed:
		f.Kind, f.Hard = channel.Bounced, report.Hard(rep.Status)
	case report.Complaint:
		f.Kind = channel.Complained
	case report.Other:
		return nil
	}
	return c.deps.Inbound(ctx, f)
}

// quietLog passes on what the server of returns complains about: what strangers
// do is no error of Heed's.
type quietLog struct{ log *slog.Logger }

func (q quietLog) Printf(format string, v ...any) {
	q.log.Debug("mail coming back", "error", fmt.Sprintf(format, v...))
}

func (q quietLog) Println(v ...any) {
	q.log.Debug("mail coming back", "error", fmt.Sprint(v...))
}
