package gateway

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"heed/internal/event"
	"heed/internal/eventlog"
)

// TestGolden sends requests as they stand in testdata and compares the answers
// and what was stored. Commands: `post path=... [name=value header ...]` with
// the body as input.
func TestGolden(t *testing.T) {
	datadriven.Walk(t, "testdata/golden", func(t *testing.T, path string) {
		v := newWorld(t)
		next := make([]uint64, v.db.Log().Partitions())
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			target := ""
			var headers []string
			for _, arg := range d.CmdArgs {
				value := strings.Join(arg.Vals, ", ")
				if arg.Key == "path" {
					target = value
				} else {
					headers = append(headers, arg.Key, value)
				}
			}
			v.t = t
			w := v.do(strings.ToUpper(d.Cmd), target, d.Input, headers...)
			var out strings.Builder
			fmt.Fprintf(&out, "%d %s\n", w.Code, http.StatusText(w.Code))
			for _, name := range []string{"Access-Control-Allow-Headers", "Access-Control-Allow-Origin", "Retry-After"} {
				if value := w.Header().Get(name); value != "" {
					fmt.Fprintf(&out, "%s: %s\n", name, value)
				}
			}
			out.Write(w.Body.Bytes())
			var lines []string
			for p := range next {
				lines = append(lines, v.since(p, &next[p])...)
			}
			slices.Sort(lines) // partitions have no order among them
			for _, line := range lines {
				out.WriteString(line)
			}
			return out.String()
		})
	})
}

// since is what a partition got behind an offset, as JSON lines. Ids that were
// made up are left out.
func (v *world) since(p int, next *uint64) []string {
	r, err := v.db.Log().Read(v.t.Context(), eventlog.Events, p, *next)
	if err != nil {
		v.t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	var lines []string
	for {
		c, ok, err := r.TryNext()
		if err != nil {
			v.t.Fatal(err)
		}
		if !ok {
			return lines
		}
		d := event.NewDecoder(c.Data)
		var e event.Event
		for ok, err = d.Next(&e); ok; ok, err = d.Next(&e) {
			if len(e.MessageID) == 32 {
				e.MessageID = "made"
			}
			lines = append(lines, string(event.AppendJSON(nil, &e))+"\n")
		}
		if err != nil {
			v.t.Fatal(err)
		}
		*next = c.Next()
	}
}
