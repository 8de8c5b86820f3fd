// Package pages serves the built console, every file from memory. It does not
// own what the files show, nor who may sign in (console).
package pages

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
)

// policy lets the pages load their own files only. Styles may be inline: the
// component library sets them on elements. Frames hold rendered content.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"font-src 'self'; connect-src 'self'; frame-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// Pages are the built console. Every file is in memory, compressed when it is
// first asked for.
type Pages struct {
	files map[string]*page
}

type page struct {
	name  string
	plain []byte
	etag  string
	media string

	once   sync.Once
	zipped []byte // nil: not worth it
}

// New reads the files; index.html must be among them.
func New(files fs.FS) (*Pages, error) {
	p := &Pages{files: map[string]*page{}}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(path.Base(name), ".") {
			return err
		}
		b, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(b)
		media := mime.TypeByExtension(path.Ext(name))
		switch path.Ext(name) { // not left to the host's tables
		case ".js", ".mjs":
			media = "text/javascript; charset=utf-8"
		case ".css":
			media = "text/css; charset=utf-8"
		case ".html":
			media = "text/html; charset=utf-8"
		case ".svg":
			media = "image/svg+xml"
		case ".woff2":
			media = "font/woff2"
		case ".json", ".map":
			media = "application/json"
		case "":
			media = "application/octet-stream"
		}
		p.files[name] = &page{name: name, plain: b, etag: hex.EncodeToString(sum[:12]), media: media}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the pages: %w", err)
	}
	if p.files["index.html"] == nil {
		return nil, fmt.Errorf("read the pages: there is no index.html")
	}
	return p, nil
}

// minZipped is the size below which compressing gains nothing, in bytes.
const minZipped = 1024

func (f *page) gzip() []byte {
	f.once.Do(func() {
		switch path.Ext(f.name) {
		case ".woff2", ".png", ".jpg", ".jpeg", ".webp", ".gif", ".gz":
			return
		}
		if len(f.plain) < minZipped {
			return
		}
		var b bytes.Buffer
		z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
		if err != nil {
			return
		}
		if _, err := z.Write(f.plain); err != nil {
			return
		}
		if z.Close() == nil && b.Len() < len(f.plain) {
			f.zipped = b.Bytes()
		}
	})
	return f.zipped
}

// hashed tells whether the file's name changes with its content.
func (f *page) hashed() bool { return strings.HasPrefix(f.name, "assets/") }

// ServeHTTP serves a file, or index.html for the pages' own addresses.
func (p *Pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Content-Security-Policy", policy)
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "this address can only be read", http.StatusMethodNotAllowed)
		return
	}
	name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
	f := p.files[name]
	if f == nil {
		if strings.HasPrefix(name, "assets/") || path.Ext(name) != "" && !strings.Contains(r.Header.Get("Accept"), "text/html") {
			http.Error(w, "there is no such file", http.StatusNotFound)
			return
		}
		f = p.files["index.html"]
	}
	f.serve(w, r)
}

func (f *page) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.media)
	h.Add("Vary", "Accept-Encoding")
	if f.hashed() {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		h.Set("Cache-Control", "no-cache")
	}
	body, tag := f.plain, `"`+f.etag+`"`
	if acceptsGzip(r) {
		if z := f.gzip(); z != nil {
			body, tag = z, `"`+f.etag+`-gz"`
			h.Set("Content-Encoding", "gzip")
		}
	}
	h.Set("ETag", tag)
	for candidate := range strings.SplitSeq(r.Header.Get("If-None-Match"), ",") {
		if strings.TrimPrefix(strings.TrimSpace(candidate), "W/") == tag {
			h.Del("Content-Encoding")
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	h.Set("Content-Length", fmt.Sprint(len(body)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(body) // the caller has gone
	}
}

func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			return strings.ReplaceAll(q, " ", "") != "q=0"
		}
	}
	return false
}
