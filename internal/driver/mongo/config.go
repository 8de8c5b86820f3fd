package mongo

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
)

// Config is what an operator may set.
type Config struct {
	// URI names the servers, who we are and how connections are encrypted:
	// mongodb://heed:secret@m1,m2,m3/?replicaSet=rs0&tls=true&tlsCAFile=ca.pem.
	// How much a write or read is worth is not taken from it.
	URI string `yaml:"uri"`
	// Database holds everything of one installation.
	Database string `yaml:"database"`
	// Timeout is how long a question or a transaction waits for servers that
	// do not answer.
	Timeout time.Duration `yaml:"timeout"`
	// Standalone takes a server that has no replicas: what it acknowledged is
	// then as safe as its one disk.
	Standalone bool `yaml:"standalone"`
}

// Defaults fills what is not set.
func (c *Config) Defaults() {
	if c.Database == "" {
		c.Database = "heed"
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
}

// databases are names that every MongoDB takes on every system.
var databases = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,38}$`)

// Validate tells what is wrong.
func (c *Config) Validate() error {
	switch {
	case c.URI == "":
		return errors.New("uri: no server is named")
	case !databases.MatchString(c.Database):
		return fmt.Errorf("database: %q is not made of at most 38 letters, digits, '_' and '-'", c.Database)
	case c.Timeout < 100*time.Millisecond || c.Timeout > time.Minute:
		return fmt.Errorf("timeout: %s is not within 100 ms and 1 min", c.Timeout)
	}
	_, err := c.client()
	return err
}

// client is how the servers are reached. Whatever the URI says, writes are on a
// majority's disks before they count, and only such writes are read.
func (c *Config) client() (*options.ClientOptions, error) {
	journal := true
	o := options.Client().ApplyURI(c.URI).SetAppName("heed").
		SetTimeout(c.Timeout).SetServerSelectionTimeout(c.Timeout).SetConnectTimeout(c.Timeout).
		SetWriteConcern(&writeconcern.WriteConcern{W: "majority", Journal: &journal}).
		SetReadConcern(readconcern.Majority()).SetReadPreference(readpref.Primary())
	if err := o.Validate(); err != nil {
		return nil, errors.New("uri: " + redact(err.Error()))
	}
	return o, nil
}

// secrets are what stands before the @ of a URI.
var secrets = regexp.MustCompile(`//[^/\s]*@`)

// redact takes passwords out of what the library says about a URI.
func redact(text string) string { return secrets.ReplaceAllString(text, "//***@") }
