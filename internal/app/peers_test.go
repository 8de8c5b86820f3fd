package app

import (
	"os"
	"reflect"
	"slices"
	"testing"

	"heed/internal/console/api"
	"heed/internal/peer"
)

// Others reach a process where it listens, unless it listens everywhere.
func TestAdvertised(t *testing.T) {
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	f := func(advertise, listen, base, want string) {
		t.Helper()
		if got := advertised(&Config{Advertise: advertise, Listen: listen}, base); got != want {
			t.Errorf("advertise %q, listen %q: %q, want %q", advertise, listen, got, want)
		}
	}
	f("", "127.0.0.1:0", "http://127.0.0.1:40123", "http://127.0.0.1:40123")
	f("", "10.0.0.3:8080", "http://10.0.0.3:8080", "http://10.0.0.3:8080")
	f("", "heed-3:8080", "http://10.0.0.3:8080", "http://10.0.0.3:8080")
	f("", ":8080", "http://127.0.0.1:8080", "http://"+name+":8080")
	f("", "0.0.0.0:8080", "http://127.0.0.1:8080", "http://"+name+":8080")
	f("", "[::]:8080", "http://127.0.0.1:8080", "http://"+name+":8080")
	f("https://heed-3.internal/", ":8080", "http://127.0.0.1:8080", "https://heed-3.internal")

	for _, wrong := range []string{"heed-3:8080", "ftp://heed-3", "http://heed-3/path", "http://me@heed-3", "http://heed-3?x"} {
		cfg := Defaults()
		cfg.Advertise = wrong
		if err := cfg.finish(); err == nil {
			t.Errorf("advertise %q is taken", wrong)
		}
	}
}

// Figures of several deciders add up; of a partition the least lag counts.
func TestAddUp(t *testing.T) {
	row := func(trigger string, firings int64, users ...int64) api.TriggerProgress {
		p := api.TriggerProgress{Trigger: trigger, Firings: firings}
		for i, n := range users {
			p.Users += n
			p.Steps = append(p.Steps, api.StepProgress{Step: i + 1, Users: n})
		}
		return p
	}
	sum := addProgress([]api.TriggerProgress{row("b", 1, 2, 3)}, []api.TriggerProgress{row("b", 10, 20, 30, 40), row("a", 5, 6)})
	want := []api.TriggerProgress{row("a", 5, 6), row("b", 11, 22, 33, 40)}
	same := func(x, y api.TriggerProgress) bool {
		return x.Trigger == y.Trigger && x.Firings == y.Firings && x.Users == y.Users && slices.Equal(x.Steps, y.Steps)
	}
	if !slices.EqualFunc(sum, want, same) {
		t.Errorf("the sum is %+v, want %+v", sum, want)
	}

	lag := func(partition int, ms int64) api.Lag {
		return api.Lag{Role: RoleDecider, Stream: "events", Partition: partition, Ms: ms}
	}
	lags := addLags([]api.Lag{lag(0, 5), lag(1, 900)}, []api.Lag{lag(0, 700), lag(1, 7), lag(2, 3)})
	if want := []api.Lag{lag(0, 5), lag(1, 7), lag(2, 3)}; !slices.Equal(lags, want) {
		t.Errorf("lags are %+v, want %+v", lags, want)
	}
}

// What should be equal in all processes and is not, is said with where it is.
func TestDisagree(t *testing.T) {
	process := func(url, zone, unknown string, roles ...string) peer.Peer {
		cfg := Defaults()
		cfg.Roles, cfg.Zone, cfg.Engager.OnUnknown = roles, zone, unknown
		return peer.Peer{URL: url, Roles: roles, Settings: cfg.settings()}
	}
	a := process("http://a", "UTC", "hold", RoleEngager)
	b := process("http://b", "UTC", "hold", RoleEngager, RoleAnalytics)
	f := func(want []string, all ...peer.Peer) {
		t.Helper()
		if got := disagree(all); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f(nil, a)
	f(nil, a, b)
	// What an engager is told counts where one is.
	f(nil, a, process("http://c", "UTC", "retry", RoleGateway))
	const more = " Give all of them the same and restart those that are changed."
	f([]string{
		`The setting engager.on_unknown differs: "hold" at http://a, http://b; "retry" at http://c.` + more,
		`The setting zone differs: "Europe/Berlin" at http://c; "UTC" at http://a, http://b.` + more,
	}, a, b, process("http://c", "Europe/Berlin", "retry", RoleEngager))
	f([]string{"2 processes have the role analytics: each would keep audiences and write events out. Let one have it."}, b, process("http://d", "UTC", "hold", RoleAnalytics))

	for _, names := range common() {
		for _, name := range names {
			if !slices.Contains(settingNames(reflect.TypeFor[Config](), ""), name) {
				t.Errorf("there is no setting %s", name)
			}
		}
	}
}
