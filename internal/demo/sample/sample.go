// Package sample owns the sample shop's past: 14 months of believable history
// of people who do not exist, and loading it through the log like any import of
// old events: with the addresses of some, what they said about being written to,
// and what must not be written to any more.
//
// It does not own the shop and its live crowd (demo). Nothing of it ever fires:
// every event says context.historical.
package sample

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"heed/internal/event"
)

// Source is the source of all sample events.
const Source = "sample"

// Past says which history is made. Equal values make equal histories.
type Past struct {
	Seed  uint64    `json:"seed"`
	Users int       `json:"users"`
	Until time.Time `json:"until"` // the end of the history
}

// months is how far the history reaches back.
const months = 14

// Product is something that is looked at and bought.
type Product struct {
	ID, Name, Category string
	Cents              int64
}

// Events yields the history by the start of the visits and by the time of
// letters; each user's events are in order of time. An event is valid until the next one.
func (p Past) Events(products []Product) iter.Seq[*event.Event] {
	return func(yield func(*event.Event) bool) {
		people := p.people()
		var e event.Event
		mail := letters{past: p, sent: map[int]int64{}, e: &e}
		for _, v := range p.visits(people) {
			if !mail.until(v.start, yield) {
				return
			}
			who := &people[v.person]
			w := walk{
				rng: rand.New(rand.NewPCG(p.Seed, uint64(v.person)<<20|uint64(v.number))), //nolint:gosec // no secret
				who: who, products: products, at: v.start, e: &e,
				id: "sample-" + strconv.Itoa(v.person) + "-" + strconv.Itoa(v.number) + "-", order: who.id + "-" + strconv.Itoa(v.number),
			}
			if !w.visit(v, yield) {
				return
			}
			mail.after(&w, v)
		}
		mail.until(math.MaxInt64, yield)
	}
}

// person is one who does not exist.
type person struct {
	id, first string // first and contact of those who have an account
	known     bool
	contact
	country, locale string
	zone            *time.Location
	device, os      string
	browser         string
	campaign        event.CampaignContext
	referrer        string
	born            time.Time // of the first visit
	gone            time.Time // no visit after it
	gap             float64   // days between visits, on average
	keen            float64   // 0 to 1: how far they go
}

// choice is a value with its weight.
type choice[T any] struct {
	weight float64
	value  T
}

func pick[T any](rng *rand.Rand, from []choice[T]) T {
	sum := 0.0
	for _, c := range from {
		sum += c.weight
	}
	x := rng.Float64() * sum
	for _, c := range from {
		if x -= c.weight; x < 0 {
			return c.value
		}
	}
	return from[len(from)-1].value
}

type place struct{ country, locale, zone string }

type client struct{ device, os, browser string }

type origin struct {
	campaign event.CampaignContext
	referrer string
}

// habit is how one kind of person behaves.
type habit struct {
	gap  float64 // days between visits
	stay float64 // days until they are gone
	keen float64
}

