package gateway

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/time/rate"

	"heed/internal/definition"
)

// keyring finds sources by their keys. It is immutable but for the limiters,
// and made anew when the definitions change.
type keyring struct {
	set     *definition.Set
	sources []*definition.Source
	byKey   map[string]*caller
	// byHeader is byKey by the whole Authorization header in its usual forms.
	byHeader map[string]*caller
}

// caller is who may call with a key.
type caller struct {
	source  *definition.Source
	name    string
	server  bool // the server key: what it says is true
	limiter *rate.Limiter
	counts  counts
}

// keys is the keyring of the definitions in force.
func (g *Gateway) keys() *keyring {
	ring, set := g.ring.Load(), g.deps.Definitions.Current()
	if ring != nil && ring.set == set {
		return ring
	}
	g.ringMu.Lock()
	defer g.ringMu.Unlock()
	old := g.ring.Load()
	if old != nil && old.set == set {
		return old
	}
	ring = &keyring{set: set, byKey: map[string]*caller{}, byHeader: map[string]*caller{}}
	if set != nil {
		for _, s := range set.Sources {
			ring.sources = append(ring.sources, s)
			g.addKey(ring, old, s, s.WriteKey, false)
			g.addKey(ring, old, s, s.ServerKey, true)
		}
	}
	g.ring.Store(ring)
	return ring
}

func (g *Gateway) addKey(ring, old *keyring, s *definition.Source, key string, server bool) {
	if key == "" {
		return
	}
	c := &caller{source: s, name: s.Name, server: server, counts: g.metrics.of(s.Name)}
	if old != nil && old.byKey[key] != nil {
		c.limiter = old.byKey[key].limiter
	} else {
		c.limiter = rate.NewLimiter(rate.Limit(g.cfg.KeyRate), max(window*g.cfg.KeyRate, g.cfg.MaxBatch))
	}
	ring.byKey[key] = c
	for _, header := range []string{
		"Basic " + base64.StdEncoding.EncodeToString([]byte(key+":")),
		"Basic " + base64.StdEncoding.EncodeToString([]byte(key)),
		"Bearer " + key,
	} {
		ring.byHeader[header] = c
	}
}

// allows tells whether pages of an origin may use the source.
func (c *caller) allows(origin string) bool {
	if c.server || len(c.source.Origins) == 0 {
		return true
	}
	return slices.ContainsFunc(c.source.Origins, func(o string) bool {
		return o == "*" || strings.EqualFold(o, origin)
	})
}

// allowsAnywhere tells whether any source allows the origin: all that can be
// said while no key was given.
func (k *keyring) allowsAnywhere(origin string) bool {
	for _, c := range k.byKey {
		if !c.server && c.allows(origin) {
			return true
		}
	}
	return false
}

// identify finds the caller by header or query; stated tells that a key was
// given, found or not.
func (k *keyring) identify(r *http.Request) (c *caller, stated bool) {
	if header := r.Header["Authorization"]; len(header) > 0 && header[0] != "" {
		if c := k.byHeader[header[0]]; c != nil {
			return c, true
		}
		return k.byKey[headerKey(header[0])], true
	}
	if r.URL.RawQuery != "" {
		if key := queryValue(r.URL.RawQuery, "writeKey"); key != "" {
			return k.byKey[key], true
		}
	}
	return nil, false
}

// headerKey reads the key out of an Authorization header.
func headerKey(header string) string {
	scheme, rest, _ := strings.Cut(header, " ")
	rest = strings.TrimSpace(rest)
	if strings.EqualFold(scheme, "Bearer") {
		return rest
	}
	if !strings.EqualFold(scheme, "Basic") || len(rest) > 1<<10 {
		return ""
	}
	text, err := base64.StdEncoding.DecodeString(rest)
	if err != nil {
		if text, err = base64.RawStdEncoding.DecodeString(rest); err != nil {
			return ""
		}
	}
	key, _, _ := strings.Cut(string(text), ":")
	return key
}

// queryValue is the first value of a parameter, without building a map of all.
func queryValue(query, name string) string {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		k, v, _ := strings.Cut(pair, "=")
		if k == name {
			if text, err := url.QueryUnescape(v); err == nil {
				return text
			}
			return ""
		}
	}
	return ""
}

// verified tells whether a caller proves to speak for a user id.
func (c *caller) verified(userID, signature string) bool {
	return c.server || c.source.TrustUserIDs || c.signed(userID, signature)
}

// signed tells whether the signature is the source's of that user id.
func (c *caller) signed(userID, signature string) bool {
	if userID == "" || c.source.Secret == "" || len(signature) != 2*sha256.Size {
		return false
	}
	var want, got [sha256.Size]byte
	if _, err := hex.Decode(got[:], []byte(signature)); err != nil {
		return false
	}
	mac := hmac.New(sha256.New, []byte(c.source.Secret))
	mac.Write([]byte(userID))
	return hmac.Equal(mac.Sum(want[:0]), got[:])
}

// cors writes the headers that let a page read the answer, and tells whether its
// origin may call. If not, the answer says so, and the page's author reads that
// rather than the browser's guess.
func cors(w http.ResponseWriter, r *http.Request, k *keyring, c *caller) bool {
	origin := r.Header["Origin"]
	if len(origin) == 0 || origin[0] == "" {
		return true
	}
	h := w.Header()
	h["Vary"] = varyOrigin
	h["Access-Control-Allow-Origin"] = origin[:1]
	allowed := c != nil && c.allows(origin[0]) || c == nil && k.allowsAnywhere(origin[0])
	if allowed {
		h["Access-Control-Allow-Credentials"] = allow
		h["Access-Control-Expose-Headers"] = exposed
	}
	return allowed
}

// refuseOrigin answers a page whose origin may not call.
func (g *Gateway) refuseOrigin(w http.ResponseWriter, r *http.Request) {
	g.refuse(w, http.StatusForbidden, "the origin "+r.Header.Get("Origin")+" is not among the origins of this write key's source")
}

//nolint:gochecknoglobals // constants, see contentJSON
var (
	varyOrigin = []string{"Origin"}
	allow      = []string{"true"}
	exposed    = []string{"Retry-After"}
)

// preflight answers OPTIONS. For a known source, or while no key is given, it
// is never an error: an origin that is not allowed hears that of the call itself.
func (g *Gateway) preflight(w http.ResponseWriter, r *http.Request) {
	ring := g.keys()
	c, stated := ring.identify(r)
	if stated && c == nil {
		refuse(w, http.StatusUnauthorized, "unknown write key")
		return
	}
	h := w.Header()
	if cors(w, r, ring, c); r.Header.Get("Origin") != "" {
		h.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
		if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
			h.Set("Access-Control-Allow-Headers", asked)
		}
		h.Set("Access-Control-Max-Age", "600")
	}
	h.Add("Vary", "Access-Control-Request-Headers")
	w.WriteHeader(http.StatusNoContent)
}
