package signin

import (
	"sync"
	"time"
)

// Bounds of the throttle.
const (
	freeFailures    = 5                // of an account from an address before it must wait
	freePerAddress  = 30               // of an address, whichever account
	firstWait       = time.Second      // doubles with each further failure
	longestWait     = 5 * time.Minute  // of one wait
	forgetAfter     = 30 * time.Minute // without a failure
	maxThrottleKeys = 20000
)

// Throttle slows guessing down: by (account, address) and by address. An
// account as such is never locked, or anybody could lock anybody out.
type Throttle struct {
	mu    sync.Mutex
	tries map[string]*tries
}

type tries struct {
	failures int
	last     time.Time
	until    time.Time
}

// NewThrottle remembers no failure yet.
func NewThrottle() *Throttle { return &Throttle{tries: map[string]*tries{}} }

func keys(what, account, address string) []string {
	byAddress := what + "\x00\x00" + address
	if account == "" {
		return []string{byAddress}
	}
	return []string{byAddress, what + "\x00" + account + "\x00" + address}
}

// Try counts an attempt as failed and returns 0, or says how long the caller
// must wait before the next one; then the attempt must not be made.
func (t *Throttle) Try(now time.Time, what, account, address string) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	names := keys(what, account, address)
	for _, key := range names {
		if e := t.tries[key]; e != nil {
			wait = max(wait, e.until.Sub(now))
		}
	}
	if wait > 0 {
		return wait
	}
	for i, key := range names {
		e := t.tries[key]
		if e == nil || now.Sub(e.last) > forgetAfter {
			t.room(now)
			e = &tries{}
			t.tries[key] = e
		}
		e.failures++
		e.last = now
		if over := e.failures - []int{freePerAddress, freeFailures}[i]; over >= 0 {
			e.until = now.Add(min(longestWait, firstWait<<min(over, 20)))
		}
	}
	return 0
}

// Succeeded takes the attempt back and forgets the account's failures from the
// address.
func (t *Throttle) Succeeded(what, account, address string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	names := keys(what, account, address)
	if e := t.tries[names[0]]; e != nil {
		e.failures--
		if e.failures < freePerAddress {
			e.until = time.Time{}
		}
	}
	if account != "" {
		delete(t.tries, names[1])
	}
}

// room makes place for one key; the lock is held.
func (t *Throttle) room(now time.Time) {
	if len(t.tries) < maxThrottleKeys {
		return
	}
	for key, e := range t.tries {
		if now.Sub(e.last) > forgetAfter || now.After(e.until) {
			delete(t.tries, key)
		}
	}
	for key := range t.tries { // still full: any of them
		if len(t.tries) < maxThrottleKeys {
			return
		}
		delete(t.tries, key)
	}
}
