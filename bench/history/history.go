// Package history makes a shop's past for measurements: any number of events,
// in order of time, the same for the same settings, at millions a second.
//
// It does not own how they get anywhere.
package history

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"heed/internal/event"
)

// Config says what past there is.
type Config struct {
	Seed   uint64
	Events int
	Users  int
	From   time.Time
	Span   time.Duration
}

// Generator makes the events one after the other. It is used by one goroutine.
type Generator struct {
	cfg   Config
	rng   *rand.Rand
	made  int
	users []user
	props []byte
	id    []byte
}

// user is what stays the same of a user, and where their session stands.
type user struct {
	id, session    string
	last           int64
	step           uint8
	country, agent uint8
	news           bool
}

// agent is what people browse with.
type agent struct{ device, os, browser, screen string }

const products = 2000

// Countries, agents and the funnel that shoppers go along, with the chance in
// percent to take the next step in a session.
func countries() []string {
	return []string{"DE", "DE", "DE", "GB", "GB", "FR", "FR", "NL", "NL", "US", "ES", "IT", "BE", "PL", "SE", "AT"}
}

func agents() []agent {
	return []agent{
		{"mobile", "iOS", "Safari", "390x844"},
		{"mobile", "Android", "Chrome", "412x915"},
		{"desktop", "Windows", "Chrome", "1920x1080"},
		{"desktop", "macOS", "Safari", "1440x900"},
		{"desktop", "Windows", "Edge", "1536x864"},
		{"desktop", "Linux", "Firefox", "1920x1080"},
		{"tablet", "iOS", "Safari", "820x1180"},
	}
}

// New makes a generator.
func New(cfg Config) *Generator {
	g := &Generator{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 1)), users: make([]user, cfg.Users)}
	for i := range g.users {
		u := &g.users[i]
		if i%3 == 0 {
			u.id = "user-" + strconv.Itoa(i)
		} else {
			u.id = fmt.Sprintf("%08x-%04x-4%03x-a%03x-%012x", g.rng.Uint32(), g.rng.Uint32()&0xffff, g.rng.Uint32()&0xfff, g.rng.Uint32()&0xfff, g.rng.Uint64()&0xffffffffffff)
		}
		u.country, u.agent, u.news = uint8(g.rng.IntN(len(countries()))), uint8(g.rng.IntN(len(agents()))), g.rng.IntN(5) == 0
	}
	return g
}

// Next writes the next event over e, whose properties belong to the generator
// until the call after it. It is false at the end.
func (g *Generator) Next(e *event.Event) bool {
	if g.made == g.cfg.Events {
		return false
	}
	at := g.cfg.From.UnixMicro() + int64(float64(g.cfg.Span.Microseconds())*float64(g.made)/float64(g.cfg.Events))
	at -= at % 1000
	g.made++
	// Some are here every day, most seldom.
	n := int(float64(len(g.users)) * g.rng.Float64() * g.rng.Float64())
	u := &g.users[min(n, len(g.users)-1)]
	*e = event.Event{Type: event.Track, Source: "shop", Timestamp: at, ReceivedAt: at + 20_000 + int64(g.rng.IntN(80_000))}
	g.id = strconv.AppendUint(append(g.id[:0], "m-"...), g.rng.Uint64(), 36)
	e.MessageID = string(g.id)
	if u.id[0] == 'u' {
		e.UserID = u.id
	} else {
		e.AnonymousID = u.id
	}
	fresh := at-u.last > int64(30*time.Minute/time.Microsecond) || u.session == ""
	if fresh {
		u.session, u.step = "s-"+strconv.FormatUint(g.rng.Uint64(), 36), 0
	}
	u.last, e.SessionID = at, u.session
	a := agents()[u.agent]
	c := &e.Context
	c.Device, c.OS, c.Browser, c.Screen = a.device, a.os, a.browser, a.screen
	c.Country, c.Locale, c.Timezone = countries()[u.country], "en-GB", "Europe/Berlin"
	if fresh && u.news {
		c.Campaign = event.CampaignContext{Source: "newsletter", Medium: "email", Name: "week-" + strconv.Itoa(int(at/604_800_000_000)%50)}
	}
	if fresh && !u.news && n%2 == 0 {
		c.Page.Referrer = "https://www.google.com/"
	}
	g.act(e, u, fresh)
	return true
}

// act decides what the user does.
func (g *Generator) act(e *event.Event, u *user, fresh bool) {
	product := g.rng.IntN(products)
	p := strconv.Itoa(product)
	price := 5 + product%95
	e.Context.Page.Path = "/product/" + p
	e.Context.Page.Title = "Product " + p + " - the shop"
	kind := g.rng.IntN(100)
	switch {
	case fresh:
		e.Name, e.Context.Page.Path, e.Context.Page.Title = "session_start", "/", "The shop"
	case kind < 40:
		e.Type, e.Name = event.Page, event.NamePage
	case kind < 65:
		e.Name, u.step = "product_view", max(u.step, 1)
	case kind < 75 && u.step >= 1:
		e.Name, u.step = "add_to_cart", max(u.step, 2)
	case kind < 80 && u.step >= 2:
		e.Name, u.step = "checkout", 3
	case kind < 86 && u.step >= 3:
		e.Name, u.step = "purchase", 0
		g.props = append(strconv.AppendInt(append(g.props[:0], `{"order_id":"o-`...), int64(g.made), 10), `","revenue":`...)
		e.Properties = append(strconv.AppendInt(g.props, int64(price), 10), `,"currency":"EUR"}`...)
		g.props = e.Properties
	default:
		e.Name = [...]string{"scroll", "search", "hover", "video_play"}[kind%4]
	}
	e.Context.Page.URL = "https://shop.example" + e.Context.Page.Path
	if e.Properties == nil && e.Name != "session_start" && e.Name != "scroll" {
		g.props = append(strconv.AppendInt(append(g.props[:0], `{"product_id":"p-`...), int64(product), 10), `","price":`...)
		e.Properties = append(strconv.AppendInt(g.props, int64(price), 10), `,"currency":"EUR"}`...)
		g.props = e.Properties
	}
}
