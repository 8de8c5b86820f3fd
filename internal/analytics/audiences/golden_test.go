package audiences

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/event"
)

// TestGolden plays the scripts of testdata, with the index and without:
//
//	define          the definitions in the input come into force
//	begin NAME ID.. the audience in the input begins with users; it is not in force yet
//	event           a line an event: USER NAME, USER beginning with ~ if anonymous
//	merge A B       A turns out to be B's
//	at 90s          the clock, since the start
//	settle          what there is to look at is looked at; prints what the log was told
//	restart         kill and start
//	show [NAME]     what people see
//	changes NAME    who entered and left, newest first
//	stored          what is stored, by collection
func TestGolden(t *testing.T) {
	datadriven.Walk(t, "testdata/golden", func(t *testing.T, path string) {
		for _, indexed := range []bool{true, false} {
			t.Run(strconv.FormatBool(indexed), func(t *testing.T) {
				s := &script{world: newWorld(t, 2), told: map[string]bool{}}
				if !indexed {
					s.index = nil
				}
				datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
					s.t = t
					return s.run(d)
				})
			})
		}
	})
}

type script struct {
	*world
	told map[string]bool
}

func (s *script) run(d *datadriven.TestData) string {
	switch d.Cmd {
	case "define":
		s.define(d.Input)
	case "begin":
		docs, problems := definition.Parse("test.yaml", []byte(d.Input))
		if err := problems.Err(); err != nil {
			d.Fatalf(s.t, "%v", err)
		}
		var ids []string
		for _, arg := range d.CmdArgs[1:] {
			ids = append(ids, arg.Key)
		}
		if err := s.k.Begin(s.t.Context(), d.CmdArgs[0].Key, []*definition.Audience{docs[0].Spec.(*definition.Audience)}, ids); err != nil {
			d.Fatalf(s.t, "%v", err)
		}
	case "event":
		for line := range strings.Lines(d.Input) {
			words := strings.Fields(line)
			e := track(words[0], words[1])
			if id, anonymous := strings.CutPrefix(words[0], "~"); anonymous {
				e.UserID, e.AnonymousID = "", id
			}
			s.happen(e)
		}
	case "merge":
		s.merge(d.CmdArgs[0].Key, d.CmdArgs[1].Key)
	case "at":
		after, err := time.ParseDuration(d.CmdArgs[0].Key)
		if err != nil {
			d.Fatalf(s.t, "%v", err)
		}
		s.now = begin + after.Microseconds()
	case "restart":
		s.restart()
	case "settle":
		s.settle()
		return s.news()
	case "show":
		return s.show(d)
	case "changes":
		list, err := s.k.Changes(s.t.Context(), d.CmdArgs[0].Key, 100)
		if err != nil {
			d.Fatalf(s.t, "%v", err)
		}
		var out strings.Builder
		for _, c := range list {
			fmt.Fprintf(&out, "%s %s %s\n", s.ago(c.Time), c.User, c.Change)
		}
		return out.String()
	case "stored":
		var out strings.Builder
		for _, collection := range []string{collHeads, collJournal, collMembers, collSizes} {
			n := 0
			if err := s.k.each(s.t.Context(), collection, "", func(documents.Document) error { n++; return nil }); err != nil {
				d.Fatalf(s.t, "%v", err)
			}
			fmt.Fprintf(&out, "%s %d\n", collection, n)
		}
		return out.String()
	default:
		d.Fatalf(s.t, "unknown command")
	}
	return ""
}

func (s *script) ago(at time.Time) string { return at.Sub(time.UnixMicro(begin)).String() }

// news is what the log holds and did not when it was asked last.
func (s *script) news() string {
	var out []string
	for _, e := range s.records() {
		if s.told[e.MessageID] {
			continue
		}
		s.told[e.MessageID] = true
		if e.Name == event.NameMembership {
			var m event.Membership
			if err := json.Unmarshal(e.Properties, &m); err != nil {
				s.t.Fatal(err)
			}
			out = append(out, fmt.Sprintf("%d: %s %s %v", partitionIn(s.t, e.MessageID), m.Audience, m.Op, m.Users))
			continue
		}
		who := e.UserID
		if who == "" {
			who = "~" + e.AnonymousID
		}
		out = append(out, fmt.Sprintf("%d: %s %s %s at %s", partitionIn(s.t, e.MessageID), e.Name, e.Properties, who, s.ago(time.UnixMicro(e.Timestamp))))
	}
	return strings.Join(append(out, ""), "\n")
}

func (s *script) show(d *datadriven.TestData) string {
	var out strings.Builder
	names := slices.Sorted(maps.Keys(s.set.Audiences))
	if len(d.CmdArgs) > 0 {
		names = []string{d.CmdArgs[0].Key}
	}
	for _, name := range names {
		a, err := s.k.Audience(s.t.Context(), name)
		if err != nil {
			d.Fatalf(s.t, "%v", err)
		}
		fmt.Fprintf(&out, "%s: %s %s %d", a.Name, a.Kind, a.State, a.Size)
		if !a.AsOf.IsZero() {
			fmt.Fprintf(&out, " as of %s", s.ago(a.AsOf))
		}
		if a.Stale {
			out.WriteString(" stale")
		}
		fmt.Fprintf(&out, ", %d entered, %d left, sizes", a.Entered24h, a.Left24h)
		for _, p := range a.History {
			fmt.Fprintf(&out, " %s:%d", s.ago(p.Time), p.Size)
		}
		for _, u := range a.UsedBy {
			fmt.Fprintf(&out, ", used by %s %s", u.Kind, u.Name)
		}
		for _, r := range a.Reachable {
			fmt.Fprintf(&out, ", %s reaches %d", r.Channel, r.Users)
		}
		if a.Error != "" {
			fmt.Fprintf(&out, ", %s", a.Error)
		}
		out.WriteString("\n")
	}
	return out.String()
}
