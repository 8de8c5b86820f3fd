package email

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxWaiting are the places that are kept; who comes when there are so many asks
// for one again.
const maxWaiting = 100_000

// pace spreads messages over time: each that is too many gets its own moment, and
// is sent when it comes back then.
type pace struct {
	mu    sync.Mutex
	lines map[string]*line // by channel
}

// line is who waits for a channel.
type line struct {
	perSecond int
	limiter   *rate.Limiter
	turns     map[string]time.Time // by delivery
}

// wait is how long a delivery has to wait; 0: it may go now.
func (p *pace) wait(channel string, perSecond int, delivery string, now time.Time) time.Duration {
	if perSecond <= 0 {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.lines[channel]
	if l == nil || l.perSecond != perSecond {
		l = &line{perSecond, rate.NewLimiter(rate.Limit(perSecond), perSecond), map[string]time.Time{}}
		p.lines[channel] = l
	}
	if turn, ok := l.turns[delivery]; ok {
		if now.Before(turn) {
			return turn.Sub(now)
		}
		delete(l.turns, delivery)
		return 0
	}
	r := l.limiter.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait == 0 {
		return 0
	}
	if len(l.turns) >= maxWaiting {
		l.forget(now)
	}
	if len(l.turns) >= maxWaiting {
		r.CancelAt(now)
		return wait
	}
	l.turns[delivery] = now.Add(wait)
	return wait
}

// forget drops those who have not come for a long time: they never will.
func (l *line) forget(now time.Time) {
	for delivery, turn := range l.turns {
		if now.Sub(turn) > time.Hour {
			delete(l.turns, delivery)
		}
	}
}
