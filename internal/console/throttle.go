package console

import (
	"net/http"
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

// throttle slows guessing down: by (account, address) and by address. An
// account as such is never locked, or anybody could lock anybody out.
type throttle struct {
	mu    sync.Mutex
	tries map[string]*tries
}

type tries struct {
	failures int
	last     time.Time
	until    time.Time
}

func newThrottle() *throttle { return &throttle{tries: map[string]*tries{}} }

// wait is how long the caller must wait before it may try; 0: now.
func (t *throttle) wait(now time.Time, what, account, address string) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	var wait time.Duration
	for _, key := range keys(what, account, address) {
		if e := t.tries[key]; e != nil {
			wait = max(wait, e.until.Sub(now))
		}
	}
	return wait
}

func keys(what, account, address string) [2]string {
	return [2]string{what + "\x00" + account + "\x00" + address, what + "\x00\x00" + address}
}

// failed counts a failure and tells how long to wait before the next try.
func (t *throttle) failed(now time.Time, what, account, address string) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	var wait time.Duration
	for i, key := range keys(what, account, address) {
		e := t.tries[key]
		if e == nil || now.Sub(e.last) > forgetAfter {
			t.room(now)
			e = &tries{}
			t.tries[key] = e
		}
		free := freePerAddress
		if i == 0 && account != "" {
			free = freeFailures
		}
		e.failures++
		e.last = now
		if over := e.failures - free; over >= 0 {
			e.until = now.Add(min(longestWait, firstWait<<min(over, 20)))
		}
		wait = max(wait, e.until.Sub(now))
		if account == "" {
			break // both keys are the same
		}
	}
	return wait
}

// succeeded forgets the failures of the account from the address.
func (t *throttle) succeeded(what, account, address string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.tries, keys(what, account, address)[0])
}

// room makes place for one key; the lock is held.
func (t *throttle) room(now time.Time) {
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

func throttled(wait time.Duration) error {
	f := fail(http.StatusTooManyRequests, "throttled", "too many failed attempts", "wait "+wait.Round(time.Second).String()+" and try again")
	f.retryAfter = wait
	return f
}
