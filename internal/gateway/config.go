package gateway

import (
	"errors"
	"net/netip"
	"time"

	"heed/internal/period"
)

// Config is how the gateway collects and serves. Zero values mean the default.
type Config struct {
	// Bodies, in bytes, as sent and after decompression.
	MaxBody  int `yaml:"max_body"`
	MaxBatch int `yaml:"max_batch"` // events in one request
	MaxRatio int `yaml:"max_ratio"` // of decompressed to sent

	// Events per second, averaged over ten of them. Calls with a server key and
	// from this machine are not limited by address, those with a server key not
	// by user.
	KeyRate     int `yaml:"key_rate"`
	AddressRate int `yaml:"address_rate"` // per /24 or /48
	UserRate    int `yaml:"user_rate"`

	MaxStreams        int           `yaml:"max_streams"`
	MaxUserStreams    int           `yaml:"max_user_streams"`
	MaxAddressStreams int           `yaml:"max_address_streams"`
	Heartbeat         period.Period `yaml:"heartbeat"`
	WriteTimeout      period.Period `yaml:"write_timeout"` // of one message on a stream

	// QueryParameters are kept in page addresses and referrers; all others are
	// cut off before anything is stored. A trailing * stands for any ending.
	QueryParameters []string `yaml:"query_parameters"`

	// TrustedProxies are the networks whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix `yaml:"-"`
}

// Defaults fills in what is not set.
func (c *Config) Defaults() {
	for _, f := range []struct {
		value *int
		means int
	}{
		{&c.MaxBody, 500 << 10},
		{&c.MaxBatch, 2500},
		{&c.MaxRatio, 200},
		{&c.KeyRate, 1_000_000},
		{&c.AddressRate, 20_000},
		{&c.UserRate, 500},
		{&c.MaxStreams, 50_000},
		{&c.MaxUserStreams, 16},
		{&c.MaxAddressStreams, 5_000},
	} {
		if *f.value == 0 {
			*f.value = f.means
		}
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = period.Period(15 * time.Second)
	}
	if c.WriteTimeout == 0 {
		c.WriteTimeout = period.Period(10 * time.Second)
	}
	if c.QueryParameters == nil {
		c.QueryParameters = []string{"utm_*", "gclid", "gbraid", "wbraid", "dclid", "fbclid", "msclkid", "ttclid"}
	}
}

// Validate tells what cannot be.
func (c *Config) Validate() error {
	if c.MaxBody < 1<<10 || c.MaxBody > 64<<20 {
		return errors.New("max_body: from 1024 to 67108864 bytes")
	}
	if c.MaxBatch < 1 || c.MaxBatch > 100_000 {
		return errors.New("max_batch: from 1 to 100000 events")
	}
	if c.MaxRatio < 2 {
		return errors.New("max_ratio: at least 2")
	}
	if c.KeyRate < 1 || c.AddressRate < 1 || c.UserRate < 1 {
		return errors.New("key_rate, address_rate and user_rate: at least 1 event per second")
	}
	if c.MaxStreams < 1 || c.MaxUserStreams < 1 || c.MaxAddressStreams < 1 {
		return errors.New("max_streams, max_user_streams and max_address_streams: at least 1")
	}
	if c.Heartbeat < 0 || c.WriteTimeout < 0 {
		return errors.New("heartbeat and write_timeout: longer than nothing")
	}
	return nil
}
