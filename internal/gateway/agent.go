package gateway

import (
	"strings"
	"sync"

	"github.com/mileusna/useragent"

	"heed/internal/event"
)

// agent is what a user agent says about who holds it.
type agent struct {
	device  string // desktop, mobile or tablet
	os      string
	browser string
	bot     bool
}

// keptAgents bounds the user agents whose meaning is remembered. A site sees
// some thousand of them, of which a few hundred make nearly all of its traffic.
const keptAgents = 4096

// agents remembers what user agents mean. It may be used concurrently.
type agents struct {
	mu    sync.RWMutex
	known map[string]agent
}

// read tells what a user agent means.
func (a *agents) read(text string) agent {
	a.mu.RLock()
	c, ok := a.known[text]
	a.mu.RUnlock()
	if ok {
		return c
	}
	c = readAgent(text)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known == nil || len(a.known) >= keptAgents {
		a.known = make(map[string]agent) // what is in use comes back at once
	}
	a.known[strings.Clone(text)] = c
	return c
}

// readAgent reads a user agent. Of names only those are kept that the agent
// states by itself: what is unknown stays empty.
func readAgent(text string) agent {
	ua := useragent.Parse(text)
	c := agent{os: ua.OS, bot: ua.Bot || isBot(text)}
	if ua.Name != text { // an unknown one is its own name
		c.browser = ua.Name
	}
	switch {
	case c.bot:
	case ua.Tablet:
		c.device = "tablet"
	case ua.Mobile:
		c.device = "mobile"
	case ua.Desktop:
		c.device = "desktop"
	}
	c.os, c.browser = named(c.os), named(c.browser)
	return c
}

func named(s string) string {
	return strings.ToValidUTF8(event.Cut(strings.TrimSpace(s), event.MaxContextText), "")
}

// describe fills in what the client did not state itself.
func (c *agent) describe(to *event.Context) {
	to.Bot = to.Bot || c.bot
	if to.Device == "" {
		to.Device = c.device
	}
	if to.OS == "" {
		to.OS = c.os
	}
	if to.Browser == "" {
		to.Browser = c.browser
	}
}

// isBot tells the clients that say that they are none of a person.
func isBot(agent string) bool {
	for i := 0; i+3 <= len(agent); i++ {
		switch agent[i] | 0x20 {
		case 'b':
			// Cubot makes phones.
			if hasFold(agent[i:], "bot") && (i < 2 || !hasFold(agent[i-2:], "cubot")) {
				return true
			}
		case 'c':
			if hasFold(agent[i:], "crawl") {
				return true
			}
		case 's':
			if hasFold(agent[i:], "spider") || hasFold(agent[i:], "slurp") {
				return true
			}
		case 'h':
			if hasFold(agent[i:], "headless") {
				return true
			}
		}
	}
	return false
}

func hasFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
