package app

import (
	"testing"

	"heed/internal/definition"
)

func TestUnreachable(t *testing.T) {
	letters := &definition.Set{Channels: map[string]*definition.Channel{"letters": {Name: "letters", Type: definition.ChannelEmail}}}
	pages := &definition.Set{Channels: map[string]*definition.Channel{"web": {Name: "web", Type: definition.ChannelWeb}}}
	f := func(set *definition.Set, publicURL, listen string, want bool) {
		t.Helper()
		cfg := Defaults()
		cfg.PublicURL, cfg.Listen = publicURL, listen
		if got := Unreachable(cfg, set); (got != "") != want {
			t.Errorf("%q, %s: %q", publicURL, listen, got)
		}
	}
	f(letters, "", "127.0.0.1:8080", true)
	f(letters, "", ":8080", true)
	f(letters, "http://localhost:8080", "0.0.0.0:80", true)
	f(letters, "https://heed.shop.example", "127.0.0.1:8080", false)
	f(letters, "", "192.0.2.1:8080", false)
	f(pages, "", "127.0.0.1:8080", false)
}

func TestPublicURL(t *testing.T) {
	for text, good := range map[string]bool{
		"": true, "https://heed.shop.example": true, "http://shop.example/heed": true,
		"shop.example": false, "ftp://shop.example": false, "https://": false, "https://u:p@shop.example": false, "https://shop.example/?x": false,
	} {
		cfg := Defaults()
		cfg.PublicURL = text
		if err := Check(t.Context(), cfg); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
}
