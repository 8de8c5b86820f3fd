package redis

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"heed/internal/clienttls"
)

// maxReplicas is more than anybody has.
const maxReplicas = 10

// Config is what an operator may set.
type Config struct {
	// Addrs is one server as host:port, or some of a cluster's: whether it is a
	// cluster is asked, and the others are found.
	Addrs []string `yaml:"addrs"`
	// Sentinel is named instead of Addrs where sentinels tell which server leads.
	Sentinel Sentinel `yaml:"sentinel"`
	// Prefix begins every key, so that installations can share a server.
	Prefix   string           `yaml:"prefix"`
	User     string           `yaml:"user"` // empty: the server's default user
	Password string           `yaml:"password"`
	TLS      clienttls.Config `yaml:"tls"`
	// Replicas is how many replicas must have what others rely on (intents,
	// messages) before it counts as written. 0: the server's disk is enough.
	Replicas int `yaml:"replicas"`
	// Timeout is how long calls wait for a server that does not answer. They ask
	// again meanwhile: what was asked is done once.
	Timeout time.Duration `yaml:"timeout"`
}

// Defaults fills what is not set.
func (c *Config) Defaults() {
	if c.Prefix == "" {
		c.Prefix = "heed:"
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
}

// prefixes leave the braces to the hash tags: the first ones of a key count.
var prefixes = regexp.MustCompile(`^[a-zA-Z0-9:._/-]{1,100}$`)

// Validate tells what is wrong.
func (c *Config) Validate() error {
	switch {
	case len(c.Addrs) > 0 && c.Sentinel.set():
		return errors.New("sentinel: is set up, and addrs too: name the sentinels or the servers")
	case !c.Named():
		return errors.New("addrs: none is named")
	case !prefixes.MatchString(c.Prefix):
		return fmt.Errorf("prefix: %q is not made of letters, digits, ':', '.', '_', '/' and '-'", c.Prefix)
	case c.User != "" && c.Password == "":
		return fmt.Errorf("password: is empty, and user is %q", c.User)
	case c.Replicas < 0 || c.Replicas > maxReplicas:
		return fmt.Errorf("replicas: %d is not within 0 and %d", c.Replicas, maxReplicas)
	case c.Timeout < 100*time.Millisecond || c.Timeout > time.Minute:
		return fmt.Errorf("timeout: %s is not within 100 ms and 1 min", c.Timeout)
	}
	if err := c.TLS.Validate(); err != nil {
		return fmt.Errorf("tls: %w", err)
	}
	if c.Sentinel.set() {
		if err := c.Sentinel.validate(); err != nil {
			return fmt.Errorf("sentinel.%w", err)
		}
		return nil
	}
	return validAddrs(c.Addrs)
}

// Named tells whether any server is.
func (c *Config) Named() bool { return len(c.Addrs) > 0 || c.Sentinel.set() }

// servers names them in messages.
func (c *Config) servers() string {
	if c.Sentinel.set() {
		return fmt.Sprintf("%q of the sentinels %v", c.Sentinel.Master, c.Sentinel.Addrs)
	}
	return fmt.Sprint(c.Addrs)
}

func validAddrs(addrs []string) error {
	for _, addr := range addrs {
		_, port, err := net.SplitHostPort(addr)
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		if err != nil {
			return fmt.Errorf("addrs: %q is not host:port: %w", addr, err)
		}
	}
	return nil
}

// tries is how often a call that gets no answer at all is made within its time.
const tries = 3

// options are what every connection has in common. Asking again is ours (see
// try), except for being sent to another node of the cluster.
func (c *Config) options() (*redis.UniversalOptions, error) {
	encrypted, err := c.TLS.Client()
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	addrs := c.Addrs
	if c.Sentinel.set() {
		addrs = c.Sentinel.Addrs
	}
	return &redis.UniversalOptions{
		Addrs: addrs, MasterName: c.Sentinel.Master, SentinelUsername: c.Sentinel.User, SentinelPassword: c.Sentinel.Password,
		Username: c.User, Password: c.Password, ClientName: "heed", DisableIdentity: true, Protocol: 2,
		MaxRetries: -1, DialerRetries: 1,
		DialTimeout: c.Timeout / tries, ReadTimeout: c.Timeout / tries, WriteTimeout: c.Timeout / tries, PoolTimeout: c.Timeout,
		ContextTimeoutEnabled:    true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		TLSConfig:                encrypted,
	}, nil
}

// Deps are what a store needs from its surroundings. Nil fields get a default.
type Deps struct {
	Logger *slog.Logger
}
