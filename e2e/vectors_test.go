package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// vector is one line of the triggers' test vectors. Their notation: A>B
// relaxed, A,B strict, W*3 times, W*3c consecutive, >!X> exclusion on that
// edge, ~buy:1800 absence, ~*r:600 idle; name/key#id@time>arrival in seconds.
type vector struct {
	ID, Ref, P, Scope, Order, Cancel, Ev string

	Within, Late, Cooldown, Delay, MaxStale float64

	By, Once bool
	Fire     []any
}

// vectorStart is the vectors' second 0.
func vectorStart() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

func vectorTime(t *testing.T, seconds string) time.Time {
	t.Helper()
	s, err := strconv.ParseFloat(seconds, 64)
	if err != nil {
		t.Fatal(err)
	}
	return vectorStart().Add(time.Duration(s * float64(time.Second))).Round(time.Microsecond)
}

// pattern writes the vector's pattern as a trigger's steps.
func (v *vector) pattern(t *testing.T) []map[string]any {
	t.Helper()
	var steps []map[string]any
	var without []string
	strict, rest := false, v.P
	for rest != "" {
		token, separator := rest, byte(0)
		if i := strings.IndexAny(rest, ">,"); i >= 0 {
			token, separator, rest = rest[:i], rest[i], rest[i+1:]
		} else {
			rest = ""
		}
		if name, excluded := strings.CutPrefix(token, "!"); excluded {
			without = append(without, name)
			continue
		}
		step := map[string]any{}
		if after, idle := strings.CutPrefix(token, "~*r:"); idle {
			step["idle"] = after + "s"
		} else if name, absent := strings.CutPrefix(token, "~"); absent {
			name, after, _ := strings.Cut(name, ":")
			step["absent"], step["for"] = name, after+"s"
		} else {
			name, times, _ := strings.Cut(token, "*")
			step["event"] = name
			if times, consecutive := strings.CutSuffix(times, "c"); times != "" {
				n, err := strconv.Atoi(times)
				if err != nil {
					t.Fatal(err)
				}
				step["times"], step["consecutive"] = n, consecutive
			}
			if strict {
				step["strict"] = true
			}
			if without != nil {
				step["without"] = without
			}
		}
		strict, without = separator == ',', nil
		steps = append(steps, step)
	}
	return steps
}

// trigger writes the vector as a definition; JSON is YAML too.
func (v *vector) trigger(t *testing.T) []byte {
	t.Helper()
	d := map[string]any{"kind": "trigger", "name": "v" + v.ID, "pattern": v.pattern(t)}
	for key, seconds := range map[string]float64{
		"within": v.Within, "lateness": v.Late, "delay": v.Delay, "max_stale": v.MaxStale,
	} {
		if seconds > 0 {
			d[key] = fmt.Sprintf("%gs", seconds)
		}
	}
	if v.Scope != "" {
		d["scope"] = strings.Split(v.Scope, ",")
	}
	if v.Cancel != "" {
		d["cancel"] = strings.Split(v.Cancel, ",")
	}
	if v.Order != "" {
		d["order"] = v.Order
	}
	if v.By {
		d["by"] = "properties.key"
	}
	if v.Cooldown > 0 {
		d["reentry"] = map[string]string{"cooldown": fmt.Sprintf("%gs", v.Cooldown)}
	}
	if v.Once {
		d["reentry"] = "once"
	}
	b, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// events writes the vector's events as JSON lines.
func (v *vector) events(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	for i, token := range strings.Fields(v.Ev) {
		name, at, _ := strings.Cut(token, "@")
		at, arrival, late := strings.Cut(at, ">")
		e := map[string]any{"type": "track", "userId": "u", "messageId": fmt.Sprint("n", i), "timestamp": vectorTime(t, at)}
		if late {
			e["receivedAt"] = vectorTime(t, arrival)
		}
		if before, id, ok := strings.Cut(name, "#"); ok {
			name, e["messageId"] = before, id
		}
		if before, key, ok := strings.Cut(name, "/"); ok {
			name, e["properties"] = before, map[string]string{"key": key}
		}
		e["event"] = name
		if err := json.NewEncoder(&out).Encode(e); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

// replayed runs `heed replay` over the vector and returns when it fired, as the
// vectors write it.
func (v *vector) replayed(t *testing.T) []string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, data := range map[string][]byte{"trigger.yaml": v.trigger(t), "events.jsonl": v.events(t)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// The vectors' clock runs on to infinity.
	cmd := exec.CommandContext(ctx, path, "replay", "--trigger", "trigger.yaml", "--events", "events.jsonl", "--until", "2027-01-01T00:00:00Z")
	cmd.Dir = dir
	var counts bytes.Buffer
	cmd.Stderr = &counts
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("heed replay: %v\n%s%s", err, counts.String(), v.trigger(t))
	}
	fired := []string{}
	for line := range bytes.Lines(out) {
		var f struct {
			Trigger, User, Key string
			At                 time.Time
			FireID             string `json:"fire_id"`
		}
		if err := json.Unmarshal(line, &f); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if f.Trigger != "v"+v.ID || f.User != "u" || f.FireID == "" {
			t.Errorf("a firing of somebody else: %s", line)
		}
		at := strconv.FormatFloat(f.At.Sub(vectorStart()).Seconds(), 'f', -1, 64)
		if f.Key != "" {
			at += "/" + f.Key
		}
		fired = append(fired, at)
	}
	var c struct{ Events, Firings int }
	if err := json.Unmarshal(counts.Bytes(), &c); err != nil || c.Events != len(strings.Fields(v.Ev)) || c.Firings != len(fired) {
		t.Errorf("counts %s for %d events and %d firings: %v", counts.String(), len(strings.Fields(v.Ev)), len(fired), err)
	}
	return fired
}

// TestVectors converts every vector to files and replays them with the binary.
func TestVectors(t *testing.T) {
	f, err := os.Open("../internal/trigger/testdata/vectors.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	ran := 0
	var notRun []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		d := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		d.DisallowUnknownFields()
		var v vector
		if err := d.Decode(&v); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		// A file of events holds no outages and no edits of the trigger.
		if strings.Contains(v.Ev, "!") {
			notRun = append(notRun, v.ID)
			continue
		}
		ran++
		t.Run(v.ID, func(t *testing.T) {
			want := []string{}
			for _, f := range v.Fire {
				want = append(want, fmt.Sprint(f))
			}
			if diff := cmp.Diff(want, v.replayed(t)); diff != "" {
				t.Errorf("%s: %s: %s: -want +got\n%s", v.Ref, v.P, v.Ev, diff)
			}
		})
	}
	// 46 is an outage, 49 an edit: internal/trigger runs those. A vector that moves
	// here unseen fails.
	t.Logf("not for a file of events: %v", notRun)
	if want := []string{"46", "49"}; ran < 23 || !slices.Equal(notRun, want) {
		t.Errorf("%d vectors ran, not run %v, want %v", ran, notRun, want)
	}
}
