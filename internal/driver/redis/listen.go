package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// notice is something to tell other processes.
type notice struct{ channel, text string }

// tellPage is how many notices are sent at once.
const tellPage = 64

// tell sends notices; one that cannot be sent is given up.
func (s *Inbox) tell(ctx context.Context) {
	for {
		var some []notice
		select {
		case n := <-s.telling:
			some = append(some, n)
		case <-ctx.Done():
			return
		}
		for len(some) < tellPage && len(s.telling) > 0 {
			some = append(some, <-s.telling)
		}
		_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, n := range some {
				p.SPublish(ctx, n.channel, n.text)
			}
			return nil
		})
		if err != nil && ctx.Err() == nil {
			s.logger.Debug("settlements were not passed on", "count", len(some), "error", err)
		}
	}
}

// listener hears what is told on the channels of one shard, over one connection.
// Redis tells it about those only that somebody in this process wants: the channels
// that it keeps are the list of who is connected where.
type listener struct {
	in    *Inbox
	shard int
	dirty chan struct{} // capacity 1: wanted has changed

	mu     sync.Mutex
	wanted map[string]*wanted
}

// wanted is a channel that somebody listens to.
type wanted struct {
	count     int
	confirmed chan struct{} // closed once the server has said so the first time
	once      sync.Once
}

func newListener(in *Inbox, shard int) *listener {
	return &listener{in: in, shard: shard, dirty: make(chan struct{}, 1), wanted: make(map[string]*wanted)}
}

func (l *listener) want(channel string) *wanted {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.wanted[channel]
	if w == nil {
		w = &wanted{confirmed: make(chan struct{})}
		l.wanted[channel] = w
		l.changed()
	}
	w.count++
	return w
}

func (l *listener) drop(channel string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.wanted[channel]
	if w.count--; w.count == 0 {
		delete(l.wanted, channel)
		l.changed()
	}
}

func (l *listener) changed() {
	select {
	case l.dirty <- struct{}{}:
	default:
	}
}

// awaiting bounds how long Watch waits for a server that does not answer.
const awaiting = 250 * time.Millisecond

func (l *listener) await(w *wanted) {
	wait := time.NewTimer(awaiting)
	defer wait.Stop()
	select {
	case <-w.confirmed:
	case <-wait.C:
	}
}

// run listens until ctx ends, and begins anew whenever the connection is lost: then
// every channel is confirmed again, and wakes who waits.
func (l *listener) run(ctx context.Context) {
	for ctx.Err() == nil {
		l.mu.Lock()
		idle := len(l.wanted) == 0
		l.mu.Unlock()
		if idle {
			select {
			case <-l.dirty:
			case <-ctx.Done():
			}
			continue
		}
		err := l.listen(ctx)
		if ctx.Err() != nil {
			return
		}
		l.in.logger.Info("inbox: what other processes put is not heard for a moment", "shard", l.shard, "error", err)
		if l.in.cluster != nil {
			l.in.cluster.ReloadState(ctx)
		}
		wait := time.NewTimer(maxBackoff)
		select {
		case <-wait.C:
		case <-ctx.Done():
		}
		wait.Stop()
	}
}

// listen listens over one connection until it is lost.
func (l *listener) listen(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	link := &link{l: l, sub: l.in.client.SSubscribe(ctx), have: make(map[string]bool), leaving: make(map[string]int)}
	stop := context.AfterFunc(ctx, func() { _ = link.sub.Close() })
	defer stop()
	defer func() { _ = link.sub.Close() }()
	if err := link.follow(ctx); err != nil {
		return err
	}
	var following sync.WaitGroup
	defer following.Wait()
	defer cancel()
	following.Go(func() {
		for {
			select {
			case <-l.dirty:
			case <-ctx.Done():
				return
			}
			if link.follow(ctx) != nil {
				_ = link.sub.Close() // whoever receives notices
				return
			}
		}
	})
	return link.receive(ctx)
}

// link is one connection of a listener.
type link struct {
	l    *listener
	sub  *redis.PubSub
	have map[string]bool // channels that were asked for; used by who follows

	mu      sync.Mutex
	leaving map[string]int // how often the end of a channel is to be confirmed
}

// followPage is how many channels are asked for at once.
const followPage = 1000

// follow asks for what is wanted, and no longer for the rest.
func (k *link) follow(ctx context.Context) error {
	var add, leave []string
	k.l.mu.Lock()
	for channel := range k.l.wanted {
		if !k.have[channel] {
			add = append(add, channel)
		}
	}
	for channel := range k.have {
		if k.l.wanted[channel] == nil {
			leave = append(leave, channel)
		}
	}
	k.l.mu.Unlock()
	for first := 0; first < len(add); first += followPage {
		some := add[first:min(first+followPage, len(add))]
		if err := k.sub.SSubscribe(ctx, some...); err != nil {
			return err
		}
		for _, channel := range some {
			k.have[channel] = true
		}
	}
	for first := 0; first < len(leave); first += followPage {
		some := leave[first:min(first+followPage, len(leave))]
		k.mu.Lock()
		for _, channel := range some {
			delete(k.have, channel)
			k.leaving[channel]++
		}
		k.mu.Unlock()
		if err := k.sub.SUnsubscribe(ctx, some...); err != nil {
			return err
		}
	}
	return nil
}

// tooQuiet is how long nothing may come before the server is asked whether it is there.
const tooQuiet = 3 * time.Second

func (k *link) receive(ctx context.Context) error {
	asked := false
	for {
		got, err := k.sub.ReceiveTimeout(ctx, tooQuiet)
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() && !asked {
			if err := k.sub.Ping(ctx); err != nil {
				return err
			}
			asked = true
			continue
		}
		if err != nil {
			return err
		}
		asked = false
		switch got := got.(type) {
		case *redis.Message:
			k.l.in.hear(got.Channel, got.Payload, false)
		case *redis.Subscription:
			if err := k.confirm(got); err != nil {
				return err
			}
		}
	}
}

func (k *link) confirm(s *redis.Subscription) error {
	if s.Kind != "ssubscribe" {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.leaving[s.Channel] == 0 {
			return fmt.Errorf("the node gave up shard %d: it moved", k.l.shard)
		}
		if k.leaving[s.Channel]--; k.leaving[s.Channel] == 0 {
			delete(k.leaving, s.Channel)
		}
		return nil
	}
	k.l.mu.Lock()
	if w := k.l.wanted[s.Channel]; w != nil {
		w.once.Do(func() { close(w.confirmed) })
	}
	k.l.mu.Unlock()
	k.l.in.hear(s.Channel, "", true)
	return nil
}
