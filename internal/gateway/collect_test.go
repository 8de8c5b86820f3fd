package gateway

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"heed/internal/documents"
	"heed/internal/event"
	"heed/internal/eventlog"
)

func TestEndpoints(t *testing.T) {
	f := func(path, body, wantName string, wantType event.Type) {
		t.Helper()
		v := newWorld(t)
		for _, p := range []string{path, path + "/"} {
			if res := v.result(v.post(p, body), http.StatusOK); res.Accepted != 1 || len(res.Rejected) != 0 {
				t.Errorf("%s: %+v", p, res)
			}
		}
		all := v.stored()
		if len(all) != 2 {
			t.Fatalf("%s: %d events", path, len(all))
		}
		if e := all[0]; e.Name != wantName || e.Type != wantType || e.UserID != "u1" || e.Source != "open" {
			t.Errorf("%s: %+v", path, e)
		}
	}
	for _, p := range []string{"/v1/track", "/v1/t"} {
		f(p, `{"userId":"u1","event":"Bought"}`, "Bought", event.Track)
	}
	for _, p := range []string{"/v1/identify", "/v1/i"} {
		f(p, `{"userId":"u1","type":"track","event":"x"}`, "identify", event.Identify)
	}
	for _, p := range []string{"/v1/page", "/v1/p"} {
		f(p, `{"userId":"u1","name":"Home"}`, "page", event.Page)
	}
	for _, p := range []string{"/v1/screen", "/v1/s"} {
		f(p, `{"userId":"u1","name":"Home"}`, "screen", event.Screen)
	}
	for _, p := range []string{"/v1/group", "/v1/g"} {
		f(p, `{"userId":"u1","groupId":"g"}`, "group", event.Group)
	}
	for _, p := range []string{"/v1/alias", "/v1/a"} {
		f(p, `{"userId":"u1","previousId":"a"}`, "alias", event.Alias)
	}
	for _, p := range []string{"/v1/batch", "/v1/b"} {
		f(p, `{"batch":[{"type":"track","userId":"u1","event":"x"}]}`, "x", event.Track)
	}
}

func TestMethods(t *testing.T) {
	v := newWorld(t)
	v.mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) { t.Error("a page of the console answers") })
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		w := v.do(method, "/v1/track?writeKey=open-key", "{}")
		if got := w.Body.String(); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "POST, OPTIONS" || got != `{"error":"use POST"}`+"\n" {
			t.Errorf("%s: %d %v %s", method, w.Code, w.Header(), got)
		}
		if w := v.do(method, "/v1/nothing", ""); w.Code != http.StatusNotFound {
			t.Errorf("%s of nothing: %d", method, w.Code)
		}
	}
}

func TestKeys(t *testing.T) {
	basic := func(text string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(text)) }
	f := func(what string, status int, query, body string, headers ...string) {
		t.Helper()
		v := newWorld(t)
		if w := v.do(http.MethodPost, "/v1/batch"+query, body, headers...); w.Code != status {
			t.Errorf("%s: %d, want %d: %s", what, w.Code, status, w.Body)
		}
	}
	const body = `{"batch":[{"type":"track","userId":"u1","event":"x"}]}`
	f("query", 200, "?writeKey=open-key", body)
	f("escaped query", 200, "?a=b&writeKey=open%2Dkey", body)
	f("basic", 200, "", body, "Authorization", basic("open-key:"))
	f("basic with a password", 200, "", body, "Authorization", basic("open-key:x"))
	f("bare basic", 200, "", body, "Authorization", basic("open-key"))
	f("basic, lower case", 200, "", body, "Authorization", strings.Replace(basic("open-key:"), "Basic", "basic", 1))
	f("bearer", 200, "", body, "Authorization", "Bearer open-key")
	f("server key", 200, "", body, "Authorization", "Bearer shop-server")
	f("body", 200, "", `{"batch":[{"type":"track","userId":"u1","event":"x"}],"writeKey":"open-key"}`)
	f("body of the first event", 200, "", `{"batch":[{"type":"track","userId":"u1","event":"x","writeKey":"open-key"}]}`)
	f("none", 401, "", body)
	f("unknown", 401, "?writeKey=nope", body)
	f("unknown in the body", 401, "", `{"batch":[],"writeKey":"nope"}`)
	f("header before body", 401, "", `{"batch":[],"writeKey":"open-key"}`, "Authorization", "Bearer nope")
	f("nonsense header", 401, "", body, "Authorization", "Basic ???")
	f("other scheme", 401, "", body, "Authorization", "Digest open-key")
	v := newWorld(t)
	if w := v.do(http.MethodPost, "/v1/track", `{"writeKey":"open-key","userId":"u","event":"x"}`); w.Code != 200 {
		t.Errorf("body of a single call: %d", w.Code)
	}
}

