package smpp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"sync"
	"time"

	"heed/internal/channel"
)

// What may wait to be handled, and by how many: what comes from one number is
// handled by one, in order.
const (
	handlers     = 8
	handlerQueue = 64
)

// session is one connection. Its reader never waits for anything but the next PDU.
type session struct {
	client *Client
	conn   net.Conn
	window chan struct{}
	queues [handlers]chan job

	writing sync.Mutex

	mu        sync.Mutex
	seq       uint32
	waiting   map[uint32]*request
	abandoned int // of them
	stopping  bool

	once   sync.Once
	closed chan struct{}
	err    error // why; set before closed is closed
}

// request waits for its answer.
type request struct {
	answer    chan pdu // has room for it
	accepted  func(id string)
	abandoned bool
}

// job is a deliver_sm to be handled.
type job struct {
	seq uint32
	deliver
}

func newSession(c *Client, conn net.Conn) *session {
	s := &session{
		client: c, conn: conn, window: make(chan struct{}, c.cfg.Window),
		waiting: make(map[uint32]*request), closed: make(chan struct{}),
	}
	for i := range s.queues {
		s.queues[i] = make(chan job, handlerQueue)
	}
	return s
}

// close ends the session; the first reason stands.
func (s *session) close(why error) {
	s.once.Do(func() {
		s.err = why
		close(s.closed)
		_ = s.conn.Close() // nothing is lost by it that is not lost already
	})
}

// run binds and serves until the session breaks or ctx ends.
func (s *session) run(ctx context.Context) error {
	var parts sync.WaitGroup
	defer parts.Wait()
	defer s.close(errors.New("it was ended"))
	parts.Go(s.read)
	for _, q := range s.queues {
		parts.Go(func() { s.handle(context.WithoutCancel(ctx), q) }) // what is begun is finished
	}

	body, err := s.client.cfg.bindBody()
	if err != nil {
		return err
	}
	bound, err := s.ask(ctx, bindTransceiver, body)
	if err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	if bound.status != 0 {
		return fmt.Errorf("the bind was refused: %s", bound.status)
	}
	s.client.bound(s)
	s.client.log.Info("a session with the message centre", "host", s.client.cfg.Host, "system", s.client.cfg.SystemID)

	t := time.NewTicker(s.client.cfg.Enquire)
	defer t.Stop()
	for {
		select {
		case <-s.closed:
			return s.err
		case <-ctx.Done():
			s.leave()
			return ctx.Err()
		case <-t.C:
			if _, err := s.ask(ctx, enquireLink, nil); err != nil && ctx.Err() == nil {
				s.client.counts.unanswered.Add(1)
				return fmt.Errorf("the line is dead: %w", err)
			}
		}
	}
}

// leave waits for what is under way and takes leave.
func (s *session) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), s.client.cfg.Answer)
	defer cancel()
	s.mu.Lock()
	s.stopping = true
	s.mu.Unlock()
	for range cap(s.window) { // once all its places are taken, nothing is under way
		select {
		case s.window <- struct{}{}:
		case <-s.closed:
			return
		case <-ctx.Done():
			return
		}
	}
	_, _ = s.ask(ctx, unbind, nil) // polite; the connection is closed anyhow
}

// write sends a PDU. Whatever goes wrong, the stream cannot be written on. whole
// tells whether all of it was given away: what is not whole cannot be read.
func (s *session) write(p *pdu) (whole bool, err error) {
	b := p.append(make([]byte, 0, headerSize+len(p.body)))
	s.writing.Lock()
	defer s.writing.Unlock()
	if err = s.conn.SetWriteDeadline(time.Now().Add(s.client.cfg.Answer)); err == nil {
		var n int
		n, err = s.conn.Write(b)
		whole = n == len(b)
	}
	if err != nil {
		s.close(fmt.Errorf("write: %w", err))
		err = s.err // the first reason: the reader may have known it sooner
	}
	return whole, err
}

// begin makes a place for an answer.
func (s *session) begin(accepted func(string)) (uint32, *request, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping && accepted != nil {
		return 0, nil, errors.New("the session is being ended")
	}
	s.seq++
	if s.seq > 0x7fffffff {
		s.seq = 1
	}
	r := &request{answer: make(chan pdu, 1), accepted: accepted}
	s.waiting[s.seq] = r
	return s.seq, r, nil
}

func (s *session) forget(seq uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, seq)
}

// abandon leaves a request whose answer may still come, for then it is known what
// became of it; false if it is here. A message centre that answers none of a window
// is deaf.
func (s *session) abandon(seq uint32, r *request) bool {
	s.mu.Lock()
	if s.waiting[seq] != r {
		s.mu.Unlock()
		return false
	}
	r.abandoned = true
	s.abandoned++
	deaf := s.abandoned >= cap(s.window)
	s.mu.Unlock()
	if deaf {
		s.close(fmt.Errorf("%d submits were not answered within %v", cap(s.window), s.client.cfg.Answer))
	}
	return true
}

// ask makes a request other than a submit.
func (s *session) ask(ctx context.Context, c command, body []byte) (pdu, error) {
	seq, r, err := s.begin(nil)
	if err != nil {
		return pdu{}, err
	}
	defer s.forget(seq)
	if _, err := s.write(&pdu{command: c, seq: seq, body: body}); err != nil {
		return pdu{}, err
	}
	timeout := time.NewTimer(s.client.cfg.Answer)
	defer timeout.Stop()
	select {
	case p := <-r.answer:
		return p, nil
	case <-s.closed:
		return pdu{}, s.err
	case <-timeout.C:
		return pdu{}, fmt.Errorf("no answer within %v", s.client.cfg.Answer)
	case <-ctx.Done():
		return pdu{}, ctx.Err()
	}
}

