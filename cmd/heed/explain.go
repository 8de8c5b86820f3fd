package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

type explainCommand struct {
	User     string `required:"" help:"Profile id: the user id if known, else the anonymous id." placeholder:"ID"`
	Trigger  string `help:"Name of a trigger: where the user stands with it." placeholder:"NAME" xor:"what"`
	Campaign string `help:"Name of a campaign: why the user did, or did not, get it. Without a trigger and a campaign: all campaigns, in a line each." placeholder:"NAME" xor:"what"`
	JSON     bool   `name:"json" help:"Print JSON instead of words."`
}

// Run prints where the user stands.
func (x explainCommand) Run(e *env) (err error) {
	c, err := connect(e)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	path := "/users/" + url.PathEscape(x.User) + "/campaigns"
	switch {
	case x.Trigger != "":
		path = "/users/" + url.PathEscape(x.User) + "/triggers/" + url.PathEscape(x.Trigger)
	case x.Campaign != "":
		path += "/" + url.PathEscape(x.Campaign)
	}
	body, err := c.do(e.ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(body, 16<<20))
	if err = errors.Join(err, body.Close()); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	if x.JSON {
		_, err = e.out.Write(text)
		return err
	}
	var answer struct {
		Text      []string
		Campaigns []struct{ Campaign, Answer string }
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	for _, c := range answer.Campaigns {
		answer.Text = append(answer.Text, c.Campaign+": "+c.Answer)
	}
	for _, sentence := range answer.Text {
		if _, err := fmt.Fprintln(e.out, sentence); err != nil {
			return err
		}
	}
	return nil
}
