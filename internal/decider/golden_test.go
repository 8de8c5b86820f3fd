package decider

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"heed/internal/event"
)

// TestGolden plays the scripts of testdata:
//
//	define revision=N       the definitions in the input come into force
//	event                   a line an event of one request: USER NAME [id=ID] [reply=TOKEN] [at=-5s] [traits={...}]
//	                        [anon=ID] [prev=ID] [trusted] [historical]; USER may be - (none)
//	many user=U from=1 to=9 U identifies with the ids d1 to d9, a request each
//	at 90s                  the clock, since the start; nothing is decided by itself
//	tick                    a control record in every partition
//	decide [user=USER]      everything in the log; or what the partition of USER holds now
//	crash                   the Decider forgets what it did not commit
//	intents                 all so far, or "no more" than last time
//	explain USER            rows from committed state
//	progress                counts of every trigger
//	settled                 what waiting requests heard
//	profile USER            traits, consent and times, ids, whose it is
//	counted                 what became of linked ids
//	merges                  what others are told of merges
//	fires                   fire ids of all intents
//	sessions                all session_start events, however they came
func TestGolden(t *testing.T) {
	datadriven.Walk(t, "testdata/golden", func(t *testing.T, path string) {
		s := &script{harness: newHarness(t, 2, Config{})}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.t = t
			return s.run(d)
		})
	})
}

// TestIdentity plays the scripts of testdata/identity with different numbers of
// partitions: nobody can tell.
func TestIdentity(t *testing.T) {
	datadriven.Walk(t, "testdata/identity", func(t *testing.T, path string) {
		for _, partitions := range []int{1, 2, 8} {
			t.Run(strconv.Itoa(partitions), func(t *testing.T) {
				s := &script{harness: newHarness(t, partitions, Config{})}
				datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
					s.t = t
					return s.run(d)
				})
			})
		}
	})
}

type script struct {
	*harness
	shown int
}

func (s *script) run(d *datadriven.TestData) string {
	switch d.Cmd {
	case "define":
		var revision int
		d.ScanArgs(s.t, "revision", &revision)
		s.define(int64(revision), d.Input)
	case "event":
		var events []event.Event
		for line := range strings.Lines(d.Input) {
			words := strings.Fields(line)
			n := 1
			if i := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, "times=") }); i >= 0 {
				var err error
				if n, err = strconv.Atoi(words[i][len("times="):]); err != nil {
					d.Fatalf(s.t, "%v", err)
				}
			}
			for range n {
				events = append(events, s.parse(d, words))
			}
		}
		s.append(events...)
	case "many":
		var user string
		var from, to int
		d.ScanArgs(s.t, "user", &user)
		d.ScanArgs(s.t, "from", &from)
		d.ScanArgs(s.t, "to", &to)
		for i := from; i <= to; i++ {
			e := track(user, event.NameIdentify)
			e.Type, e.AnonymousID = event.Identify, fmt.Sprintf("d%d", i)
			s.append(e)
		}
	case "at":
		after, err := time.ParseDuration(d.CmdArgs[0].Key)
		if err != nil {
			d.Fatalf(s.t, "%v", err)
		}
		s.clock.set(epoch + after.Microseconds())
	case "tick":
		s.control(event.NameTick, "")
	case "decide":
		if len(d.CmdArgs) == 0 {
			s.pump()
			break
		}
		var user string
		d.ScanArgs(s.t, "user", &user)
		s.pumpOne(s.decider().workerOf(user))
	case "crash":
		s.crash()
	case "intents":
		return s.newIntents()
	case "explain":
		return s.explain(d.CmdArgs[0].Key)
	case "progress":
		return s.progress()
	case "settled":
		var out []string
		for token, sum := range s.settler.sum {
			out = append(out, fmt.Sprintf("%s events=%d intents=%d\n", token, sum.Events, sum.Intents))
		}
		return sorted(out)
	case "profile":
		return s.profile(d.CmdArgs[0].Key)
	case "counted":
		return s.counted()
	case "merges":
		var out []string
		for _, e := range s.controls(event.NameMerge) {
			out = append(out, string(e.Properties)+"\n")
		}
		return sorted(out)
	case "sessions":
		var out []string
		for _, e := range s.controls(event.NameSessionStart) {
			out = append(out, sessionLine(&e))
		}
		return sorted(out)
	case "fires":
		return strings.Join(fires(s.intents()), "\n") + "\n"
	default:
		d.Fatalf(s.t, "unknown command %s", d.Cmd)
	}
	return ""
}

func sessionLine(e *event.Event) string {
	line := fmt.Sprintf("%s at=%s from=%s", e.User(), since(e.Timestamp), e.Source)
	if e.AnonymousID != "" && e.UserID != "" {
		line += " anon=" + e.AnonymousID
	}
	if e.Context.Historical {
		line += " historical"
	}
	return line + "\n"
}

