package intake

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"heed/internal/consent"
	"heed/internal/console/api"
	"heed/internal/event"
	"heed/internal/reach"
)

const byteOrderMark = "\xef\xbb\xbf"

// look reads the titles and the first rows from the beginning of a file.
func (h *head) look(start []byte) error {
	if rest, marked := bytes.CutPrefix(start, []byte(byteOrderMark)); marked {
		start, h.Mark = rest, int64(len(byteOrderMark))
	}
	whole := start
	for range utf8.UTFMax - 1 { // the part may end inside of a letter
		if len(whole) > 0 && !utf8.Valid(whole) {
			whole = whole[:len(whole)-1]
		}
	}
	if !utf8.Valid(whole) || bytes.IndexByte(start, 0) >= 0 {
		return bad("the file is no text in UTF-8: save it as CSV UTF-8")
	}
	line, _, _ := bytes.Cut(start, []byte("\n"))
	h.Comma = ','
	for _, c := range ";\t" {
		if bytes.Count(line, []byte(string(c))) > bytes.Count(line, []byte(string(h.Comma))) {
			h.Comma = c
		}
	}
	r := csv.NewReader(bytes.NewReader(start))
	r.Comma, r.FieldsPerRecord = h.Comma, -1
	titles, err := r.Read()
	if err != nil {
		return bad("the first row holds no titles of columns")
	}
	seen := map[string]bool{}
	for i, t := range titles {
		t = strings.TrimSpace(t)
		switch {
		case t == "" || len(t) > event.MaxNameBytes:
			return bad("column %d needs a title of at most %d letters", i+1, event.MaxNameBytes)
		case seen[t]:
			return bad("two columns are called %q", t)
		case len(titles) > maxColumns:
			return bad("there are %d columns: at most %d", len(titles), maxColumns)
		}
		seen[t] = true
		h.Columns = append(h.Columns, t)
	}
	h.Sample = [][]string{}
	for len(h.Sample) < sampleRows {
		row, err := r.Read()
		if err != nil {
			break // the end, or a row that the dry run will tell of
		}
		for i := range row {
			row[i] = strings.ToValidUTF8(event.Cut(row[i], sampleBytes), "")
		}
		h.Sample = append(h.Sample, row)
	}
	return nil //nolint:nilerr // a row that cannot be read is told of by the dry run
}

// wrong is a mistake in a row.
type wrong struct {
	column  string
	message string
}

func (w *wrong) Error() string { return w.message }

// plan says what the columns are.
type plan struct {
	api.ImportPlan
	userID, email, phone, sms, reason, at, consentAt int            // columns; -1: none
	traits, consents                                 map[string]int // by name
	titles                                           []string
}

// planOf checks a plan against the columns.
func planOf(columns []string, asked *api.ImportPlan) (*plan, error) {
	p := &plan{
		ImportPlan: *asked, userID: -1, email: -1, phone: -1, sms: -1, reason: -1, at: -1, consentAt: -1,
		traits: map[string]int{}, consents: map[string]int{}, titles: columns,
	}
	users := asked.Kind == api.ImportUsers
	single := map[string]*int{"email": &p.email}
	if users {
		single["userId"], single["phone"], single["consentAt"] = &p.userID, &p.phone, &p.consentAt
	} else {
		single["sms"], single["reason"], single["at"] = &p.sms, &p.reason, &p.at
	}
	if !asked.Kind.Valid() {
		return nil, bad("%q is no kind of import: users or suppressions", asked.Kind)
	}
	for _, title := range slices.Sorted(maps.Keys(asked.Columns)) {
		as := asked.Columns[title]
		i := slices.Index(columns, title)
		if i < 0 {
			return nil, bad("the file has no column %q", title)
		}
		trait, isTrait := strings.CutPrefix(as, "trait:")
		key, isConsent := strings.CutPrefix(as, "consent:")
		var doubled bool
		switch to := single[as]; {
		case to != nil:
			doubled = *to >= 0
			*to = i
		case users && isTrait && trait != "" && !slices.Contains([]string{"email", "phone", "consent"}, trait):
			_, doubled = p.traits[trait]
			p.traits[trait] = i
		case users && isConsent && (consent.Required(key) || key == consent.KeyMarketing):
			_, doubled = p.consents[key]
			p.consents[key] = i
		default:
			return nil, bad("column %q cannot be %q", title, as)
		}
		if doubled {
			return nil, bad("two columns are %q", as)
		}
	}
	switch {
	case users && p.userID < 0:
		return nil, bad("say which column holds the userId")
	case !users && (p.email < 0) == (p.sms < 0):
		return nil, bad("say which column holds the address: email or sms, one of them")
	case len(p.consents) > 0 && (asked.ConsentSource == "" || asked.ConsentWording == ""):
		return nil, bad("say where the consents were given (consentSource), and what was agreed to (consentWording)")
	}
	return p, nil
}

