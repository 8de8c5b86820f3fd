package gateway

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the test page
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzip"
)

//go:embed test.html
var testPage string

// script is the tracker as it is served.
type script struct {
	plain, packed []byte
	etag          string
}

func loadScript(files fs.FS) (script, error) {
	body, err := fs.ReadFile(files, "heed.js")
	if err != nil {
		return script{}, fmt.Errorf("read the tracker: %w", err)
	}
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err == nil {
		if _, err = z.Write(body); err == nil {
			err = z.Close()
		}
	}
	if err != nil {
		return script{}, fmt.Errorf("compress the tracker: %w", err)
	}
	sum := sha256.Sum256(body)
	return script{body, packed.Bytes(), `"` + hex.EncodeToString(sum[:8]) + `"`}, nil
}

// serveScript serves the tracker. It is fresh for ten minutes: a new version
// reaches pages soon, and they need not ask at each view.
func (g *Gateway) serveScript(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("ETag", g.script.etag)
	h.Set("Cache-Control", "public, max-age=600, stale-while-revalidate=86400")
	h.Set("Vary", "Accept-Encoding")
	h.Set("Content-Type", "text/javascript; charset=utf-8")
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h["X-Content-Type-Options"] = noSniff
	if match := r.Header.Get("If-None-Match"); match == "*" || match != "" && strings.Contains(match, g.script.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := g.script.plain
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = g.script.packed
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