func (s *script) parse(d *datadriven.TestData, words []string) event.Event {
	e := track(words[0], words[1])
	if e.UserID == "-" {
		e.UserID = ""
	}
	switch e.Name {
	case event.NameIdentify:
		e.Type = event.Identify
	case event.NameAlias:
		e.Type = event.Alias
	}
	for _, w := range words[2:] {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "id":
			e.MessageID = value
		case "reply":
			e.ReplyTo = value
		case "depth":
			n, err := strconv.Atoi(value)
			if err != nil {
				d.Fatalf(s.t, "%v", err)
			}
			e.Depth = n
		case "at":
			ago, err := time.ParseDuration(value)
			if err != nil {
				d.Fatalf(s.t, "%v", err)
			}
			e.Timestamp = s.clock.Time().Add(ago).UnixMicro()
		case "traits":
			e.Traits = []byte(value)
		case "anon":
			e.AnonymousID = value
		case "prev":
			e.PreviousID = value
		case "trusted":
			e.Context.Verified = true
		case "historical":
			e.Context.Historical = true
		case "times":
			// see run
		case "props":
			e.Properties = []byte(value)
		default:
			d.Fatalf(s.t, "unknown word %s", w)
		}
	}
	return e
}

// since shows a time as an offset from the start.
func since(us int64) string { return (time.Duration(us-epoch) * time.Microsecond).String() }

func (s *script) newIntents() string {
	all := s.intents()
	if len(all) == s.shown {
		return "no more\n"
	}
	var out []string
	for _, in := range all {
		line := fmt.Sprintf("%s %s at=%s cause=%s depth=%d", in.User, in.Trigger, since(in.At), in.CauseID, in.Depth)
		if in.CauseID == "" {
			line = strings.Replace(line, "cause=", "cause=(timer)", 1)
		}
		if in.Key != "" {
			line += " key=" + in.Key
		}
		if in.ReplyTo != "" {
			line += " reply=" + in.ReplyTo
		}
		out = append(out, line+"\n")
	}
	s.shown = len(all)
	return sorted(out)
}

func (s *script) explain(user string) string {
	known, err := s.decider().Explain(s.ctx(), user)
	if err != nil {
		return err.Error() + "\n"
	}
	var out strings.Builder
	for _, t := range known.Triggers {
		for _, r := range t.Rows {
			waits := r.EndedBy
			for _, w := range r.Waits {
				if r.FiresAt == 0 && !slices.Contains(waits, w.Event) {
					waits = append(waits, w.Event)
				}
			}
			fmt.Fprintf(&out, "%s step %d of %d, since %s, expires %s, waits for %s", t.Trigger, r.Done, r.Steps, since(r.Since), since(r.Expires), strings.Join(waits, " "))
			if r.Key != "" {
				fmt.Fprintf(&out, ", key %s", r.Key)
			}
			out.WriteByte('\n')
		}
		for _, n := range t.Notes {
			fmt.Fprintf(&out, "%s %s at %s, time %d", t.Trigger, n.Outcome, since(n.At), n.Count)
			if n.Event != "" {
				fmt.Fprintf(&out, ", by %s", n.Event)
			}
			out.WriteByte('\n')
		}
	}
	if out.Len() == 0 {
		return "nothing\n"
	}
	return out.String()
}

func (s *script) progress() string {
	var out strings.Builder
	for _, p := range s.decider().Progress().Triggers {
		fmt.Fprintf(&out, "%s steps=%v fired=%d", p.Trigger, p.Steps, p.Fired)
		if len(p.Refused) > 0 {
			fmt.Fprintf(&out, " refused=%v", p.Refused)
		}
		out.WriteByte('\n')
	}
	return out.String()
}

func (s *script) profile(user string) string {
	p, err := s.decider().Profile(s.ctx(), user)
	if err != nil {
		return err.Error() + "\n"
	}
	if p == nil {
		return "nobody\n"
	}
	out := "never seen"
	if p.Known() {
		out = fmt.Sprintf("traits=%s first=%s last=%s", p.AppendTraits(nil), since(p.FirstSeen), since(p.LastSeen))
	}
	if n := len(p.AnonymousIDs); n > 5 {
		out += fmt.Sprintf(" ids=%d", n)
	} else if n > 0 {
		out += " ids=" + strings.Join(p.AnonymousIDs, ",")
	}
	if p.Moved.To != "" {
		out += " moved to " + p.Moved.To + " at " + since(p.Moved.At)
	}
	if p.Waiting {
		out += " waiting"
	}
	return out + "\n"
}

// counted shows the counters of identity.
func (s *script) counted() string {
	all, err := s.registry.Gather()
	if err != nil {
		return err.Error() + "\n"
	}
	var out []string
	for _, f := range all {
		name := strings.TrimPrefix(f.GetName(), namespace+"_"+subsystem+"_")
		if !slices.Contains([]string{"parked_total", "handed_over_total", "forwarded_total", "merged_total", "links_refused_total", "parked_overflow_total"}, name) {
			continue
		}
		for _, m := range f.GetMetric() {
			line := strings.TrimSuffix(name, "_total")
			for _, l := range m.GetLabel() {
				line += " " + l.GetValue()
			}
			if n := m.GetCounter().GetValue(); n > 0 {
				out = append(out, fmt.Sprintf("%s %g\n", line, n))
			}
		}
	}
	return sorted(out)
}

func sorted(lines []string) string {
	if len(lines) == 0 {
		return "none\n"
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}