// same tells whether two plans say the same about the file.
func same(a, b *api.ImportPlan) bool {
	return a.Kind == b.Kind && a.ConsentSource == b.ConsentSource && a.ConsentWording == b.ConsentWording && maps.Equal(a.Columns, b.Columns)
}

// cell is the text of a column, "" if there is none.
func cell(row []string, column int) string {
	if column < 0 {
		return ""
	}
	return strings.TrimSpace(row[column])
}

// check finds what makes no row of its plan.
func (p *plan) check(row []string) error {
	if len(row) != len(p.titles) {
		return &wrong{"", fmt.Sprintf("it has %d columns, and the titles are %d", len(row), len(p.titles))}
	}
	for i, c := range row {
		if !utf8.ValidString(c) || strings.IndexByte(c, 0) >= 0 {
			return &wrong{p.titles[i], "it is no text in UTF-8"}
		}
	}
	return nil
}

// user is a row as an event.
func (p *plan) user(row []string, began int64) (*event.Event, error) {
	if err := p.check(row); err != nil {
		return nil, err
	}
	id := cell(row, p.userID)
	switch {
	case event.Nobody(id):
		return nil, &wrong{p.titles[p.userID], fmt.Sprintf("%q is nobody's id", id)}
	case len(id) > event.MaxIDBytes || strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return nil, &wrong{p.titles[p.userID], fmt.Sprintf("%.40q is no id: at most %d bytes, no control characters", id, event.MaxIDBytes)}
	}
	traits := map[string]any{}
	for name, column := range p.traits {
		if text := cell(row, column); text != "" {
			traits[name] = typed(text)
		}
	}
	for _, a := range []struct {
		name, channel string
		column        int
	}{{"email", "email", p.email}, {"phone", "sms", p.phone}} {
		text := cell(row, a.column)
		if text == "" {
			continue
		}
		to, ok := reach.Normal(a.channel, text)
		if !ok {
			return nil, &wrong{p.titles[a.column], (&reach.BadAddress{Type: a.channel, Address: text}).Error()}
		}
		traits[a.name] = to
	}
	said, err := p.said(row, began)
	if err != nil {
		return nil, err
	}
	if len(said) > 0 {
		traits["consent"] = said
	}
	e := &event.Event{
		Type: event.Identify, Name: event.NameIdentify, UserID: id, Timestamp: began, ReceivedAt: began, Source: Source,
		Context: event.Context{Historical: true, Verified: true},
	}
	if e.Traits, err = json.Marshal(traits); err != nil {
		return nil, fmt.Errorf("intake: encode traits: %w", err)
	}
	if len(e.Traits) > event.MaxJSONBytes || len(traits) > event.MaxJSONKeys {
		return nil, &wrong{"", fmt.Sprintf("it holds more than %d KB", event.MaxJSONBytes>>10)}
	}
	return e, nil
}

