package push

import (
	"net/url"
	"sync"
	"time"

	"heed/internal/webpush"
)

// A pass is good for passLife, and used for no longer than passUse: services ask
// not to be shown a new one with each message.
const (
	passLife  = 12 * time.Hour
	passUse   = time.Hour
	maxPasses = 256
)

// passes are the headers by which push services know us, by service.
type passes struct {
	mu  sync.Mutex
	all map[passFor]pass
}

type passFor struct{ key, service, subject string }

type pass struct {
	header string
	made   time.Time
}

// of is the header for an endpoint's server.
func (p *passes) of(key webpush.Key, endpoint *url.URL, subject string, now time.Time) (string, error) {
	what := passFor{key.Public(), endpoint.Scheme + "://" + endpoint.Host, subject}
	p.mu.Lock()
	defer p.mu.Unlock()
	if known, ok := p.all[what]; ok && now.Sub(known.made) < passUse {
		return known.header, nil
	}
	header, err := key.Authorize(endpoint, subject, now.Add(passLife))
	if err != nil {
		return "", err
	}
	if p.all == nil || len(p.all) >= maxPasses {
		p.all = map[passFor]pass{}
	}
	p.all[what] = pass{header, now}
	return header, nil
}