func (p Past) people() []person {
	var (
		places = []choice[place]{
			{34, place{"DE", "de-DE", "Europe/Berlin"}},
			{9, place{"AT", "de-AT", "Europe/Vienna"}},
			{8, place{"CH", "de-CH", "Europe/Zurich"}},
			{12, place{"FR", "fr-FR", "Europe/Paris"}},
			{9, place{"NL", "nl-NL", "Europe/Amsterdam"}},
			{7, place{"PL", "pl-PL", "Europe/Warsaw"}},
			{13, place{"GB", "en-GB", "Europe/London"}},
			{8, place{"US", "en-US", "America/New_York"}},
		}
		clients = []choice[client]{
			{27, client{"mobile", "iOS", "Safari"}},
			{26, client{"mobile", "Android", "Chrome"}},
			{21, client{"desktop", "Windows", "Chrome"}},
			{7, client{"desktop", "Windows", "Edge"}},
			{6, client{"desktop", "macOS", "Safari"}},
			{5, client{"desktop", "Linux", "Firefox"}},
			{5, client{"tablet", "iOS", "Safari"}},
			{3, client{"mobile", "Android", "Samsung Browser"}},
		}
		origins = []choice[origin]{
			{26, origin{}},
			{22, origin{referrer: "https://www.google.com/"}},
			{16, origin{event.CampaignContext{Source: "google", Medium: "cpc", Name: "brand"}, "https://www.google.com/"}},
			{12, origin{event.CampaignContext{Source: "instagram", Medium: "social", Name: "home-stories"}, "https://l.instagram.com/"}},
			{11, origin{event.CampaignContext{Source: "newsletter", Medium: "email", Name: "welcome"}, ""}},
			{7, origin{event.CampaignContext{Source: "partner", Medium: "affiliate", Name: "cosy-blog"}, "https://cosy-blog.example/"}},
			{6, origin{referrer: "https://www.bing.com/"}},
		}
		habits = []choice[habit]{
			{38, habit{gap: 40, stay: 1, keen: 0.15}},  // looked once
			{27, habit{gap: 18, stay: 90, keen: 0.35}}, // now and then
			{20, habit{gap: 9, stay: 130, keen: 0.5}},  // often
			{11, habit{gap: 4, stay: 170, keen: 0.65}}, // at home here
			{4, habit{gap: 2, stay: 200, keen: 0.8}},   // every other day
		}
		names = []string{
			"Anna", "Ben", "Clara", "David", "Emma", "Felix", "Greta", "Henri", "Ida", "Jonas", "Klara", "Liam", "Mia", "Noah", "Olga", "Paul",
			"Quentin", "Rosa", "Sam", "Thea", "Ugo", "Vera", "Willem", "Xenia", "Yann", "Zoe",
		}
		zones = map[string]*time.Location{}
		given = map[string]int{}
	)
	start := p.Until.AddDate(0, -months, 0)
	span := p.Until.Sub(start)
	people := make([]person, p.Users)
	for i := range people {
		rng := rand.New(rand.NewPCG(p.Seed, uint64(i)|1<<63)) //nolint:gosec // no secret
		at, c, o, h := pick(rng, places), pick(rng, clients), pick(rng, origins), pick(rng, habits)
		zone := zones[at.zone]
		if zone == nil {
			var err error
			if zone, err = time.LoadLocation(at.zone); err != nil {
				zone = time.UTC
			}
			zones[at.zone] = zone
		}
		who := &people[i]
		*who = person{
			id: "sample-" + strconv.Itoa(i+1), country: at.country, locale: at.locale, zone: zone,
			device: c.device, os: c.os, browser: c.browser, campaign: o.campaign, referrer: o.referrer,
			gap: h.gap * (0.6 + 0.8*rng.Float64()), keen: h.keen * (0.7 + 0.6*rng.Float64()),
		}
		// A shop that grows, and more so in May and November.
		share := math.Pow(rng.Float64(), 0.75)
		who.born = start.Add(time.Duration(share * float64(span)))
		if m := who.born.Month(); m != time.May && m != time.November && rng.Float64() < 0.12 {
			busy := time.Date(who.born.Year(), time.May, 1+rng.IntN(31), rng.IntN(24), rng.IntN(60), rng.IntN(60), 0, time.UTC)
			if busy.After(start) && busy.Before(p.Until) {
				who.born = busy
			}
		}
		who.gone = who.born.Add(time.Duration(h.stay * (0.3 + 1.4*rng.Float64()) * 24 * float64(time.Hour)))
		if who.known = rng.Float64() < 0.25+0.5*h.keen; who.known {
			who.first = names[rng.IntN(len(names))]
			who.contact = leave(rng, fmt.Sprintf("%s.%d@sample.example", strings.ToLower(who.first), i+1), who.country, given)
		}
	}
	return people
}

// visit is one visit of a person.
type visit struct {
	start  int64 // µs
	next   int64 // µs, start of the person's next one
	person int
	number int
}

func (p Past) visits(people []person) []visit {
	var out []visit
	for i := range people {
		who := &people[i]
		rng := rand.New(rand.NewPCG(p.Seed, uint64(i)|1<<62)) //nolint:gosec // no secret
		at := who.born
		for n := 0; at.Before(p.Until.Add(-45*time.Minute)) && (n == 0 || at.Before(who.gone)); n++ {
			if n > 0 {
				out[len(out)-1].next = at.UnixMicro()
			}
			out = append(out, visit{at.UnixMicro(), p.Until.UnixMicro(), i, n})
			day := at.Add(time.Duration((0.15 + rng.ExpFloat64()) * who.gap * 24 * float64(time.Hour))).In(who.zone)
			// People shop in the evening, and never twice within the hour.
			hour := pick(rng, []choice[int]{{2, 7}, {4, 9}, {5, 12}, {4, 15}, {8, 18}, {10, 20}, {5, 22}}) + rng.IntN(2)
			next := time.Date(day.Year(), day.Month(), day.Day(), hour, rng.IntN(60), rng.IntN(60), rng.IntN(1e9), who.zone)
			if next.Sub(at) < 2*time.Hour {
				next = next.AddDate(0, 0, 1)
			}
			at = next
		}
	}
	slices.SortFunc(out, func(a, b visit) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.person, b.person))
	})
	return out
}