// Keys follow the definitions at once.
func TestKeysChange(t *testing.T) {
	v := newWorld(t)
	v.define()
	if w := v.post("/v1/track", `{"userId":"u1","event":"x"}`); w.Code != http.StatusUnauthorized {
		t.Errorf("%d", w.Code)
	}
	if err := v.g.Ready(); err == nil {
		t.Error("ready without a source")
	}
}

func TestBatchItems(t *testing.T) {
	items := []struct{ item, reason string }{
		{`{"type":"track","userId":"u1","event":"ok"}`, ""},
		{`{"type":"track","userId":"u1"}`, "event is required"},
		{`{"type":"trick","userId":"u1"}`, "type is not one of track, page, screen, identify, group, alias"},
		{`{"type":"system","userId":"u1","event":"x"}`, "type is not one of track, page, screen, identify, group, alias"},
		{`{"type":"track","event":"x"}`, "userId or anonymousId is required"},
		{`{"type":"track","userId":"u1","event":"heed.tick"}`, "names beginning with heed. are Heed's own"},
		{`{"type":"track","userId":"u1","event":"` + strings.Repeat("x", 129) + `"}`, "event is longer than 128 bytes"},
		{`{"type":"track","userId":"` + strings.Repeat("x", 129) + `","event":"x"}`, "an id is longer than 128 bytes"},
		{`{"type":"track","messageId":"` + strings.Repeat("x", 129) + `","userId":"u","event":"x"}`, "an id is longer than 128 bytes"},
		{`{"type":"track","userId":"u\n1","event":"x"}`, "an id or name holds a control character"},
		{`{"type":"track","anonymousId":"a\u007f","event":"x"}`, "an id or name holds a control character"},
		{`{"type":"track","userId":"u1","event":"two\r\nlines"}`, "an id or name holds a control character"},
		{`{"type":"track","userId":{},"event":"x"}`, "an id or name is not a string"},
		{`{"type":"track","userId":"[object Object]","event":"x"}`, "userId is not an id of anybody"},
		{`{"type":"track","userId":"u1","anonymousId":"Undefined","event":"x"}`, "anonymousId is not an id of anybody"},
		{`{"type":"track","userId":0,"event":"x"}`, "userId is not an id of anybody"},
		{`{"type":"group","userId":"u1"}`, "groupId is required"},
		{`{"type":"alias","userId":"u1"}`, "previousId is required"},
		{`{"type":"alias","userId":"u1","previousId":"null"}`, "previousId is not an id of anybody"},
		{`{"type":"track","userId":"u1","event":"x","properties":[]}`, "properties is not an object"},
		{`{"type":"track","userId":"u1","event":"x","properties":{"a":1,"a":2}}`, "duplicate key"},
		{`{"type":"track","userId":"u1","event":"x","event":"y"}`, "duplicate key"},
		{"{\"type\":\"track\",\"userId\":\"u1\",\"event\":\"x\xff\"}", "invalid UTF-8"},
		{"{\"type\":\"track\",\"userId\":\"u1\",\"event\":\"x\x00\"}", "NUL character in a string"},
		{`{"type":"track","userId":"u1","event":"x\u0000"}`, "NUL character in a string"},
		{`{"type":"track","userId":"u1","event":"x","properties":{"a":"\ud800"}}`, "half a surrogate pair in a string"},
		{`{"type":"track","userId":"u1","event":"x","properties":{"a":1e999}}`, "number out of range"},
		{`{"type":"track","userId":"u1","event":"x","properties":` + strings.Repeat(`{"a":`, 33) + "1" + strings.Repeat("}", 33) + "}", "nested too deep"},
		{`{"type":"track","userId":"u1","event":"x","properties":{` + manyKeys(257) + "}}", "too many keys in one object"},
		{`{"type":"track","userId":"u1","event":"x","properties":{"a":"` + strings.Repeat("x", 32<<10) + `"}}`, "is bigger than 32 KB"},
		{`{"type":"track","userId":"u1","event":"x","timestamp":"soon"}`, "a time is neither RFC 3339 nor ms since the epoch"},
		{`42`, "is not a JSON object"},
		{`null`, "is not a JSON object"},
		{`{"type":"track","userId":"u1","event":"ok","properties":{` + manyKeys(256) + "}}", ""},
		{`{"type":"track","userId":"u1","event":"ok","properties":` + strings.Repeat(`{"a":`, 32) + "1" + strings.Repeat("}", 32) + "}", ""},
		{`{"event":"ok","anonymousId":"a1"}`, ""},
	}
	v := newWorld(t)
	var all []string
	var want result
	for i, it := range items {
		all = append(all, it.item)
		if it.reason == "" {
			want.Accepted++
			continue
		}
		want.Rejected = append(want.Rejected, struct {
			Index  int
			Reason string
		}{i, it.reason})
		// By itself it is refused.
		if res := v.result(v.post("/v1/batch", `{"batch":[`+it.item+`]}`), http.StatusBadRequest); len(res.Rejected) != 1 || res.Rejected[0].Reason != it.reason || res.Accepted != 0 {
			t.Errorf("%.80s: %+v", it.item, res)
		}
	}
	got := v.result(v.post("/v1/batch", `{"batch":[`+strings.Join(all, ",")+`]}`), http.StatusOK)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, e := range v.stored() {
		if e.Name != "ok" {
			t.Errorf("stored %+v", e)
		}
	}
	if n := len(v.stored()); n != want.Accepted {
		t.Errorf("%d stored, want %d", n, want.Accepted)
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"key%d":1`, i)
	}
	return b.String()[1:]
}

func TestNobody(t *testing.T) {
	for _, id := range []string{"null", "NULL", "undefined", "0", "guest", "Guest", "[object Object]", "[OBJECT OBJECT]", "", "  ", "NaN", "none", "nil", "true", "False", "-1", "anonymous", "{}", "[]", ".", "..", " null ", "         undefined        ", "anon"} {
		if !event.Nobody(id) {
			t.Errorf("%q passes", id)
		}
	}
	for _, id := range []string{"1", "00", "u1", "nullable", "guest42", "undefined-2", "ada@example.com", "4d3ecb2a-8f5b-4d5c-9d5f-aaaaaaaaaaaa", "naïve", "toto", "..."} {
		if event.Nobody(id) {
			t.Errorf("%q is refused", id)
		}
	}
}

func TestWholeBodies(t *testing.T) {
	v := newWorld(t)
	f := func(what, path, body string, status int) {
		t.Helper()
		if w := v.post(path, body); w.Code != status {
			t.Errorf("%s: %d, want %d: %s", what, w.Code, status, w.Body)
		}
		if n := len(v.stored()); n != 0 && status != 200 {
			t.Fatalf("%s: %d events stored", what, n)
		}
	}
	const ok = `{"type":"track","userId":"u1","event":"x"}`
	f("empty", "/v1/track", "", 400)
	f("empty batch body", "/v1/batch", "", 400)
	f("cut off", "/v1/batch", `{"batch":[`+ok, 400)
	f("rubbish behind", "/v1/batch", `{"batch":[`+ok+`]}}`, 400)
	f("an array", "/v1/batch", `[`+ok+`]`, 400)
	f("no batch", "/v1/batch", `{}`, 400)
	f("batch is an object", "/v1/batch", `{"batch":{}}`, 400)
	f("batch twice", "/v1/batch", `{"batch":[`+ok+`],"batch":[`+ok+`]}`, 400)
	f("bad UTF-8 in the envelope", "/v1/batch", "{\"x\":\"\xff\",\"batch\":["+ok+"]}", 400)
	f("10,000 deep", "/v1/batch", `{"batch":[`+strings.Repeat("[", 10_000)+strings.Repeat("]", 10_000)+`]}`, 400)
	f("10,000 deep single", "/v1/track", strings.Repeat(`{"a":`, 10_000)+"1"+strings.Repeat("}", 10_000), 400)
	f("2,501 events", "/v1/batch", `{"batch":[`+strings.Repeat(`{},`, 2500)+`{}]}`, 400)
	f("over 500 KB", "/v1/batch", `{"batch":[`+ok+`],"pad":"`+strings.Repeat("x", 500<<10)+`"}`, 413)
	f("single over 32 KB", "/v1/track", `{"userId":"u","event":"x","pad":"`+strings.Repeat("x", 32<<10)+`"}`, 400)
	f("not JSON, single", "/v1/track", `userId=u`, 400)
	f("no events", "/v1/batch", `{"batch":[]}`, 200)
	f("2,500 events", "/v1/batch", `{"batch":[`+strings.Repeat(ok+",", 2499)+ok+`]}`, 200)
}

func packed(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	return b.String()
}

func TestGzip(t *testing.T) {
	const body = `{"batch":[{"type":"track","userId":"u1","event":"x"}]}`
	f := func(what, body string, status int, headers ...string) {
		t.Helper()
		v := newWorld(t)
		for range 2 { // the second uses what the first left
			if w := v.post("/v1/batch", body, headers...); w.Code != status {
				t.Errorf("%s: %d, want %d: %s", what, w.Code, status, w.Body)
			}
		}
	}
	f("said", packed(body), 200, "Content-Encoding", "gzip")
	f("not said", packed(body), 200, "Content-Type", "text/plain")
	f("said but not done", body, 200, "Content-Encoding", "gzip")
	f("form", packed(body), 200, "Content-Type", "application/x-www-form-urlencoded")
	f("cut off", packed(body)[:30], 400)
	f("broken", "\x1f\x8bnonsense", 400)
	f("too big inside", packed(`{"batch":[],"pad":"`+strings.Repeat("x", 600<<10)+`"}`), 413)
	f("a bomb", packed(strings.Repeat(" ", 20<<20)), 413)
	f("a small bomb", packed(strings.Repeat(" ", 400<<10)), 413)
}

func TestEventTime(t *testing.T) {
	f := func(what, batch, item string, want time.Duration) {
		t.Helper()
		v := newWorld(t)
		v.result(v.post("/v1/batch", `{"batch":[{"type":"track","userId":"u1","event":"x"`+item+`}]`+batch+`}`), http.StatusOK)
		e := v.one()
		if got := time.UnixMicro(e.Timestamp).Sub(start); got != want {
			t.Errorf("%s: event time is received %v, want %v", what, got, want)
		}
		if e.ReceivedAt != start.UnixMicro() {
			t.Errorf("%s: received at %v", what, e.ReceivedAt)
		}
	}
	at := func(name string, d time.Duration) string {
		return fmt.Sprintf(`,%q:%q`, name, start.Add(d).Format(time.RFC3339Nano))
	}
	f("none", "", "", 0)
	f("without sentAt", "", at("timestamp", -time.Minute), -time.Minute)
	f("without sentAt, in the future", "", at("timestamp", time.Minute), 0)
	f("clock an hour ahead", at("sentAt", time.Hour), at("timestamp", time.Hour-5*time.Second), -5*time.Second)
	f("clock an hour behind", at("sentAt", -time.Hour), at("timestamp", -time.Hour-5*time.Second), -5*time.Second)
	f("sentAt of the item", "", at("timestamp", time.Hour-3*time.Second)+at("sentAt", time.Hour), -3*time.Second)
	f("the item's before the batch's", at("sentAt", 0), at("timestamp", time.Hour-3*time.Second)+at("sentAt", time.Hour), -3*time.Second)
	f("sent before it happened", at("sentAt", 0), at("timestamp", time.Second), 0)
	f("originalTimestamp", at("sentAt", 0), at("originalTimestamp", -2*time.Second), -2*time.Second)
	f("a sentAt that is no time", `,"sentAt":"x"`, at("timestamp", -time.Second), -time.Second)
	f("milliseconds", "", fmt.Sprintf(`,"timestamp":%d`, start.UnixMilli()-1500), -1500*time.Millisecond)
}

func TestContext(t *testing.T) {
	f := func(what, body string, want event.Context, headers ...string) {
		t.Helper()
		v := newWorld(t)
		v.result(v.do(http.MethodPost, "/v1/batch", body, headers...), http.StatusOK)
		if diff := cmp.Diff(want, v.one().Context); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	f("address and agent of the request", `{"writeKey":"open-key","batch":[{"event":"x","anonymousId":"a","context":{"ip":"9.9.9.9","verified":false}}]}`,
		event.Context{IP: "203.0.113.0", UserAgent: "curl/8", Browser: "curl", Verified: true}, "User-Agent", "curl/8")
	f("a forged proof", `{"writeKey":"shop-key","batch":[{"event":"x","anonymousId":"a","context":{"verified":true}}]}`,
		event.Context{IP: "203.0.113.0"})
	f("a server speaks for its clients", `{"batch":[{"event":"x","anonymousId":"a","context":{"ip":"2001:db8:1:2:3::9","userAgent":"Googlebot/2.1"}}]}`,
		event.Context{IP: "2001:db8:1::", UserAgent: "Googlebot/2.1", Browser: "Googlebot", Bot: true, Verified: true}, "User-Agent", "node", "Authorization", "Bearer shop-server")
	f("context of the batch", `{"writeKey":"open-key","context":{"locale":"de","library":{"name":"l"},"page":{"title":"T","url":"https://x.example/a?b=1"}},"batch":[{"event":"x","anonymousId":"a","context":{"locale":"fr"}}]}`,
		event.Context{Locale: "fr", IP: "203.0.113.0", Verified: true, Extra: []byte(`{"library":{"name":"l"}}`), Page: event.PageContext{Title: "T", URL: "https://x.example/a", Path: "/a"}})
	f("global privacy control", `{"writeKey":"open-key","batch":[{"event":"x","anonymousId":"a","context":{"consent":{"ads":true}}}]}`,
		event.Context{IP: "203.0.113.0", Verified: true, Consent: []byte(`{"gpc":true,"ads":true}`)}, "Sec-GPC", "1")
	f("an address with a trusted id", `{"writeKey":"open-key","batch":[{"type":"identify","userId":"u","traits":{"email":"a@b.example"},"context":{"library":1}}]}`,
		event.Context{IP: "203.0.113.0", Verified: true, Extra: []byte(`{"claimed":true,"library":1}`)})
	f("an address from a server", `{"batch":[{"type":"identify","userId":"u","traits":{"email":"a@b.example"}}]}`,
		event.Context{Verified: true}, "Authorization", "Bearer shop-server")
	f("campaign", `{"writeKey":"open-key","batch":[{"event":"x","anonymousId":"a","context":{"campaign":{"source":"own"},"page":{"url":"https://x.example/?utm_source=s&utm_campaign=spring+sale&gclid=1&email=ada%40example.com#token","referrer":"https://y.example/?q=secret"}}}]}`,
		event.Context{
			IP: "203.0.113.0", Verified: true, Campaign: event.CampaignContext{Source: "own", Name: "spring sale"},
			Page: event.PageContext{URL: "https://x.example/?utm_source=s&utm_campaign=spring+sale&gclid=1", Path: "/", Referrer: "https://y.example/"},
		})
}

func TestCleanURL(t *testing.T) {
	v := newWorld(t)
	f := func(raw, want string) {
		t.Helper()
		q := v.g.begin(nil)
		defer v.g.release(q)
		if got := q.cleanURL(raw, nil); got != want {
			t.Errorf("%q became %q, want %q", raw, got, want)
		}
	}
	f("", "")
	f("https://x.example/a/b", "https://x.example/a/b")
	f("https://x.example/a?", "https://x.example/a")
	f("https://x.example/a?x=1&gclid=2&y", "https://x.example/a?gclid=2")
	f("https://x.example/a#/route/1?token=2", "https://x.example/a#/route/1")
	f("https://x.example/a?x#!/route", "https://x.example/a#!/route")
	f("https://x.example/a#access_token=1", "https://x.example/a")
	f("https://ada:secret@x.example/a?utm_term=b", "https://x.example/a?utm_term=b")
	f("https://x.example/@ada", "https://x.example/%40ada")
	f("/a?b=c", "/a")
}

func TestAddresses(t *testing.T) {
	f := func(proxies, remote, forwarded, want string) {
		t.Helper()
		v := newWorld(t, func(c *Config) {
			for text := range strings.FieldsSeq(proxies) {
				c.TrustedProxies = append(c.TrustedProxies, netip.MustParsePrefix(text))
			}
		})
		var fwd []string
		if forwarded != "" {
			fwd = []string{forwarded}
		}
		if got := cutAddress(v.g.address(remote, fwd)).String(); got != want {
			t.Errorf("%s behind %s is %s, want %s", forwarded, remote, got, want)
		}
	}
	f("", "198.51.100.7:1", "", "198.51.100.0")
	f("", "198.51.100.7:1", "203.0.113.9", "198.51.100.0")
	f("10.0.0.0/8", "198.51.100.7:1", "203.0.113.9", "198.51.100.0")
	f("10.0.0.0/8", "10.1.2.3:1", "203.0.113.9", "203.0.113.0")
	f("10.0.0.0/8", "10.1.2.3:1", "6.6.6.6, 203.0.113.9, 10.9.9.9", "203.0.113.0")
	f("10.0.0.0/8", "10.1.2.3:1", "nonsense", "10.1.2.0")
	f("10.1.2.3/32", "10.1.2.3:1", "[2001:db8:1:2::3]:99", "2001:db8:1::")
	f("", "[2001:db8:1:2::3]:99", "", "2001:db8:1::")
	f("", "[::ffff:198.51.100.7]:1", "", "198.51.100.0")
}

func TestSignedUserIDs(t *testing.T) {
	f := func(what string, want bool, body string, headers ...string) {
		t.Helper()
		v := newWorld(t)
		v.result(v.do(http.MethodPost, "/v1/batch", body, headers...), http.StatusOK)
		if got := v.one().Context.Verified; got != want {
			t.Errorf("%s: verified is %v", what, got)
		}
	}
	good, bad := sign("s3cret", "u1"), sign("s3cret", "u2")
	f("trusted source", true, `{"writeKey":"open-key","batch":[{"event":"x","userId":"u1"}]}`)
	f("unsigned", false, `{"writeKey":"shop-key","batch":[{"event":"x","userId":"u1"}]}`)
	f("signed", true, `{"writeKey":"shop-key","batch":[{"event":"x","userId":"u1","signature":"`+good+`"}]}`)
	f("signed in the batch", true, `{"writeKey":"shop-key","batch":[{"event":"x","userId":"u1"}],"signature":"`+good+`"}`)
	f("signed for another", false, `{"writeKey":"shop-key","batch":[{"event":"x","userId":"u1","signature":"`+bad+`"}]}`)
	f("nonsense", false, `{"writeKey":"shop-key","batch":[{"event":"x","userId":"u1","signature":"x"}]}`)
	f("anonymous with a signature", false, `{"writeKey":"shop-key","batch":[{"event":"x","anonymousId":"u1","signature":"`+good+`"}]}`)
	f("server key", true, `{"batch":[{"event":"x","userId":"u1"}]}`, "Authorization", "Bearer shop-server")
}

func TestDuplicates(t *testing.T) {
	v := newWorld(t)
	const body = `{"messageId":"m1","userId":"u1","event":"x"}`
	for range 2 {
		if res := v.result(v.post("/v1/track", body), http.StatusOK); res.Accepted != 1 {
			t.Errorf("%+v", res)
		}
	}
	v.result(v.post("/v1/batch", `{"batch":[`+body+`,`+body+`]}`), http.StatusOK)
	if e := v.one(); e.MessageID != "m1" {
		t.Errorf("%+v", e)
	}
	// Another source has its own ids; made ids never repeat.
	v.result(v.do(http.MethodPost, "/v1/track?writeKey=shop-key", body), http.StatusOK)
	v.result(v.post("/v1/batch", `{"batch":[{"userId":"u1","event":"x"},{"userId":"u1","event":"x"}]}`), http.StatusOK)
	ids := map[string]bool{}
	for _, e := range v.stored() {
		ids[e.Source+" "+e.MessageID] = true
	}
	if len(ids) != 4 {
		t.Errorf("%v", ids)
	}
}

func TestClientsCannotForge(t *testing.T) {
	v := newWorld(t)
	v.result(v.post("/v1/track", `{"userId":"u1","event":"x","source":"heed","depth":7,"replyTo":"t","receivedAt":"2020-01-01T00:00:00Z"}`), http.StatusOK)
	if e := v.one(); e.Source != "open" || e.Depth != 0 || e.ReplyTo != "" || e.ReceivedAt != start.UnixMicro() {
		t.Errorf("%+v", e)
	}
}

func TestOrigins(t *testing.T) {
	const body = `{"userId":"u1","event":"x"}`
	f := func(key, origin string, status int, allowed bool) {
		t.Helper()
		v := newWorld(t)
		w := v.do(http.MethodPost, "/v1/track?writeKey="+url.QueryEscape(key), body, "Origin", origin)
		if w.Code != status {
			t.Errorf("%s from %s: %d, want %d", key, origin, w.Code, status)
		}
		if got := w.Header().Get("Access-Control-Allow-Credentials") == "true"; got != allowed {
			t.Errorf("%s from %s: allowed is %v", key, origin, got)
		}
		if w.Header().Get("Access-Control-Allow-Origin") != origin || status == 403 && !strings.Contains(w.Body.String(), "evil.example") {
			t.Errorf("%s from %s: the page cannot read why: %v %s", key, origin, w.Header(), w.Body)
		}
		if !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s from %s: not JSON: %s", key, origin, w.Body)
		}
		// The preflight of a known source is never an error.
		w = v.do(http.MethodOptions, "/v1/track?writeKey="+url.QueryEscape(key), "", "Origin", origin, "Access-Control-Request-Headers", "authorization,x-odd", "Access-Control-Request-Method", "POST")
		if known := key != "nope"; known != (w.Code == http.StatusNoContent) {
			t.Errorf("preflight for %s from %s: %d", key, origin, w.Code)
		}
		if got := w.Header().Get("Access-Control-Allow-Headers") == "authorization,x-odd" && w.Header().Get("Access-Control-Allow-Origin") == origin; got != (key != "nope") {
			t.Errorf("preflight for %s from %s: passes is %v", key, origin, got)
		}
		if got := w.Header().Get("Access-Control-Allow-Credentials") == "true"; got != allowed && key != "nope" {
			t.Errorf("preflight for %s from %s: allowed is %v", key, origin, got)
		}
	}
	f("shop-key", "https://shop.example", 200, true)
	f("shop-key", "https://evil.example", 403, false)
	f("shop-server", "https://evil.example", 200, true)
	f("open-key", "https://any.example", 200, true)
	f("open-key", "null", 200, true)
	f("shop-key", "https://evil.example\t\"", 403, false)
	f("nope", "https://any.example", 401, true)

	v := newWorld(t)
	w := v.do(http.MethodOptions, "/v1/batch", "", "Origin", "https://any.example", "Access-Control-Request-Method", "POST")
	if w.Code != http.StatusNoContent || w.Header().Get("Access-Control-Allow-Origin") != "https://any.example" {
		t.Errorf("preflight without a key: %d %v", w.Code, w.Header())
	}
	w = v.do(http.MethodPost, "/v1/track", `{"writeKey":"shop-key","userId":"u1","event":"x"}`, "Origin", "https://evil.example")
	if w.Code != http.StatusForbidden || len(v.stored()) != 0 {
		t.Errorf("key in the body from a foreign origin: %d", w.Code)
	}
}

func TestStorageFaults(t *testing.T) {
	v := newWorld(t)
	for err, wait := range map[error]string{eventlog.ErrUnavailable: "1", eventlog.ErrDiskFull: "10", eventlog.ErrClosed: "1"} {
		v.log.err = fmt.Errorf("append: %w", err)
		w := v.post("/v1/track", `{"userId":"u1","event":"x"}`)
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != wait {
			t.Errorf("%v: %d %v", err, w.Code, w.Header())
		}
	}
	v.log.err = nil
	v.result(v.post("/v1/track", `{"userId":"u1","event":"x"}`), http.StatusOK)
}

func TestRates(t *testing.T) {
	f := func(what string, change func(*Config), do func(v *world, i int) int) {
		t.Helper()
		v := newWorld(t, change)
		first := do(v, 0)
		second := do(v, 1)
		v.pass(window * time.Second)
		third := do(v, 2)
		if first != 200 || second != 429 || third != 200 {
			t.Errorf("%s: %d, %d, %d", what, first, second, third)
		}
	}
	batch := func(users int) func(v *world, i int) int {
		return func(v *world, i int) int {
			var items []string
			for n := range 10 {
				items = append(items, fmt.Sprintf(`{"event":"x","userId":"u%d"}`, n%users+1))
			}
			w := v.post("/v1/batch", `{"batch":[`+strings.Join(items, ",")+`]}`)
			if w.Code == 429 && w.Header().Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			return w.Code
		}
	}
	f("key", func(c *Config) { c.KeyRate, c.MaxBatch = 1, 10 }, batch(10))
	f("address", func(c *Config) { c.AddressRate = 1 }, batch(10))
	f("user", func(c *Config) { c.UserRate = 1 }, batch(1))

	v := newWorld(t, func(c *Config) { c.AddressRate, c.UserRate = 1, 1 })
	for range 30 {
		w := v.do(http.MethodPost, "/v1/track", `{"userId":"u1","event":"x"}`, "Authorization", "Bearer shop-server")
		if w.Code != 200 {
			t.Fatalf("a server is limited: %d", w.Code)
		}
	}
}

func TestBadEventsAreRecorded(t *testing.T) {
	v := newWorld(t)
	v.post("/v1/batch", `{"batch":[{"userId":"u1","event":"fine"},{"event":"<bad>","pad":"`+strings.Repeat("ä", 2000)+`"}]}`)
	v.post("/v1/batch", `{"batch":`)
	v.g.bad.write(t.Context(), v.g)
	docs, err := v.db.Documents().List(t.Context(), documents.Query{Collection: BadEvents})
	if err != nil {
		t.Fatal(err)
	}
	if len(docs) != 2 {
		t.Fatalf("%d documents", len(docs))
	}
	if s := string(docs[0].Value); !strings.Contains(s, `"source":"open"`) || !strings.Contains(s, `userId or anonymousId is required`) || !strings.Contains(s, `bad`) || len(s) > 1500 {
		t.Errorf("%s", s)
	}
	if s := string(docs[1].Value); !strings.Contains(s, "the body is not valid JSON") {
		t.Errorf("%s", s)
	}
}

func TestBadEventsAreBounded(t *testing.T) {
	v := newWorld(t)
	for i := range MaxBadEvents + 500 {
		v.pass(time.Microsecond)
		v.g.noteBad("open", event.RefusedSize, fmt.Appendf(nil, "%d", i), v.clock())
		if i%badQueue == badQueue-1 {
			v.g.bad.write(t.Context(), v.g)
		}
	}
	v.g.bad.write(t.Context(), v.g)
	// A new process finds what there is.
	v.g.bad.keys = nil
	if err := v.g.bad.load(t.Context(), v.g); err != nil {
		t.Fatal(err)
	}
	if n := len(v.g.bad.keys); n != MaxBadEvents {
		t.Errorf("%d are kept", n)
	}
	d, err := v.db.Documents().Get(t.Context(), BadEvents, v.g.bad.keys[0])
	if err != nil || !strings.Contains(string(d.Value), `"500"`) {
		t.Errorf("the oldest is %s, %v", d.Value, err)
	}
}

// A misspelt call says so, whatever else is served beside the gateway.
func TestUnknownCall(t *testing.T) {
	v := newWorld(t)
	v.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) })
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		for _, path := range []string{"/v1/tracks", "/v1/", "/v1/messages/x", "/v1/slots/"} {
			if w := v.do(method, path, "{}"); w.Code != http.StatusNotFound || w.Body.String() != `{"error":"there is no such call"}`+"\n" {
				t.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
			}
		}
	}
}
