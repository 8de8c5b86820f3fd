package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"heed/internal/documents"
)

// Collections of orders.
const (
	orderCollection   = "demo_orders"   // key: shopper/number
	counterCollection = "demo_counters" // key: invoice
)

const (
	shippingCents     = 490
	freeShippingCents = 7500 // from this subtotal on
	taxPercent        = 20   // included in prices
)

// Order is a paid order; its invoice shows the same.
type Order struct {
	Number   string    `json:"number"`
	Placed   time.Time `json:"placed"`
	Name     string    `json:"name"`
	Email    string    `json:"email"`
	Card     string    `json:"card"` // last four digits
	Lines    []Line    `json:"lines"`
	Code     string    `json:"code,omitempty"`
	Subtotal int64     `json:"subtotal"` // cents, like all below
	Discount int64     `json:"discount"`
	Shipping int64     `json:"shipping"`
	Tax      int64     `json:"tax"` // included in the total
	Total    int64     `json:"total"`
}

// Line is one product of an order.
type Line struct {
	ProductID string `json:"product_id"`
	Name      string `json:"name"`
	Quantity  int    `json:"quantity"`
	Cents     int64  `json:"cents"` // each
}

type orderRequest struct {
	Items []struct {
		ProductID string `json:"product_id"`
		Quantity  int    `json:"quantity"`
	} `json:"items"`
	Name  string `json:"name"`
	Email string `json:"email"`
	Card  string `json:"card"`
	Code  string `json:"code"`
}

// offer is what a code of a campaign is worth.
func offer(code string) (percent int64, freeShipping, known bool) {
	switch code {
	case "":
		return 0, false, true
	case "BOOST50":
		return 50, false, true
	case "LOOK15":
		return 15, false, true
	case "BACK10":
		return 10, false, true
	case "SHIPFREE":
		return 0, true, true
	default:
		return 0, false, false
	}
}

// refusal is an order that cannot be, for a reason the shopper is told.
type refusal struct {
	status        int
	code, message string
}

func (r *refusal) Error() string { return r.message }

func refuse(status int, code, format string, args ...any) error {
	return &refusal{status, code, fmt.Sprintf(format, args...)}
}

func (s *Shop) placeOrder(w http.ResponseWriter, r *http.Request) {
	var req orderRequest
	if !read(w, r, &req) {
		return
	}
	o, err := s.buy(r.Context(), func() string { return shopper(w, r, true) }, req)
	var no *refusal
	switch {
	case errors.As(err, &no):
		fail(w, no.status, no.code, no.message)
	case err != nil:
		s.broken(w, r, err)
	default:
		reply(w, http.StatusCreated, o)
	}
}

// buy checks, pays and books an order: stock, order and invoice number change
// in one transaction, or nothing does.
func (s *Shop) buy(ctx context.Context, who func() string, req orderRequest) (Order, error) {
	o, err := s.draft(req)
	if err != nil {
		return Order{}, err
	}
	if err := s.inStock(ctx, o.Lines); err != nil {
		return Order{}, err
	}
	// the pretended payment: before anything is booked
	card, err := pay(req.Card)
	if err != nil {
		return Order{}, err
	}
	o.Card = card
	user := who()
	for range maxRetries {
		err := s.book(ctx, user, &o)
		if !errors.Is(err, documents.ErrConflict) {
			return o, err
		}
		// somebody bought the same meanwhile: look again
	}
	return Order{}, errors.New("demo: too many orders at once")
}

// draft checks what is asked for and works out the total.
func (s *Shop) draft(req orderRequest) (Order, error) {
	o := Order{
		Placed: s.deps.Now().UTC(),
		Name:   strings.TrimSpace(req.Name),
		Email:  strings.TrimSpace(req.Email),
		Code:   strings.ToUpper(strings.TrimSpace(req.Code)),
	}
	if o.Name == "" || utf8.RuneCountInString(o.Name) > 100 {
		return o, refuse(http.StatusUnprocessableEntity, "name", "please give your name (at most 100 letters)")
	}
	if at := strings.IndexByte(o.Email, '@'); at < 1 || at == len(o.Email)-1 || len(o.Email) > 200 {
		return o, refuse(http.StatusUnprocessableEntity, "email", "please give an e-mail address")
	}
	if len(req.Items) == 0 || len(req.Items) > 50 {
		return o, refuse(http.StatusUnprocessableEntity, "items", "an order has 1 to 50 lines")
	}
	seen := map[string]bool{}
	for _, it := range req.Items {
		p, ok := s.catalog[it.ProductID]
		if !ok || seen[it.ProductID] || it.Quantity < 1 || it.Quantity > 99 {
			return o, refuse(http.StatusUnprocessableEntity, "items", "each product once, 1 to 99 pieces of it")
		}
		seen[p.ID] = true
		o.Lines = append(o.Lines, Line{p.ID, p.Name, it.Quantity, p.Cents})
		o.Subtotal += p.Cents * int64(it.Quantity)
	}
	percent, freeShipping, known := offer(o.Code)
	if !known {
		return o, refuse(http.StatusUnprocessableEntity, "code", "this code is not known")
	}
	o.Discount = o.Subtotal * percent / 100
	if !freeShipping && o.Subtotal < freeShippingCents {
		o.Shipping = shippingCents
	}
	o.Total = o.Subtotal - o.Discount + o.Shipping
	o.Tax = o.Total * taxPercent / (100 + taxPercent)
	return o, nil
}

