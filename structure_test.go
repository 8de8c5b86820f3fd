// Package heed holds the tests of the module's structure: which package may
// import which, and that each says what it owns.
package heed

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// layers lists the packages from the top down. A package may import packages
// of lower layers only, never one beside it. "x/..." is x and all below it.
var layers = [][]string{
	{"cmd/heed", "bench", "bench/floor", "e2e/..."},
	{"bench/load", "bench/history"},
	{"internal/app"},
	{
		"internal/gateway", "internal/intake", "internal/decider", "internal/engager",
		"internal/analytics", "internal/console", "internal/demo", "web",
	},
	{
		"internal/analytics/audiences", "internal/demo/sample", "internal/gateway/unsubscribe", "internal/engager/optin",
		"internal/console/analysis", "internal/console/drafts", "internal/console/explain", "internal/console/reaching", "internal/console/sending", "internal/console/starters", "internal/console/streams", "internal/console/trial",
	},
	{"internal/intake/stream"},
	{"internal/reach"},
	{"internal/analytics/alerts", "internal/analytics/avrofiles", "internal/decider/later", "internal/engager/content", "internal/engager/halt", "internal/engager/order", "internal/console/api", "internal/console/pages", "internal/console/signin", "internal/analytics/eventsout"},
	{"internal/channel/web", "internal/channel/outbox", "internal/channel/webhook", "internal/channel/pullstore", "internal/channel/email", "internal/channel/sms", "internal/channel/push", "internal/channel/kafka"},
	{"internal/channel/sms/smpp", "internal/channel/sms/twilio", "internal/channel/sms/keyword", "internal/channel/sms/smstest"},
	{"internal/channel/outward", "internal/channel/email/letter", "internal/channel/email/report", "internal/channel/email/provider", "internal/channel/sms/segment"},
	{"internal/channel", "internal/backtest"},
	{"internal/driver/pebble", "internal/driver/memory", "internal/driver/duckdb", "internal/driver/kafka", "internal/driver/redis", "internal/driver/mongo"},
	{"internal/driver/duckdb/statement", "internal/driver/kafka/kafkatest", "internal/driver/redis/redistest", "internal/driver/mongo/mongotest"},
	{"internal/driver/duckdb/ask", "internal/driver/duckdb/rows", "internal/driver/servertest"},
	{"internal/catalog", "internal/peer", "internal/pull", "internal/device", "internal/share", "internal/eventlog/distinct", "internal/eventlog/backlog", "internal/eventlog/sink", "internal/eventlog/logsearch", "internal/eventlog/logread", "internal/intake/message"},
	{"internal/eventlog/eventlogtest", "internal/userstate/userstatetest", "internal/inbox/inboxtest", "internal/documents/documentstest", "internal/facts/factstest", "internal/facts/export"},
	{"internal/facts"},
	{"internal/eventlog", "internal/userstate", "internal/inbox", "internal/documents"},
	{"internal/replay", "internal/journey", "internal/measure/measuretest"},
	{"internal/definition", "internal/session", "internal/journey/presence", "internal/journey/ranks"},
	{"internal/trigger", "internal/policy", "internal/render", "internal/measure"},
	{"internal/condition", "internal/profile"},
	{"internal/period", "internal/schedule", "internal/phone", "internal/webpush", "internal/event/ocf", "internal/consent", "internal/touch"},
	{"internal/event"},
	{"internal/kafkaconn"},
	{"internal/clienttls"},
	{"internal/jsonscan", "internal/varint", "internal/express", "internal/journey/bitset", "internal/journey/frames", "internal/journey/lists"},
}

// apart names packages that must not meet although the layers would let them:
// roles and catalog work on contracts, not on an engine.
var apart = map[string][]string{
	"internal/gateway":   {"internal/driver/"},
	"internal/intake":    {"internal/driver/"},
	"internal/decider":   {"internal/driver/"},
	"internal/engager":   {"internal/driver/"},
	"internal/analytics": {"internal/driver/"},
	"internal/console":   {"internal/driver/"},
	"internal/demo":      {"internal/driver/"},
	"internal/channel":   {"internal/driver/"},
}

func layerOf(pkg string) int {
	for i, layer := range layers {
		for _, name := range layer {
			if base, below := strings.CutSuffix(name, "/..."); pkg == name || below && (pkg == base || strings.HasPrefix(pkg, base+"/")) {
				return i
			}
		}
	}
	return -1
}

// packages parses every package of the module, by directory.
func packages(t *testing.T) map[string][]*ast.File {
	t.Helper()
	out := map[string][]*ast.File{}
	err := filepath.WalkDir(".", func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			if name := e.Name(); path != "." && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		// Tests may use drivers and suites; they are checked by nobody but the compiler.
		if !strings.HasSuffix(path, "_test.go") {
			out[dir] = append(out[dir], f)
		} else if _, seen := out[dir]; !seen {
			out[dir] = nil
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestImportsPointDown(t *testing.T) {
	for dir, files := range packages(t) {
		if dir == "." || len(files) == 0 {
			continue
		}
		from := layerOf(dir)
		if from < 0 {
			t.Errorf("%s stands in no layer: add it to the list in structure_test.go and DESIGN.md", dir)
			continue
		}
		for _, f := range files {
			for _, imp := range f.Imports {
				path, err := strconv.Unquote(imp.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				to, ours := strings.CutPrefix(path, "heed/")
				if !ours {
					continue
				}
				if layerOf(to) <= from {
					t.Errorf("%s imports %s, which does not stand below it", dir, to)
				}
				for _, bad := range apart[dir] {
					if strings.HasPrefix(to, bad) {
						t.Errorf("%s imports %s: roles know contracts, not engines", dir, to)
					}
				}
			}
		}
	}
}

func TestOnePackageDocEach(t *testing.T) {
	for dir, files := range packages(t) {
		docs := 0
		for _, f := range files {
			if f.Doc != nil {
				docs++
			}
		}
		if len(files) > 0 && docs != 1 {
			t.Errorf("%s has %d package docs, want one that says what the package owns", dir, docs)
		}
	}
}

// Files and packages stay small enough to be read.
func TestSizes(t *testing.T) {
	for dir, files := range packages(t) {
		if len(files) == 0 {
			continue
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		total := 0
		for _, e := range entries {
			name := e.Name()
			if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, ".gen.go") {
				continue
			}
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			n := strings.Count(string(b), "\n")
			if total += n; n > 800 {
				t.Errorf("%s has %d lines", filepath.Join(dir, name), n)
			}
		}
		if total > 4000 {
			t.Errorf("%s has %d lines", dir, total)
		}
	}
}
