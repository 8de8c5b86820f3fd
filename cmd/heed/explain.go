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
	User    string `required:"" help:"Profile id: the user id if known, else the anonymous id." placeholder:"ID"`
	Trigger string `required:"" help:"Name of the trigger." placeholder:"NAME"`
	JSON    bool   `name:"json" help:"Print JSON instead of words."`
}

// Run prints where the user stands with the trigger.
func (x explainCommand) Run(e *env) (err error) {
	c, err := connect(e)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	body, err := c.do(e.ctx, http.MethodGet, "/users/"+url.PathEscape(x.User)+"/triggers/"+url.PathEscape(x.Trigger), nil)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(body, 1<<20))
	if err = errors.Join(err, body.Close()); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	if x.JSON {
		_, err = e.out.Write(text)
		return err
	}
	var answer struct{ Text []string }
	if err := json.Unmarshal(text, &answer); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	for _, sentence := range answer.Text {
		if _, err := fmt.Fprintln(e.out, sentence); err != nil {
			return err
		}
	}
	return nil
}