// pay pretends: a card that ends in 0000 is declined.
func pay(card string) (last4 string, err error) {
	digits := strings.NewReplacer(" ", "", "-", "").Replace(card)
	if len(digits) < 12 || len(digits) > 19 || strings.Trim(digits, "0123456789") != "" {
		return "", refuse(http.StatusUnprocessableEntity, "card", "a card number has 12 to 19 digits")
	}
	last4 = digits[len(digits)-4:]
	if last4 == "0000" {
		return "", refuse(http.StatusPaymentRequired, "declined", "the bank declined this card; nothing was charged")
	}
	return last4, nil
}

func (s *Shop) inStock(ctx context.Context, lines []Line) error {
	for _, l := range lines {
		if _, err := s.take(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

// take is the write that takes a line from the stock.
func (s *Shop) take(ctx context.Context, l Line) (documents.Write, error) {
	left, version, err := s.stockOf(ctx, l.ProductID)
	if err != nil {
		return documents.Write{}, err
	}
	if left < l.Quantity {
		return documents.Write{}, refuse(http.StatusConflict, "out_of_stock", "only %d of %s left", left, l.Name)
	}
	return documents.Write{
		Collection: stockCollection, Key: l.ProductID,
		Value: strconv.AppendInt(nil, int64(left-l.Quantity), 10), Expect: version,
	}, nil
}

// book writes the order; it fails with documents.ErrConflict if the stock or
// the invoice number moved meanwhile.
func (s *Shop) book(ctx context.Context, user string, o *Order) error {
	writes := make([]documents.Write, 0, len(o.Lines)+2)
	for _, l := range o.Lines {
		w, err := s.take(ctx, l)
		if err != nil {
			return err
		}
		writes = append(writes, w)
	}
	last, version := int64(1000), documents.Absent
	d, err := s.deps.Documents.Get(ctx, counterCollection, "invoice")
	if err == nil {
		version = d.Version
		last, err = strconv.ParseInt(string(d.Value), 10, 64)
	}
	if err != nil && !errors.Is(err, documents.ErrNotFound) {
		return fmt.Errorf("demo: read the last invoice number: %w", err)
	}
	o.Number = fmt.Sprintf("H-%06d", last+1)
	value, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("demo: order: %w", err)
	}
	writes = append(
		writes,
		documents.Write{Collection: counterCollection, Key: "invoice", Value: strconv.AppendInt(nil, last+1, 10), Expect: version},
		documents.Write{Collection: orderCollection, Key: user + "/" + o.Number, Value: value, Expect: documents.Absent},
	)
	return s.deps.Documents.Apply(ctx, documents.Durable, writes...)
}

func (s *Shop) orders(w http.ResponseWriter, r *http.Request) {
	list := []Order{}
	if user := shopper(w, r, false); user != "" {
		docs, err := s.deps.Documents.List(r.Context(), documents.Query{
			Collection: orderCollection, Prefix: user + "/", Reverse: true, Limit: 100,
		})
		if err != nil {
			s.broken(w, r, err)
			return
		}
		for _, d := range docs {
			var o Order
			if err := json.Unmarshal(d.Value, &o); err != nil {
				s.broken(w, r, err)
				return
			}
			list = append(list, o)
		}
	}
	reply(w, http.StatusOK, map[string]any{"orders": list})
}

// invoice shows an invoice to who ordered, to nobody else.
func (s *Shop) invoice(w http.ResponseWriter, r *http.Request) {
	number := r.PathValue("number")
	user := shopper(w, r, false)
	if user == "" || len(number) > 20 {
		fail(w, http.StatusNotFound, "not_found", "there is no such invoice of yours")
		return
	}
	d, err := s.deps.Documents.Get(r.Context(), orderCollection, user+"/"+number)
	if errors.Is(err, documents.ErrNotFound) {
		fail(w, http.StatusNotFound, "not_found", "there is no such invoice of yours")
		return
	}
	if err != nil {
		s.broken(w, r, err)
		return
	}
	reply(w, http.StatusOK, json.RawMessage(d.Value))
}
