package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Sentinel is how those are reached who watch over a server and its replicas, and
// have one of these lead when it fails.
type Sentinel struct {
	// Master is the name by which they know the servers.
	Master string `yaml:"master"`
	// Addrs are some of them, as host:port; the others are found.
	Addrs    []string `yaml:"addrs"`
	User     string   `yaml:"user"` // of the sentinels themselves; empty: their default user
	Password string   `yaml:"password"`
}

func (s *Sentinel) set() bool {
	return s.Master != "" || len(s.Addrs) > 0 || s.User != "" || s.Password != ""
}

func (s *Sentinel) validate() error {
	switch {
	case s.Master == "":
		return errors.New("master: is empty: it is the name in `sentinel monitor` of the sentinels' configuration")
	case len(s.Addrs) == 0:
		return errors.New("addrs: none is named")
	case s.User != "" && s.Password == "":
		return fmt.Errorf("password: is empty, and user is %q", s.User)
	}
	return validAddrs(s.Addrs)
}

// eachWatched asks the sentinels for the servers that they watch over, and calls f
// for the one that leads and for each replica that answers.
func (c *conn) eachWatched(ctx context.Context, f func(context.Context, *redis.Client) error) error {
	var errs error
	for _, addr := range c.cfg.Sentinel.Addrs {
		leader, replicas, err := c.askSentinel(ctx, addr)
		if err != nil {
			errs = errors.Join(errs, fmt.Errorf("sentinel %s: %w", addr, err))
			continue
		}
		visit := func(addr string) error {
			opts := c.opts.Simple()
			opts.Addr = addr
			node := redis.NewClient(opts)
			defer func() { _ = node.Close() }()
			return f(ctx, node)
		}
		if err := visit(leader); err != nil {
			return fmt.Errorf("%s, which leads: %w", leader, err)
		}
		for _, addr := range replicas {
			if err := visit(addr); err != nil { // the sentinels will not choose it
				c.logger.Warn("a replica of Redis does not answer", "server", addr, "error", err)
			}
		}
		return nil
	}
	return errs
}

// askSentinel asks one who leads, and which replicas it sees alive.
func (c *conn) askSentinel(ctx context.Context, addr string) (leader string, replicas []string, err error) {
	opts := c.opts.Simple()
	opts.Addr, opts.Username, opts.Password = addr, c.cfg.Sentinel.User, c.cfg.Sentinel.Password
	s := redis.NewSentinelClient(opts)
	defer func() { _ = s.Close() }()
	master, err := s.Master(ctx, c.cfg.Sentinel.Master).Result()
	if err != nil {
		return "", nil, err
	}
	if err := s.CkQuorum(ctx, c.cfg.Sentinel.Master).Err(); err != nil {
		c.logger.Warn("the sentinels of Redis are too few to have another server lead, should it fail now", "sentinel", addr, "error", err)
	}
	found, err := s.Replicas(ctx, c.cfg.Sentinel.Master).Result()
	if err != nil {
		return "", nil, err
	}
	for _, r := range found {
		if !strings.Contains(r["flags"], "down") && !strings.Contains(r["flags"], "disconnected") {
			replicas = append(replicas, net.JoinHostPort(r["ip"], r["port"]))
		}
	}
	return net.JoinHostPort(master["ip"], master["port"]), replicas, nil
}
