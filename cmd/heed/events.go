package main

import (
	"errors"
	"net/url"
	"strconv"
)

type eventsCommand struct {
	Follow bool   `help:"Go on with what comes, until interrupted."`
	From   string `help:"Begin at this time (RFC 3339, or ago like 10m); default: all that the log holds, or now with --follow." placeholder:"TIME"`
	User   string `help:"Only this user's." placeholder:"ID"`
	Name   string `help:"Only events of this name." placeholder:"NAME"`
	Limit  int    `help:"At most so many." placeholder:"N"`
}

// Run prints events as JSON lines.
func (v eventsCommand) Run(e *env) (err error) {
	c, err := connect(e)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	q := url.Values{}
	if v.Follow {
		q.Set("follow", "true")
	}
	if v.Limit > 0 {
		q.Set("limit", strconv.Itoa(v.Limit))
	}
	for name, value := range map[string]string{"from": v.From, "user": v.User, "name": v.Name} {
		if value != "" {
			q.Set(name, value)
		}
	}
	err = c.copyTo(e.ctx, e.out, "/events?"+q.Encode())
	if e.ctx.Err() != nil {
		return nil // interrupted: that is how --follow ends
	}
	return err
}

type eventsExport struct {
	Format string `enum:"avro,jsonl,parquet" default:"avro" help:"avro (object container file), jsonl, or parquet (the view events of docs/sql.md)."`
	From   string `help:"Begin at this time (RFC 3339, or ago like 24h)." placeholder:"TIME"`
	Output string `short:"o" help:"File to write (default: standard output)." type:"path" placeholder:"FILE"`
}

// Run writes the log's events to a file.
func (x eventsExport) Run(e *env) error {
	q := url.Values{"format": {x.Format}}
	if x.From != "" {
		q.Set("from", x.From)
	}
	return download(e, "/events:export?"+q.Encode(), x.Output)
}
