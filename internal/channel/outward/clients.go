package outward

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"heed/internal/clienttls"
	"heed/internal/definition"
)

// Clients are the clients of channels: one for all that trust the system, and one for
// each way to trust others. The zero value is ready; its methods may be called
// concurrently.
type Clients struct {
	mu  sync.Mutex
	all map[way]*client
}

// way is how a channel reaches its server.
type way struct {
	guarded bool
	tls     clienttls.Config
}

type client struct {
	*http.Client
	read clienttls.Config // what was in the files
	at   time.Time
}

const (
	// freshFor is how long files are not read again: certificates are renewed.
	freshFor = time.Minute
	// maxClients are kept; definitions change rarely, so that starting over is enough.
	maxClients = 256
)

// Of gives the client of a channel.
func (c *Clients) Of(def *definition.Channel, now time.Time) (*http.Client, error) {
	w := way{guarded: !def.AllowPrivate}
	if def.TLS != nil {
		w.tls = def.Encryption(true)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.all[w]
	if known != nil && (def.TLS == nil || now.Sub(known.at) < freshFor) {
		return known.Client, nil
	}
	made, err := w.client(known, now)
	if err != nil {
		if known == nil {
			return nil, err
		}
		made = &client{known.Client, known.read, now} // files may be half written
	}
	if known != nil && known.Client != made.Client {
		known.CloseIdleConnections()
	}
	if c.all == nil || len(c.all) >= maxClients {
		for _, old := range c.all {
			old.CloseIdleConnections()
		}
		c.all = map[way]*client{}
	}
	c.all[w] = made
	return made.Client, nil
}

// client makes the client, or gives the one that is known if the files are the same.
func (w *way) client(known *client, now time.Time) (*client, error) {
	read, err := w.tls.Read()
	if err != nil {
		return nil, fmt.Errorf("tls.%w", err)
	}
	if known != nil && known.read == read {
		return &client{known.Client, read, now}, nil
	}
	secure, err := read.Client()
	if err != nil {
		return nil, fmt.Errorf("tls.%w", err)
	}
	return &client{newClient(w.guarded, secure), read, now}, nil
}
