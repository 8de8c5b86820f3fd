package gateway

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"heed/internal/event"
)

// maxAgent is the longest user agent that is kept, in bytes.
const maxAgent = 256

// surroundings reads what the request itself says about the client. What a
// server sends is about others, so of it only the events' own words count.
func (q *request) surroundings(r *http.Request) {
	if q.c.server {
		return
	}
	if cut := cutAddress(q.address); cut.IsValid() {
		start := len(q.room)
		q.room = cut.AppendTo(q.room)
		q.client = q.text(start)
	}
	if agent := r.Header["User-Agent"]; len(agent) > 0 {
		q.agent = event.Cut(agent[0], maxAgent)
		if !validText(q.agent) {
			q.agent = strings.ToValidUTF8(q.agent, "")
		}
	}
	if gpc := r.Header["Sec-Gpc"]; len(gpc) > 0 {
		q.gpc = gpc[0] == "1"
	}
}

func validText(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 || s[i] < 0x20 {
			return false
		}
	}
	return true
}

// private makes a context fit to be stored.
func (q *request) private(c *event.Context) {
	if q.c.server {
		c.IP = cutText(c.IP)
	} else {
		c.IP = q.client
	}
	if c.UserAgent == "" {
		c.UserAgent = q.agent
	}
	if c.UserAgent != q.lastText { // the events of a request mostly have one
		q.lastText, q.lastAgent = c.UserAgent, q.g.agents.read(c.UserAgent)
	}
	q.lastAgent.describe(c)
	if q.gpc {
		c.Consent = q.reader.With(c.Consent, `"gpc":`, []byte("true"))
	}
	c.Page.URL = q.cleanURL(c.Page.URL, &c.Campaign)
	c.Page.Referrer = q.cleanURL(c.Page.Referrer, nil)
	if c.Page.Path == "" {
		c.Page.Path = pathOf(c.Page.URL)
	} else if i := strings.IndexAny(c.Page.Path, "?#"); i >= 0 {
		c.Page.Path = c.Page.Path[:i]
	}
}

// cutText cuts an address that a server states for its client.
func cutText(ip string) string {
	if ip == "" {
		return ""
	}
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return ""
	}
	return cutAddress(a).String()
}

// queryList says which query parameters of page addresses are kept.
type queryList struct {
	exact    map[string]bool
	prefixes []string
}

func newQueryList(names []string) queryList {
	l := queryList{exact: map[string]bool{}}
	for _, n := range names {
		if p, ok := strings.CutSuffix(n, "*"); ok {
			l.prefixes = append(l.prefixes, p)
		} else {
			l.exact[n] = true
		}
	}
	return l
}

func (l *queryList) keeps(name string) bool {
	if l.exact[name] {
		return true
	}
	for _, p := range l.prefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// cleanURL cuts off the parameters that are not on the list, a user and
// password, and a fragment unless it is a route. It reads the campaign, where
// the client named none, out of utm parameters.
func (q *request) cleanURL(raw string, campaign *event.CampaignContext) string {
	mark, at := -1, false
	for i := range len(raw) {
		c := raw[i]
		if c == '?' || c == '#' {
			mark = i
			break
		}
		at = at || c == '@'
	}
	if at {
		return q.cleanURL(withoutUser(raw), campaign)
	}
	if mark < 0 {
		return raw
	}
	before := raw[:mark]
	var query, fragment string
	if raw[mark] == '?' {
		query, fragment, _ = strings.Cut(raw[mark+1:], "#")
	} else {
		fragment = raw[mark+1:]
	}
	start := len(q.room)
	q.room = append(q.room, before...)
	separator := byte('?')
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		name, value, _ := strings.Cut(pair, "=")
		if campaign != nil && strings.HasPrefix(name, "utm_") {
			stateCampaign(campaign, name[len("utm_"):], value)
		}
		if q.g.kept.keeps(name) {
			q.room = append(q.room, separator)
			q.room = append(q.room, pair...)
			separator = '&'
		}
	}
	if strings.HasPrefix(fragment, "/") || strings.HasPrefix(fragment, "!/") {
		route, _, _ := strings.Cut(fragment, "?")
		q.room = append(q.room, '#')
		q.room = append(q.room, route...)
	}
	return q.text(start)
}

// withoutUser is an address without a user and password; any other @ that
// stands before the query is escaped.
func withoutUser(raw string) string {
	end := strings.IndexAny(raw, "?#")
	if end < 0 {
		end = len(raw)
	}
	before, rest := raw[:end], raw[end:]
	if scheme, host, ok := strings.Cut(before, "://"); ok {
		path := ""
		if slash := strings.IndexByte(host, '/'); slash >= 0 {
			host, path = host[:slash], host[slash:]
		}
		before = scheme + "://" + host[strings.LastIndexByte(host, '@')+1:] + path
	}
	return strings.ReplaceAll(before, "@", "%40") + rest
}

func stateCampaign(c *event.CampaignContext, name, value string) {
	var to *string
	switch name {
	case "source":
		to = &c.Source
	case "medium":
		to = &c.Medium
	case "campaign":
		to = &c.Name
	case "term":
		to = &c.Term
	case "content":
		to = &c.Content
	default:
		return
	}
	if *to != "" {
		return
	}
	text, err := url.QueryUnescape(value)
	if err != nil {
		return
	}
	*to = event.Cut(strings.ToValidUTF8(text, ""), event.MaxContextText)
}

// pathOf is the path of an address, "" if it has none.
func pathOf(address string) string {
	if i := strings.Index(address, "://"); i >= 0 {
		address = address[i+3:]
		slash := strings.IndexAny(address, "/?#")
		if slash < 0 {
			return "/"
		}
		address = address[slash:]
	}
	if i := strings.IndexAny(address, "?#"); i >= 0 {
		address = address[:i]
	}
	if !strings.HasPrefix(address, "/") {
		return ""
	}
	return address
}
