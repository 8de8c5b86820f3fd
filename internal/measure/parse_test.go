package measure_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"heed/internal/measure"
)

func TestParseRefuses(t *testing.T) {
	refuse := func(query, want string) {
		t.Helper()
		_, err := measure.Parse([]byte(query))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", query, err, want)
		}
	}
	steps := strings.TrimSuffix(strings.Repeat(`{"event":"a"},`, 100), ",")
	refuse(``, "cut off")
	refuse(`{"live":{"minutes":30}`, "cut off")
	refuse(`{}`, "asks nothing")
	refuse(`{"live":{"minutes":30},"users":{}}`, "several things")
	refuse(`{"live":{"minutes":30}} {}`, "behind its end")
	refuse(`{"live":{"minutes":30,"minutes":31}}`, "twice")
	refuse(`{"Live":{"minutes":30}}`, `"Live" is unknown`)
	refuse(`{"live":{"minuets":30}}`, `"minuets" is unknown`)
	refuse(`{"live":{"minutes":30,"steps":[]}}`, "unknown")
	refuse(`{"live":{"minutes":"30"}}`, "live.minutes: is string, not a whole number")
	refuse(`{"live":{"minutes":100000}}`, "live.minutes")
	refuse(strings.Repeat(`{"audience":`, 100)+`{}`+strings.Repeat(`}`, 100), "nested deeper")
	refuse(`{"range":{"last":"28d"},"funnel":{"window":"1h","steps":[`+steps+`]}}`, "funnel.steps: has 100 steps, not from 1 to 20")
	refuse(`{"funnel":{"window":"5000d","steps":[{"event":"a"}]}}`, "funnel.window")
	refuse(`{"funnel":{"window":"1h","steps":[{"event":"a","where":{"field":"traits.x","op":"exists"}}]}}`, "funnel.steps[0].where")
	refuse(`{"series":{"of":[{}],"per":"day"}}`, "needs a range")
	refuse(`{"range":{"last":"28d"},"series":{"of":[{}],"per":"day","top":1000000}}`, "series.top")
	refuse(`{"range":{"last":"28d"},"series":{"of":[{}],"per":"eon"}}`, "series.per")
	refuse(`{"range":{"last":"99999d"},"series":{"of":[{}],"per":"day"}}`, "range.last")
	refuse(`{"range":{"from":"2026-02-01","to":"2026-01-01"},"users":{}}`, "range.to: lies before from")
	refuse(`{"zone":"Mars/Olympus","users":{}}`, "zone")
	refuse(`{"zone":"../../etc/passwd","users":{}}`, "zone")
	refuse(`{"breakdown":{"by":[{"field":"user.shoe"}]}}`, "no field of a user")
	refuse(`{"breakdown":{"by":[{"field":"properties.x"}]}}`, "say which, with of")
	refuse(`{"breakdown":{"by":[{"field":"traits.a"},{"field":"traits.a"},{"field":"traits.a"},{"field":"traits.a"},{"field":"traits.a"}]}}`, "5 dimensions")
	refuse(`{"audience":{"did":{"event":"a","min":3,"max":1}},"users":{}}`, "audience.did.min")
	refuse(`{"audience":{"all":[]},"users":{}}`, "audience.all: is empty")
	refuse(`{"audience":{"where":{"field":"properties.x","op":"exists"}},"users":{}}`, "audience.where.field")
}

func TestParseAccepts(t *testing.T) {
	for _, query := range []string{
		`{"users":{}}`,
		`{"breakdown":{"by":[{"dimension":"engagement"}]}}`,
		`{"range":{"last":"28d"},"zone":"Europe/Berlin","weekStart":"sunday","series":{"of":[{"event":"purchase"}],"per":"day","by":{"field":"user.country"}}}`,
		`{"audience":{"all":[{"did":{"event":"a","max":0}},{"is":{"dimension":{"field":"user.country"},"values":["DE",null]}}]},"users":{"limit":10}}`,
		`{"range":{"from":"2026-05-01","to":"2026-06-01"},"funnel":{"window":"1h","steps":[{"event":"session_start"},{"event":"click_event1"},{"event":"custom_event2","without":[{"event":"logout"}]}]}}`,
	} {
		if _, err := measure.Parse([]byte(query)); err != nil {
			t.Errorf("%s: %v", query, err)
		}
	}
}

// What parses is bounded, checks again, and means the same when it is written.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"users":{}}`))
	f.Add([]byte(`{"audience":{"all":[{"did":{"event":"a","max":0}},{"is":{"dimension":{"dimension":"engagement"},"values":["DE",null]}}]},"users":{"limit":10}}`))
	f.Add([]byte(`{"range":{"from":"2026-05-01","to":"2026-06-01"},"funnel":{"window":"1h","steps":[{"event":"a"},{"event":"b","without":[{"event":"c"}]}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		q, err := measure.Parse(data)
		if err != nil {
			if _, ok := errors.AsType[*measure.Error](err); !ok {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		text, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		again, err := measure.Parse(text)
		if err != nil {
			t.Fatalf("%s reads back as an error: %v", text, err)
		}
		if diff := cmp.Diff(q, again); diff != "" {
			t.Fatalf("%s reads back differently:\n%s", text, diff)
		}
		if _, err := measure.Resolve(q, nobody{}); err != nil {
			if _, ok := errors.AsType[*measure.Error](err); !ok {
				t.Fatalf("%T %v", err, err)
			}
		}
	})
}

type nobody struct{}

func (nobody) AudienceNamed(string) (*measure.Audience, error)   { return nil, nil }
func (nobody) DimensionNamed(string) (*measure.Dimension, error) { return nil, nil }
func (nobody) FunnelNamed(string) (*measure.Funnel, error)       { return nil, nil }
