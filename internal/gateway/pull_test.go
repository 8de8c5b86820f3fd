package gateway

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"heed/internal/definition"
	"heed/internal/period"
)

func TestPull(t *testing.T) {
	v := newWorld(t)
	v.set.Collections = map[string]*definition.Collection{
		"scores": {Name: "scores", TTL: period.Period(time.Hour), Fields: map[string]definition.FieldType{
			"churn": definition.FieldNumber, "next_best": definition.FieldText, "vip": definition.FieldBoolean,
			"since": definition.FieldTime, "tags": definition.FieldList, "more": definition.FieldObject,
		}},
		"anything": {Name: "anything"},
	}
	call := func(method, path, key, body string) *httptest.ResponseRecorder {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), method, "/v1/pull/"+path, strings.NewReader(body))
		if key != "" {
			r.Header.Set("Authorization", "Bearer "+key)
		}
		w := httptest.NewRecorder()
		v.mux.ServeHTTP(w, r)
		return w
	}
	f := func(method, path, body string, status int, want string) {
		t.Helper()
		w := call(method, path, "shop-server", body)
		if w.Code != status || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s %s %.40s: %d %s, want %d %s", method, path, body, w.Code, w.Body, status, want)
		}
	}
	const doc = `{"churn": 0.8, "next_best": "kettle", "vip": true, "since": "2026-01-02", "tags": ["a"], "more": {"x": null}}`
	f("GET", "scores/ada", "", http.StatusNotFound, "no such document")
	f("PUT", "scores/ada", doc, http.StatusNoContent, "")
	f("GET", "scores/ada", "", http.StatusOK, doc)
	f("PUT", "anything/ada%40example.com", `{"whatever":[1]}`, http.StatusNoContent, "")
	f("GET", "anything/ada%40example.com", "", http.StatusOK, `{"whatever":[1]}`)
	f("GET", "scores/ada%40example.com", "", http.StatusNotFound, "no such document")
	f("GET", "score/ada", "", http.StatusNotFound, "no such collection")
	f("POST", "scores/ada", doc, http.StatusMethodNotAllowed, "GET, PUT or DELETE")

	w := call("GET", "scores/ada", "shop-server", "")
	if got := w.Header().Get("Last-Modified"); got != start.Format(http.TimeFormat) {
		t.Errorf("written %q", got)
	}
	if got := w.Header().Get("Expires"); got != start.Add(time.Hour).Format(http.TimeFormat) {
		t.Errorf("expires %q", got)
	}

	for _, bad := range []struct{ body, want string }{
		{``, "not a JSON object"},
		{`[]`, "not a JSON object"},
		{`{"churn": 1`, "not valid JSON"},
		{`{"churn": 1}x`, "not valid JSON"},
		{`{"churn": "high"}`, `\"churn\" is not number`},
		{`{"next_best": 1}`, "is not text"},
		{`{"vip": 1}`, "is not boolean"},
		{`{"since": "yesterday"}`, "is not time"},
		{`{"tags": {}}`, "is not list"},
		{`{"more": []}`, "is not object"},
		{`{"chrun": 1}`, `no field \"chrun\"`},
		{`{"churn": 1, "churn": 2}`, "duplicate key"},
		{"{\"next_best\": \"\xff\"}", "invalid UTF-8"},
		{`{"more": ` + strings.Repeat(`{"a":`, 40) + `1` + strings.Repeat(`}`, 40) + `}`, "nested too deep"},
		{`{"next_best": "` + strings.Repeat("x", 32<<10-16) + `"}`, "at most 32768"},
	} {
		f("PUT", "scores/ada", bad.body, http.StatusBadRequest, bad.want)
	}
	f("PUT", "scores/ada", strings.Repeat(" ", 40<<10), http.StatusRequestEntityTooLarge, "too large")
	f("PUT", "scores/"+strings.Repeat("u", 129), doc, http.StatusBadRequest, "1 to 128")
	f("GET", "scores/ada", "", http.StatusOK, doc) // nothing of it was taken

	for _, who := range []struct {
		key    string
		status int
	}{{"", http.StatusUnauthorized}, {"nobody", http.StatusUnauthorized}, {"shop-key", http.StatusForbidden}} {
		if w := call("GET", "scores/ada", who.key, ""); w.Code != who.status || strings.Contains(w.Body.String(), "kettle") {
			t.Errorf("with the key %q: %d %s", who.key, w.Code, w.Body)
		}
	}

	v.pass(time.Hour)
	f("GET", "scores/ada", "", http.StatusNotFound, "no such document")
	f("DELETE", "anything/ada%40example.com", "", http.StatusNoContent, "")
	f("DELETE", "anything/ada%40example.com", "", http.StatusNoContent, "")
	f("GET", "anything/ada%40example.com", "", http.StatusNotFound, "no such document")
}
