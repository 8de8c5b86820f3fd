package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"heed/internal/console/api"
	"heed/internal/definition"
)

type backtestCommand struct {
	Trigger  string `required:"" help:"Definition of the trigger (YAML; other kinds in the file are ignored)." type:"path" placeholder:"FILE"`
	Name     string `help:"Which trigger, where the file holds several." placeholder:"NAME"`
	Days     int    `default:"7" help:"So many times 24 hours back from now." placeholder:"N"`
	User     string `help:"Only this user." placeholder:"ID"`
	Campaign string `help:"Also say what the audiences, holdout and cap of this campaign would refuse." placeholder:"NAME"`
	JSON     bool   `name:"json" help:"Print the answer as one JSON object."`
}

// Run prints what the trigger would have done, and progress on standard error.
func (b backtestCommand) Run(e *env) (err error) {
	docs, err := loadDefinitions(b.Trigger)
	if err != nil {
		return err
	}
	doc, err := b.choose(docs)
	if err != nil {
		return err
	}
	spec, err := json.Marshal(doc.Spec)
	if err != nil {
		return fmt.Errorf("encode trigger %s: %w", doc.Name, err)
	}
	if b.Days < 1 {
		return usagef("--days %d: at least 1", b.Days)
	}
	request, err := json.Marshal(api.BacktestRequest{Name: doc.Name, Trigger: spec, Days: b.Days, User: b.User, Campaign: b.Campaign})
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	c, err := connect(e)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	body, err := c.do(e.ctx, http.MethodPost, "/triggers:backtest", request)
	if err != nil {
		return placed(docs, err)
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	res, err := b.follow(e, body)
	if err != nil {
		return err
	}
	if b.JSON {
		return json.NewEncoder(e.out).Encode(res)
	}
	return printBacktest(e.out, res, b.Campaign)
}

// choose finds the one trigger that is meant.
func (b backtestCommand) choose(docs []definition.Document) (doc definition.Document, err error) {
	found := 0
	for _, d := range docs {
		if d.Kind == definition.KindTrigger && (b.Name == "" || d.Name == b.Name) {
			doc = d
			found++
		}
	}
	switch {
	case found == 0 && b.Name != "":
		return doc, usagef("%s holds no trigger %s", b.Trigger, b.Name)
	case found == 0:
		return doc, usagef("%s holds no trigger", b.Trigger)
	case found > 1:
		return doc, usagef("%s holds %d triggers: say which with --name", b.Trigger, found)
	}
	return doc, nil
}

// maxAnswer bounds a line of the answer.
const maxAnswer = 16 << 20

// follow reports progress once a second until the result.
func (b backtestCommand) follow(e *env, body io.Reader) (*api.BacktestResult, error) {
	in := bufio.NewScanner(body)
	in.Buffer(make([]byte, 0, 64<<10), maxAnswer)
	var said time.Time
	for in.Scan() {
		var line api.BacktestLine
		if err := json.Unmarshal(in.Bytes(), &line); err != nil {
			return nil, fmt.Errorf("read the server's answer: %w", err)
		}
		switch p := line.Progress; {
		case line.Result != nil:
			return line.Result, nil
		case line.Error != nil && line.Error.Hint != "":
			return nil, fmt.Errorf("%s (%s)", line.Error.Message, line.Error.Hint)
		case line.Error != nil:
			return nil, errors.New(line.Error.Message)
		case p == nil || time.Since(said) < time.Second:
		case p.Waiting > 0:
			said = time.Now()
			_, _ = fmt.Fprintf(e.err, "waiting for %d other backtests\n", p.Waiting) // nobody to tell if it fails
		default:
			said = time.Now()
			_, _ = fmt.Fprintf(e.err, "%3.0f %%  %d events  %d firings\n", 100*p.Share, p.Events, p.Firings)
		}
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("read the server's answer: %w", err)
	}
	return nil, errors.New("the server ended its answer early: it may be stopping")
}

const dayTime = "2006-01-02 15:04:05"

// printBacktest writes the answer for people.
func printBacktest(w io.Writer, r *api.BacktestResult, campaign string) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) } // Flush tells
	say("%s, %s to %s %s", r.Trigger, r.From.Format(dayTime), r.Until.Format(dayTime), r.Zone)
	say("")
	about := ""
	if !r.Exact {
		about = "about "
	}
	say("would have fired\t%s%d times for %s%d users", about, r.Firings, about, r.Users)
	say("refused\tlimit %d, audience %d, cancelled %d", r.Refused.Limit, r.Refused.Audience, r.Refused.Cancelled)
	if c := r.Campaign; c != nil {
		say("campaign %s\t%d sends to %d users; not sent: audience %d, holdout %d, cap %d", campaign, c.Sends, c.Recipients, c.Audience, c.Holdout, c.Cap)
	}
	k := &r.Counts
	say("read\t%d events in %.2f s (%.0f a second), %d matched", k.Events, r.Seconds, r.EventsPerSecond, k.Matched)
	if k.Late+k.Evicted+k.Deep+k.Unreadable > 0 {
		say("left out\tlate %d, evicted %d, deep %d, unreadable %d", k.Late, k.Evicted, k.Deep, k.Unreadable)
	}
	most := int64(1)
	for _, d := range r.PerDay {
		most = max(most, d.Firings)
	}
	say("")
	for _, d := range r.PerDay {
		say("%s\t%d\t%s", d.Day, d.Firings, strings.Repeat("#", int((d.Firings*40+most-1)/most)))
	}
	if len(r.Examples) > 0 {
		say("")
		say("newest\tuser\tkey\tfire id\tevents")
	}
	for i := range r.Examples {
		e := &r.Examples[i]
		var names []string
		for j := range e.Events {
			names = append(names, e.Events[j].Event)
		}
		say("%s\t%s\t%s\t%s\t%s", e.At.Format(dayTime), e.User, e.Key, e.Fire, strings.Join(names, " "))
	}
	if len(r.Notes) > 0 {
		say("")
	}
	for _, n := range r.Notes {
		say("%s", n)
	}
	return out.Flush()
}
