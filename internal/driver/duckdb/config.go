package duckdb

import (
	"errors"
	"fmt"
	"time"

	"heed/internal/period"
)

// Config is what an operator may set.
type Config struct {
	// Off: whoever puts the roles together leaves the store out.
	Off bool `yaml:"off"`
	// Dir is the folder of the files; made if absent. It is set by who opens
	// the store.
	Dir string `yaml:"-"`
	// Reserve is free space of the disk, in bytes, that is left to others: below it
	// nothing is written. It is set by who opens the store.
	Reserve int64 `yaml:"-"`
	// Memory in bytes for queries and for what is not on the disk yet.
	Memory int64 `yaml:"memory"`
	// Threads that queries share.
	Threads int `yaml:"threads"`
	// Queries that run at the same time; others wait, up to Waiting of them.
	Queries int `yaml:"queries"`
	Waiting int `yaml:"waiting"`
	// QueryTimeout ends a query.
	QueryTimeout time.Duration `yaml:"query_timeout"`
	// QueryRows are the rows of a result at most.
	QueryRows int `yaml:"query_rows"`
	// FlushRows and FlushEvery: events are written to a file when there are so
	// many, or after so long.
	FlushRows  int           `yaml:"flush_rows"`
	FlushEvery time.Duration `yaml:"flush_every"`
	// CloseAfter its end a day is closed: its events move to a file of their own.
	CloseAfter time.Duration `yaml:"close_after"`
	// Keep removes days that are older.
	Keep period.Period `yaml:"keep"`
	// TempBytes of the disk may be used for sorting.
	TempBytes int64 `yaml:"temp_bytes"`
}

// Defaults fills what is zero.
func (c *Config) Defaults() {
	set := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	setDuration := func(p *time.Duration, v time.Duration) {
		if *p == 0 {
			*p = v
		}
	}
	if c.Memory == 0 {
		c.Memory = 400 << 20
	}
	if c.TempBytes == 0 {
		c.TempBytes = 10 << 30
	}
	if c.Keep == 0 {
		c.Keep = period.Period(430 * 24 * time.Hour)
	}
	set(&c.Threads, 2)
	set(&c.Queries, 4)
	set(&c.Waiting, 64)
	set(&c.QueryRows, 100_000)
	set(&c.FlushRows, 122_880)
	setDuration(&c.QueryTimeout, 30*time.Second)
	setDuration(&c.FlushEvery, 5*time.Minute)
	setDuration(&c.CloseAfter, time.Hour)
}

// Validate says what is wrong.
func (c *Config) Validate() error {
	switch {
	case c.Memory < 64<<20:
		return fmt.Errorf("memory is %d bytes: at least 67108864", c.Memory)
	case c.Threads < 1 || c.Threads > 256:
		return fmt.Errorf("threads is %d: 1 to 256", c.Threads)
	case c.Queries < 1 || c.Queries > 64:
		return fmt.Errorf("queries is %d: 1 to 64", c.Queries)
	case c.Waiting < 0 || c.Waiting > 100_000:
		return fmt.Errorf("waiting is %d: 0 to 100000", c.Waiting)
	case c.QueryTimeout < 100*time.Millisecond:
		return fmt.Errorf("query_timeout is %s: at least 100ms", c.QueryTimeout)
	case c.QueryRows < 1 || c.QueryRows > 10_000_000:
		return fmt.Errorf("query_rows is %d: 1 to 10000000", c.QueryRows)
	case c.FlushRows < 1 || c.FlushRows > 2_000_000:
		return fmt.Errorf("flush_rows is %d: 1 to 2000000", c.FlushRows)
	case c.FlushEvery < 10*time.Millisecond:
		return fmt.Errorf("flush_every is %s: at least 10ms", c.FlushEvery)
	case c.CloseAfter < 0:
		return errors.New("close_after: not negative")
	case c.Keep.Duration() < 24*time.Hour:
		return errors.New("keep: at least 1d")
	case c.TempBytes < 64<<20:
		return fmt.Errorf("temp_bytes is %d: at least 67108864", c.TempBytes)
	}
	return nil
}
