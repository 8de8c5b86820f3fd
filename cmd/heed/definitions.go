package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"heed/internal/app"
	"heed/internal/catalog"
	"heed/internal/definition"
)

type applyCommand struct {
	File   string `short:"f" required:"" help:"File or folder of definitions." type:"path" placeholder:"FILE|DIR"`
	DryRun bool   `help:"Check only; change nothing."`
}

// Run applies definitions to the server.
func (a applyCommand) Run(e *env) (err error) {
	docs, err := loadDefinitions(a.File)
	if err != nil {
		return err
	}
	if len(docs) == 0 {
		return usagef("%s holds no definitions (.yaml, .yml or .json)", a.File)
	}
	text, err := definition.Marshal(docs)
	if err != nil {
		return err
	}
	c, err := connect(e)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	path := "/definitions:apply"
	if a.DryRun {
		path += "?dryRun=true"
	}
	body, err := c.do(e.ctx, http.MethodPost, path, text)
	if err != nil {
		return placed(docs, err)
	}
	var res catalog.Result
	err = json.NewDecoder(body).Decode(&res)
	if err = errors.Join(err, body.Close()); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	for _, ch := range res.Changes {
		if _, err := fmt.Fprintf(e.out, "%-9s %s %s\n", ch.Action, ch.Kind, ch.Name); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(e.out, "revision %d\n", res.Revision)
	return err
}

// placed gives the problems that the server found the places of our files.
func placed(docs []definition.Document, err error) error {
	var problems definition.Problems
	if !errors.As(err, &problems) {
		return err
	}
	out := make(definition.Problems, len(problems))
	for i, p := range problems {
		out[i] = p
		out[i].File, out[i].Line, out[i].Column = "", 0, 0
		for _, d := range docs {
			if d.Kind == p.Kind && d.Name == p.Name {
				out[i] = d.Problem(p.Path, p.Message, p.Hint)
			}
		}
	}
	return out
}

// loadDefinitions reads a file or a folder; places are relative to where the
// command was called.
func loadDefinitions(path string) ([]definition.Document, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read definitions: %w", err)
	}
	dir, root := path, "."
	if !info.IsDir() {
		dir, root = filepath.Dir(path), filepath.Base(path)
	}
	docs, problems := definition.LoadDir(os.DirFS(dir), root)
	for i := range problems {
		problems[i].File = filepath.Join(dir, problems[i].File)
	}
	for i := range docs {
		docs[i] = docs[i].In(dir)
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return docs, nil
}

type exportCommand struct {
	Output string `short:"o" help:"File to write (default: standard output)." type:"path" placeholder:"FILE"`
}

// Run writes all definitions as YAML; secrets are written ***.
func (x exportCommand) Run(e *env) error {
	return download(e, "/definitions:export", x.Output)
}

// download streams an answer of the API into a file or to standard output.
func download(e *env, path, output string) (err error) {
	c, err := connect(e)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	out := e.out
	if output != "" && output != "-" {
		f, err := os.Create(output)
		if err != nil {
			return err
		}
		if err := c.copyTo(e.ctx, f, path); err != nil {
			return errors.Join(err, f.Close())
		}
		return f.Close()
	}
	return c.copyTo(e.ctx, out, path)
}

type checkCommand struct {
	Definitions string `help:"Also check this file or folder of definitions." type:"path" placeholder:"FILE|DIR"`
}

// Run checks what can be checked without starting.
func (k checkCommand) Run(e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	if k.Definitions != "" {
		cfg.Definitions = k.Definitions
	}
	if err := app.Check(e.ctx, cfg); err != nil {
		return err
	}
	n := 0
	if cfg.Definitions != "" {
		docs, err := loadDefinitions(cfg.Definitions)
		if err != nil {
			return err
		}
		set, problems := definition.NewSet(0, docs)
		if problems != nil {
			return placed(docs, problems)
		}
		n = len(docs)
		if err := errors.Join(app.CheckCertificates(set, time.Now()), app.CheckBrokers(e.ctx, cfg, set)); err != nil {
			return err
		}
		if warning := app.Unreachable(cfg, set); warning != "" {
			if _, err := fmt.Fprintln(e.out, "warning:", warning); err != nil {
				return err
			}
		}
	}
	_, err = fmt.Fprintf(e.out, "configuration is good; %d definitions are good\n", n)
	return err
}