// said is the consents of a row. A yes without a time is older than everything
// that the person has said to Heed; a no without one is as of the import.
func (p *plan) said(row []string, began int64) (map[string]json.RawMessage, error) {
	out := map[string]json.RawMessage{}
	if len(p.consents) == 0 {
		return out, nil
	}
	at, err := p.time(row, p.consentAt)
	if err != nil {
		return nil, err
	}
	for key, column := range p.consents {
		s := consent.Statement{Source: p.ConsentSource, Wording: p.ConsentWording, At: at}
		switch text := strings.ToLower(cell(row, column)); text {
		case "":
			continue
		case "yes", "y", "true", "1":
			s.State, s.Confirmed = consent.Granted, true // where the list was made
			s.At = max(s.At, 1)
		case "no", "n", "false", "0":
			s.State = consent.Refused
			if s.At == 0 {
				s.At = began
			}
		default:
			return nil, &wrong{p.titles[column], fmt.Sprintf("%.40q is neither yes nor no", text)}
		}
		out[key] = json.RawMessage(s.Value())
	}
	return out, nil
}

// time reads a column of times, 0 if it is empty.
func (p *plan) time(row []string, column int) (int64, error) {
	text := cell(row, column)
	if text == "" {
		return 0, nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil && t.Year() > 1970 && t.Year() < 3000 {
			return t.UnixMicro(), nil
		}
	}
	return 0, &wrong{p.titles[column], fmt.Sprintf("%.40q is no time: 2026-11-27, or 2026-11-27T18:00:00Z", text)}
}

// typed reads what is surely a number or a flag as one. A text that begins with
// 0, such as a postcode, stays a text.
func typed(text string) any {
	switch text {
	case "true":
		return true
	case "false":
		return false
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && len(text) < 16 && strconv.FormatFloat(f, 'f', -1, 64) == text {
		return json.Number(text)
	}
	return text
}

// suppression is a row as an address that must not be written to.
func (p *plan) suppression(row []string, began int64) (reach.Heard, error) {
	if err := p.check(row); err != nil {
		return reach.Heard{}, err
	}
	h := reach.Heard{Type: "email", Why: reach.Unsubscribed, Cause: reach.Cause{Detail: "imported"}}
	column := p.email
	if column < 0 {
		h.Type, column = "sms", p.sms
	}
	var ok bool
	if h.Address, ok = reach.Normal(h.Type, cell(row, column)); !ok {
		return h, &wrong{p.titles[column], (&reach.BadAddress{Type: h.Type, Address: cell(row, column)}).Error()}
	}
	if text := strings.ToLower(cell(row, p.reason)); text != "" {
		if h.Why = reach.Why(text); !slices.Contains(reach.Whys(), h.Why) {
			return h, &wrong{p.titles[p.reason], fmt.Sprintf("%.40q is no reason: unsubscribed, stop, hard_bounce, complaint or manual", text)}
		}
	}
	at, err := p.time(row, p.at)
	if h.Cause.At = at; at == 0 || at > began {
		h.Cause.At = began
	}
	return h, err
}

// errLong says that no row ends where one should.
var errLong = errors.New("a row is longer than 256 KB: a quote may be missing")

// leash bounds how much is read for one row, so that a quote that is never closed
// does not gather the whole file.
type leash struct {
	io.Reader
	left int
}

func (l *leash) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errLong
	}
	n, err := l.Reader.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}

// writeErrors writes errors as CSV. What a spreadsheet would take for a formula
// is made text.
func writeErrors(out io.Writer, each func(yield func(api.ImportError) bool) error) error {
	w := csv.NewWriter(out)
	plain := func(s string) string {
		if s != "" && strings.ContainsAny(s[:1], "=+-@\t\r") {
			return "'" + s
		}
		return s
	}
	_ = w.Write([]string{"row", "column", "message"}) // Error tells
	err := each(func(e api.ImportError) bool {
		return w.Write([]string{strconv.FormatInt(e.Row, 10), plain(e.Column), plain(e.Message)}) == nil
	})
	w.Flush()
	return errors.Join(err, w.Error())
}
