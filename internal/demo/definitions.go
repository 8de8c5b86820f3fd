package demo

import (
	"embed"
	"io/fs"
)

//go:embed definitions
var definitionFiles embed.FS

// Definitions is the folder of what ships with the shop: its sources, triggers,
// templates and campaigns, in the form of `heed apply`.
func Definitions() fs.FS {
	sub, err := fs.Sub(definitionFiles, "definitions")
	if err != nil { // only for a malformed path, and this is a constant
		panic("demo: " + err.Error())
	}
	return sub
}

// Keys of the shipped sources.
const (
	ShopWriteKey  = "shop-key"
	CrowdWriteKey = "shop-crowd-key"
)
