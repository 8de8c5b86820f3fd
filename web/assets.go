// Package web owns the built front ends that the binary carries: the tracker,
// the demo shop and the console. Where nothing was built, a stub stands in, so
// that a bare `go build` works without Node. It does not own how they are
// served (gateway, demo, console).
package web

import (
	"embed"
	"io/fs"
)

//go:embed all:tracker/dist all:tracker/stub
//go:embed all:shop/dist all:shop/stub
//go:embed all:console/dist all:console/stub
var built embed.FS

// Tracker holds heed.js (and, when built, snippet.js); stub is true if it was
// not built.
func Tracker() (files fs.FS, stub bool) { return pick(built, "tracker", "heed.js") }

// Shop holds index.html of the demo shop and its assets.
func Shop() (files fs.FS, stub bool) { return pick(built, "shop", "index.html") }

// Console holds index.html of the operator's pages and its assets.
func Console() (files fs.FS, stub bool) { return pick(built, "console", "index.html") }

// pick chooses name's dist folder if it holds a build, known by its main file,
// else its stub folder.
func pick(all fs.FS, name, main string) (files fs.FS, stub bool) {
	dir := name + "/dist"
	if _, err := fs.Stat(all, dir+"/"+main); err != nil {
		dir, stub = name+"/stub", true
	}
	files, err := fs.Sub(all, dir)
	if err != nil { // only for a malformed path, and these are constants
		panic("web: " + err.Error())
	}
	return files, stub
}
