package outward

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"testing"
	"time"

	"heed/internal/channel"
)

func TestPublic(t *testing.T) {
	for a, want := range map[string]bool{
		"93.184.216.34": true, "2606:2800:220:1::1": true, "127.0.0.1": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false,
		"169.254.169.254": false, "100.64.0.1": false, "0.0.0.0": false, "224.0.0.1": false, "255.255.255.255": false, "240.0.0.1": false,
		"::1": false, "::": false, "fe80::1": false, "fd00::1": false, "ff02::1": false, "::ffff:10.0.0.1": false, "64:ff9b::a00:1": false, "2002:a00:1::": false,
		"::127.0.0.1": false, "::a00:1": false, "fe80::1%eth0": false, "fec0::1%eth0": false, "2002:7f00:1::%1": false, "::ffff:169.254.169.254": false,
		"192.88.99.1": false, "100::1": false, "3fff::1": false, "fd00:ec2::254": false,
	} {
		if got := public(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s is public: %t", a, got)
		}
	}
}

func TestClient(t *testing.T) {
	visits := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		visits++
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}))
	defer srv.Close()
	get := func(guarded bool) (status int, err error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := NewClient(guarded).Do(req)
		if err != nil {
			return 0, err
		}
		return resp.StatusCode, resp.Body.Close()
	}
	if _, err := get(true); !errors.Is(err, ErrPrivate) || visits != 0 {
		t.Errorf("guarded: %v, %d visits", err, visits)
	}
	if status, err := get(false); err != nil || status != http.StatusFound || visits != 1 {
		t.Errorf("free: %v, %d visits", err, visits)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f := func(text string, want time.Duration) {
		t.Helper()
		if got := RetryAfter(text, now); got != want {
			t.Errorf("%q is %v, want %v", text, got, want)
		}
	}
	f("", 0)
	f("7", 7*time.Second)
	f("-5", 0)
	f("99999999999", time.Hour)
	f("soon", 0)
	f(now.Add(time.Minute).Format(http.TimeFormat), time.Minute)
	f(now.Add(-time.Minute).Format(http.TimeFormat), 0)
}

// What is remembered of destinations does not grow for ever: those that are well
// are forgotten, those that fail are not.
func TestDestinationsAreForgotten(t *testing.T) {
	var d Destinations
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	bad := &channel.Error{Class: channel.Temporary, Err: errors.New("503")}
	for range Tolerated {
		leave, err := d.Enter("hook", "bad", now)
		if err != nil {
			t.Fatal(err)
		}
		leave(now, bad)
	}
	for i := range 2 * maxDestinations {
		leave, err := d.Enter("hook", fmt.Sprint(i), now)
		if err != nil {
			t.Fatal(err)
		}
		leave(now, nil)
	}
	if n := len(d.all); n > maxDestinations {
		t.Errorf("%d are remembered", n)
	}
	if _, err := d.Enter("hook", "bad", now); err == nil {
		t.Error("the one that fails was forgotten")
	}
}

// Who is left alone is told at once, without what may be secret of the address,
// and no longer once it answers, or once nobody asks any more.
func TestOutages(t *testing.T) {
	var d Destinations
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	now := begin
	const address = "https://hook.example:8443/in?token=secret"
	fail := &channel.Error{Class: channel.Temporary, Err: fmt.Errorf("webhook: %w", &url.Error{Op: "Post", URL: address, Err: errors.New("connection refused")})}
	attempt := func(err error) {
		t.Helper()
		leave, untried := d.Enter("hook", address, now)
		if untried != nil {
			t.Fatal(untried)
		}
		leave(now, err)
	}
	for i := range Tolerated {
		if told := d.Outages(now); told != nil {
			t.Errorf("told after %d failures: %+v", i, told)
		}
		attempt(fail)
		now = now.Add(time.Second)
	}
	want := []channel.Outage{{Channel: "hook", Destination: "hook.example:8443", Since: begin, Failures: Tolerated, Reason: "connection refused"}}
	if told := d.Outages(now); !slices.Equal(told, want) {
		t.Errorf("%+v", told)
	}
	now = now.Add(FirstRest)
	attempt(fail)
	if told := d.Outages(now); len(told) != 1 || told[0].Failures != Tolerated+1 || !told[0].Since.Equal(begin) {
		t.Errorf("%+v", told)
	}
	now = now.Add(2 * FirstRest)
	attempt(nil)
	if told := d.Outages(now); told != nil {
		t.Errorf("it answers: %+v", told)
	}
	for range Tolerated {
		attempt(fail)
	}
	if told := d.Outages(now.Add(longestRest)); len(told) != 1 {
		t.Errorf("%+v", told)
	}
	if told := d.Outages(now.Add(2 * longestRest)); told != nil {
		t.Errorf("nobody has asked for long: %+v", told)
	}
}
