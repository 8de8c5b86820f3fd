package demo

import (
	"bytes"
	"crypto/rand"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

// nonceMark stands in index.html where each answer's nonce goes.
const nonceMark = "__NONCE__"

// pages serves the built files; any other address is a page of the
// application.
func (s *Shop) pages(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	name := strings.TrimPrefix(path.Clean(r.URL.Path), "/shop/")
	if path.Ext(name) != "" && name != "index.html" {
		if info, err := fs.Stat(s.deps.Files, name); err != nil || info.IsDir() {
			http.NotFound(w, r)
			return
		}
		if strings.HasPrefix(name, "assets/") { // their names hold a hash
			h.Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		http.ServeFileFS(w, r, s.deps.Files, name)
		return
	}
	nonce := rand.Text()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'self'; script-src 'self' 'nonce-"+nonce+"'; style-src 'self' 'unsafe-inline'; "+
		"img-src 'self' data: https:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'")
	_, _ = w.Write(bytes.ReplaceAll(s.page, []byte(nonceMark), []byte(nonce))) // the client is gone: nobody to tell
}