// enter waits for a place in the window, which submit leaves.
func (s *session) enter(ctx context.Context) error {
	select {
	case s.window <- struct{}{}:
		return nil
	case <-s.closed:
		return untried(fmt.Errorf("smpp: the session broke: %w", s.err), time.Second)
	case <-ctx.Done():
		return untried(fmt.Errorf("smpp: wait for the window: %w", ctx.Err()), time.Second)
	}
}

// submit hands over a segment, from a place in the window.
func (s *session) submit(ctx context.Context, body []byte, accepted func(string)) (string, error) {
	defer func() { <-s.window }()
	if accepted == nil {
		accepted = func(string) {}
	}
	seq, r, err := s.begin(accepted)
	if err != nil {
		return "", untried(fmt.Errorf("smpp: %w", err), time.Second)
	}
	written := time.Now()
	whole, err := s.write(&pdu{command: submitSM, seq: seq, body: body})
	if err != nil && !whole {
		s.forget(seq)
		return "", &channel.Error{Class: channel.Temporary, Err: fmt.Errorf("smpp: write: %w", err)}
	}
	timeout := time.NewTimer(s.client.cfg.Answer)
	defer timeout.Stop()
	var why string
	select {
	case p := <-r.answer:
		if s.client.Answered != nil {
			s.client.Answered(time.Since(written))
		}
		return s.answered(p)
	case <-timeout.C:
		why = fmt.Sprintf("no answer within %v", s.client.cfg.Answer)
	case <-ctx.Done():
		why = ctx.Err().Error()
	case <-s.closed:
		why = s.err.Error()
	}
	if !s.abandon(seq, r) {
		return s.answered(<-r.answer) // it came at the same time
	}
	return "", &channel.Error{Class: channel.Uncertain, Err: fmt.Errorf("smpp: it was submitted, and whether it was taken is not known: %s", why)}
}

func (s *session) answered(p pdu) (string, error) {
	pause := s.client.answered(p.status)
	if p.status != 0 {
		return "", p.status.ofSubmit(pause)
	}
	return idOf(p.body), nil
}

// idOf reads the id out of the body of an answer to a submit.
func idOf(body []byte) string {
	f := fields{rest: body}
	return f.string(maxID)
}

// read reads until the connection breaks.
func (s *session) read() {
	in := bufio.NewReader(s.conn)
	for {
		p, err := readPDU(in)
		if err == nil {
			err = s.take(p)
		}
		if err != nil {
			s.close(fmt.Errorf("read: %w", err))
			for _, q := range s.queues {
				close(q)
			}
			return
		}
	}
}

// take does what a PDU asks for.
func (s *session) take(p pdu) error {
	if p.command&answer != 0 {
		s.settle(p)
		return nil
	}
	reply := pdu{command: p.command | answer, seq: p.seq}
	switch p.command {
	case alert:
		return nil
	case enquireLink:
	case unbind:
		_, _ = s.write(&reply)
		return errors.New("the message centre ended the session")
	case deliverSM:
		d, err := parseDeliver(p.body)
		if err != nil {
			s.client.log.Warn("the message centre brought what cannot be read", "host", s.client.cfg.Host, "error", err)
			reply.status, reply.body = unparsable, []byte{0}
			break
		}
		if s.enqueue(job{p.seq, d}) {
			return nil
		}
		reply.status, reply.body = throttled, []byte{0}
	default:
		reply.command, reply.status = genericNack, invalidCommand
	}
	_, err := s.write(&reply)
	return err
}

// settle hands an answer to who waits for it.
func (s *session) settle(p pdu) {
	s.mu.Lock()
	r := s.waiting[p.seq]
	delete(s.waiting, p.seq)
	if r != nil && r.abandoned {
		s.abandoned--
	}
	s.mu.Unlock()
	if r == nil {
		return
	}
	if p.command == submitSM|answer && p.status == 0 && r.accepted != nil {
		r.accepted(idOf(p.body))
	}
	if p.command == genericNack && p.status == 0 {
		p.status = systemError
	}
	r.answer <- p
}

func (s *session) enqueue(j job) bool {
	var of string
	if j.message != nil {
		of = j.message.From
	} else {
		of = j.receipt.From
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(of)) // never fails
	select {
	case s.queues[h.Sum32()%handlers] <- j:
		return true
	default:
		return false
	}
}

// handle works a queue off. What is not answered comes again.
func (s *session) handle(ctx context.Context, q <-chan job) {
	for j := range q {
		var err error
		if j.message != nil {
			err = s.client.handler.Message(ctx, *j.message)
		} else {
			err = s.client.handler.Receipt(ctx, *j.receipt)
		}
		reply := pdu{command: deliverSM | answer, seq: j.seq, body: []byte{0}}
		if err != nil {
			s.client.log.Warn("what the message centre brought was not kept: it comes again", "host", s.client.cfg.Host, "error", err)
			reply.status = tryLater
		}
		if _, err := s.write(&reply); err != nil {
			return
		}
	}
}
