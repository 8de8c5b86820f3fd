package gateway

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the test page
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzip"
)

//go:embed test.html
var testPage string

// script is a script as it is served.
type script struct {
	plain, packed []byte
	etag          string
}

func loadScript(files fs.FS, name string) (script, error) {
	body, err := fs.ReadFile(files, name)
	if err != nil {
		return script{}, fmt.Errorf("read %s: %w", name, err)
	}
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err == nil {
		if _, err = z.Write(body); err == nil {
			err = z.Close()
		}
	}
	if err != nil {
		return script{}, fmt.Errorf("compress %s: %w", name, err)
	}
	sum := sha256.Sum256(body)
	return script{body, packed.Bytes(), `"` + hex.EncodeToString(sum[:8]) + `"`}, nil
}

// loadScripts reads the tracker, and what pages load for notifications if it was
// built.
func loadScripts(files fs.FS) (map[string]script, error) {
	scripts := map[string]script{}
	for _, name := range []string{"heed.js", "heed-push.js", "heed-sw.js"} {
		s, err := loadScript(files, name)
		if errors.Is(err, fs.ErrNotExist) && name != "heed.js" {
			continue
		}
		if err != nil {
			return nil, err
		}
		scripts[name] = s
	}
	return scripts, nil
}

// serve serves a script. It is fresh for ten minutes: a new version reaches pages
// soon, and they need not ask at each view.
func (s script) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("ETag", s.etag)
	h.Set("Cache-Control", "public, max-age=600, stale-while-revalidate=86400")
	h.Set("Vary", "Accept-Encoding")
	h.Set("Content-Type", "text/javascript; charset=utf-8")
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h["X-Content-Type-Options"] = noSniff
	if match := r.Header.Get("If-None-Match"); match == "*" || match != "" && strings.Contains(match, s.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := s.plain
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = s.packed
	}
	h.Set("Content-Length", fmt.Sprint(len(body)))
	_, _ = w.Write(body) // a client that went away is no matter
}

// serveTest is a page with a button per kind of event. It names the write key
// of the first source, which is public.
func (g *Gateway) serveTest(w http.ResponseWriter, _ *http.Request) {
	key := ""
	name := ""
	for _, s := range g.keys().sources {
		if s.WriteKey != "" && len(s.Origins) == 0 && (key == "" || s.Name < name) {
			key, name = s.WriteKey, s.Name
		}
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	h.Set("Referrer-Policy", "same-origin")
	escape := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")
	_, _ = w.Write([]byte(strings.ReplaceAll(testPage, "{{key}}", escape.Replace(key))))
}
