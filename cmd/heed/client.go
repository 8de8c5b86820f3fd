package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"heed/internal/app"
	"heed/internal/definition"
)

// client talks to the admin API: of the server that --server names, of the
// one that uses the data folder, or of one that it opens on the data folder for
// the length of the command.
type client struct {
	base, token string
	close       func() error
}

// connect finds a server. offline allows to open the data folder instead.
func connect(e *env) (*client, error) {
	if base := e.server; base != "" {
		u, err := url.Parse(base)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, usagef("the server %q is not an address like http://127.0.0.1:8080", base)
		}
		token := lookup(e.environ, "HEED_ADMIN_TOKEN")
		if token == "" {
			return nil, usagef("a server is named: set HEED_ADMIN_TOKEN too, to a token of that server (console: Settings)")
		}
		return &client{base: strings.TrimSuffix(base, "/"), token: token, close: func() error { return nil }}, nil
	}
	cfg, err := e.load()
	if err != nil {
		return nil, err
	}
	server, err := app.FindServer(cfg.DataDir)
	if err == nil && answers(e.ctx, server.URL) {
		return &client{base: server.URL, token: server.Token, close: func() error { return nil }}, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return openFolder(e, cfg)
}

// openFolder serves the admin API from the data folder, on a port of its own.
func openFolder(e *env, cfg app.Config) (*client, error) {
	if cfg.Shape == app.Embedded && !app.HasData(cfg.DataDir) {
		return nil, fmt.Errorf("no server runs and there is no data in %s: start one with heed run, or name one with --server", cfg.DataDir)
	}
	ln, err := new(net.ListenConfig).Listen(e.ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open a port: %w", err)
	}
	o, err := app.OpenOffline(e.ctx, cfg)
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	srv := &http.Server{Handler: o.Handler, ReadHeaderTimeout: 5 * time.Second}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	return &client{
		base: "http://" + ln.Addr().String(), token: o.Token,
		close: func() error {
			err := srv.Close()
			if serveErr := <-done; !errors.Is(serveErr, http.ErrServerClosed) {
				err = errors.Join(err, serveErr)
			}
			return errors.Join(err, o.Close())
		},
	}, nil
}

// answers tells whether a server is there.
func answers(ctx context.Context, base string) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/healthz", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

// apiError is the one shape of errors of the admin API.
type apiError struct {
	Error struct {
		Code, Message, Hint string
		Problems            definition.Problems
	}
}

// do sends a request and hands out the body of a good answer, to be closed.
func (c *client) do(ctx context.Context, method, path string, body []byte) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+"/api/v1"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if body != nil {
		req.Header.Set("Content-Type", "text/yaml")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the server: %w", err)
	}
	if resp.StatusCode/100 == 2 {
		return resp.Body, nil
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return nil, fmt.Errorf("ask the server: %w", err)
	}
	var ae apiError
	if json.Unmarshal(text, &ae) != nil || ae.Error.Message == "" {
		if resp.StatusCode == http.StatusNotFound {
			return nil, errors.New("the server has no admin API: does it run the console role?")
		}
		return nil, fmt.Errorf("the server answered %s", resp.Status)
	}
	if len(ae.Error.Problems) > 0 {
		return nil, ae.Error.Problems
	}
	if resp.StatusCode == http.StatusUnauthorized {
		ae.Error.Hint = "is HEED_ADMIN_TOKEN a token of this server?"
	}
	if ae.Error.Hint != "" {
		return nil, fmt.Errorf("%s (%s)", ae.Error.Message, ae.Error.Hint)
	}
	return nil, errors.New(ae.Error.Message)
}

// copyTo streams a good answer to out.
func (c *client) copyTo(ctx context.Context, out io.Writer, path string) error {
	body, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, body)
	return errors.Join(err, body.Close())
}

func lookup(environ []string, name string) string {
	for _, kv := range environ {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v
		}
	}
	return ""
}

// load reads the configuration with the flags that all commands have.
func (e *env) load() (app.Config, error) {
	cfg, err := app.Load(e.config, e.environ)
	if err != nil {
		return cfg, err
	}
	if e.folder != "" {
		cfg.DataDir = e.folder
	}
	return cfg, nil
}
