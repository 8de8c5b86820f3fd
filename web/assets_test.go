package web

import (
	"io/fs"
	"testing"
	"testing/fstest"
)

func TestPickPrefersABuild(t *testing.T) {
	f := func(all fstest.MapFS, wantStub bool, want string) {
		t.Helper()
		files, stub := pick(all, "shop", "index.html")
		got, err := fs.ReadFile(files, "index.html")
		if err != nil {
			t.Fatal(err)
		}
		if stub != wantStub || string(got) != want {
			t.Fatalf("stub %v, index.html %q; want %v, %q", stub, got, wantStub, want)
		}
	}
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	f(fstest.MapFS{
		"shop/dist/.keep": file(""), "shop/stub/index.html": file("stub"),
	}, true, "stub")
	f(fstest.MapFS{
		"shop/dist/.keep": file(""), "shop/stub/index.html": file("stub"), "shop/dist/index.html": file("built"),
	}, false, "built")
}

// Whatever was built or not, every front end has its main file.
func TestMainFilesAreEmbedded(t *testing.T) {
	f := func(open func() (fs.FS, bool), main string) {
		t.Helper()
		files, stub := open()
		b, err := fs.ReadFile(files, main)
		if err != nil || len(b) == 0 {
			t.Fatalf("%s (stub %v): %d bytes, %v", main, stub, len(b), err)
		}
	}
	f(Tracker, "heed.js")
	f(Shop, "index.html")
	f(Console, "index.html")
	// The stubs must hold them even when a build hides them.
	for _, path := range []string{"tracker/stub/heed.js", "shop/stub/index.html", "console/stub/index.html"} {
		if _, err := fs.Stat(built, path); err != nil {
			t.Error(err)
		}
	}
}
