package sample

import (
	"encoding/json"
	"math/rand/v2"
	"strconv"

	"heed/internal/event"
)

// walk makes the events of one visit.
type walk struct {
	rng      *rand.Rand
	who      *person
	products []Product
	at       int64  // µs
	id       string // of the events, but for their number
	order    string // id of what is bought
	made     int
	e        *event.Event
	yield    func(*event.Event) bool
	stopped  bool

	left   []Product // in the cart, and not bought
	leftAt int64     // µs, when the last of it was put there
}

// visit yields the events of a visit; false: no more are wanted.
func (w *walk) visit(v visit, yield func(*event.Event) bool) bool {
	w.yield = yield
	who, rng := w.who, w.rng
	first := v.number == 0
	w.page("/shop/", "Hearth & Home", first || rng.Float64() < 0.3)
	if who.known && (first || rng.Float64() < 0.1) {
		w.identify()
	}
	if rng.Float64() < 0.3 {
		w.page("/shop/category", "Everything for the home", false)
	}
	looks := rng.IntN(3)
	if rng.Float64() < who.keen {
		looks++
	}
	// The funnel that people are shown first: a visit, a click, what it leads to.
	if rng.Float64() < 0.35+0.5*who.keen {
		w.track("click_event1", `{"element":"hero","variant":"`+[]string{"a", "b"}[rng.IntN(2)]+`"}`)
		if rng.Float64() < 0.3+0.5*who.keen {
			w.pause(40)
			w.track("custom_event2", `{"step":"configured"}`)
		}
	}
	var cart []Product
	for range looks {
		p := w.products[rng.IntN(len(w.products))]
		w.track("product_view", about(p))
		if rng.Float64() < 0.12+0.4*who.keen {
			cart = append(cart, p)
			w.track("cart_add", about(p))
			w.leftAt = w.at
		}
	}
	if rng.Float64() < 0.12 {
		w.play()
	}
	if rng.Float64() < 0.02 {
		w.track("support_message", `{"length":`+strconv.Itoa(20+rng.IntN(200))+`}`)
	}
	if len(cart) > 0 && (rng.Float64() >= 0.25+0.5*who.keen || !w.buy(cart)) {
		w.left = cart
	}
	return !w.stopped
}

// play spins to win.
func (w *walk) play() {
	w.page("/shop/spin", "Spin to win", false)
	for range 1 + w.rng.IntN(5) {
		if w.rng.Float64() < 0.4 {
			w.track("win", `{"game":"spin","prize":`+strconv.Itoa(5*(1+w.rng.IntN(4)))+`}`)
		} else {
			w.track("loss", `{"game":"spin"}`)
		}
	}
}

// buy goes through the checkout, or gives up in it: false.
func (w *walk) buy(cart []Product) bool {
	var cents int64
	type line struct {
		Product  string  `json:"product_id"`
		Price    float64 `json:"price"`
		Quantity int     `json:"quantity"`
	}
	lines := make([]line, 0, len(cart))
	for _, p := range cart {
		cents += p.Cents
		lines = append(lines, line{p.ID, float64(p.Cents) / 100, 1})
	}
	revenue := strconv.FormatFloat(float64(cents)/100, 'f', -1, 64)
	w.page("/shop/checkout", "Checkout", false)
	w.track("checkout_start", `{"revenue":`+revenue+`}`)
	if w.rng.Float64() < 0.22 {
		return false
	}
	if w.rng.Float64() < 0.08 {
		w.track("payment_failed", `{"reason":"declined","revenue":`+revenue+`}`)
		if w.rng.Float64() < 0.5 {
			return false
		}
	}
	body, err := json.Marshal(lines)
	if err != nil {
		return false // numbers and ids of our own
	}
	w.track("purchase", `{"order_id":"`+w.order+`","revenue":`+revenue+`,"currency":"EUR","products":`+string(body)+`}`)
	return true
}

func about(p Product) string {
	return `{"product_id":"` + p.ID + `","category":"` + p.Category + `","price":` + strconv.FormatFloat(float64(p.Cents)/100, 'f', -1, 64) + `}`
}

// pause lets some seconds pass.
func (w *walk) pause(mean float64) {
	w.at += int64(1e6 * (1 + min(w.rng.ExpFloat64()*mean, 400)))
}

func (w *walk) begin(kind event.Type, name string) *event.Event {
	if w.made > 0 {
		w.pause(25)
	}
	w.made++
	who := w.who
	*w.e = event.Event{
		MessageID: w.id + strconv.Itoa(w.made), Type: kind, Name: name, Source: Source,
		Timestamp: w.at, ReceivedAt: w.at,
		Context: event.Context{
			Device: who.device, OS: who.os, Browser: who.browser, Locale: who.locale, Timezone: who.zone.String(), Country: who.country,
			Historical: true, Verified: true,
		},
	}
	who.sign(w.e)
	return w.e
}

// sign makes an event the person's own.
func (who *person) sign(e *event.Event) {
	if who.known {
		e.UserID = who.id
	} else {
		e.AnonymousID = who.id
	}
}

func (w *walk) send() {
	if !w.stopped && !w.yield(w.e) {
		w.stopped = true
	}
}

func (w *walk) track(name, properties string) {
	e := w.begin(event.Track, name)
	e.Properties = []byte(properties)
	w.send()
}

// page views a page; landing says that somebody was sent here.
func (w *walk) page(path, title string, landing bool) {
	e := w.begin(event.Page, event.NamePage)
	e.Context.Page = event.PageContext{URL: "https://hearth.example" + path, Path: path, Title: title}
	if landing {
		e.Context.Campaign, e.Context.Page.Referrer = w.who.campaign, w.who.referrer
	}
	w.send()
}

func (w *walk) identify() {
	e := w.begin(event.Identify, event.NameIdentify)
	plan := "basic"
	if w.who.keen > 0.6 {
		plan = "plus"
	}
	traits, err := json.Marshal(struct {
		First   string               `json:"firstName"`
		Email   string               `json:"email"`
		Plan    string               `json:"plan"`
		Phone   string               `json:"phone,omitempty"`
		Consent map[string]statement `json:"consent,omitempty"`
	}{w.who.first, w.who.email, plan, w.who.phone, w.who.said(w.who.born)})
	if err != nil {
		return // texts of our own
	}
	e.Traits = traits
	w.send()
}
