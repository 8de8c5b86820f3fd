package mongo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/goleak"

	"heed/internal/catalog"
	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/documents/documentstest"
	"heed/internal/driver/mongo/mongotest"
	"heed/internal/driver/servertest"
	"heed/internal/period"
	"heed/internal/pull"
	"heed/internal/render"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testWait bounds what should happen soon, on a slow machine.
const testWait = 2 * time.Minute

// number makes names of databases, which are short.
var number atomic.Int64

// testConfig is for a database of the test's own.
func testConfig(t testing.TB, server *mongotest.Server) Config {
	t.Helper()
	name := strings.NewReplacer("/", "-", "#", "-").Replace(t.Name())
	name = name[max(0, len(name)-30):] + "-" + string(rune('A'+number.Add(1)%26)) + string(rune('A'+number.Add(1)/26%26))
	return Config{URI: server.URI(server.Addr()), Database: name, Timeout: 20 * time.Second, Standalone: !server.Replicated()}
}

func open(t testing.TB, cfg Config) *Store {
	t.Helper()
	s, err := Open(t.Context(), cfg, Deps{Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// TestOneServer holds what needs one server: they share it, as starting one takes
// seconds.
func TestOneServer(t *testing.T) {
	server := mongotest.Start(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *mongotest.Server)
	}{
		{"Documents", testDocuments},
		{"Opening", testOpening},
		{"Secure", testSecure},
		{"TwoProcesses", testTwoProcesses},
		{"UniqueIDs", testUniqueIDs},
		{"Watch", testWatch},
		{"Definitions", testDefinitions},
		{"PullStore", testPullStore},
		{"Bounds", testBounds},
		{"Abandoned", testAbandoned},
		{"Unfinished", testUnfinished},
		{"SweepGoesOn", testSweepGoesOn},
		{"LatePreparation", testLatePreparation},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, server) })
	}
}

func testDocuments(t *testing.T, server *mongotest.Server) {
	documentstest.Run(t, func(t *testing.T) documentstest.Subject {
		cfg := testConfig(t, server)
		s := open(t, cfg)
		return documentstest.Subject{Store: s, Reopen: func(t *testing.T) documents.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, cfg)
			return s
		}}
	})
}

// testOpening holds what is refused before anything is promised.
func testOpening(t *testing.T, server *mongotest.Server) {
	refused := func(want string, change func(*Config)) {
		t.Helper()
		cfg := testConfig(t, server)
		change(&cfg)
		s, err := Open(t.Context(), cfg, Deps{})
		if err == nil {
			_ = s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if !server.Replicated() {
		refused("accept with standalone: true", func(c *Config) { c.Standalone = false })
	}
	refused("reach the servers", func(c *Config) {
		c.URI, c.Timeout = "mongodb://heed:secret@127.0.0.1:1/?directConnection=true", 300*time.Millisecond
	})
	refused("no server is named", func(c *Config) { c.URI = "" })
	refused("uri: ", func(c *Config) { c.URI = "postgres://heed:secret@127.0.0.1/" })
	refused("uri: ", func(c *Config) { c.URI = "mongodb://heed:se/secret@127.0.0.1/" })
	refused("uri: ", func(c *Config) { c.URI = "mongodb://heed:secret%zz@127.0.0.1/" })
	refused("database: ", func(c *Config) { c.Database = "a.b" })
	refused("timeout: ", func(c *Config) { c.Timeout = time.Hour })
}

// testSecure reaches the server through somebody who speaks TLS.
func testSecure(t *testing.T, server *mongotest.Server) {
	ca, proxy := servertest.NewTLSProxy(t, server.Addr())
	cfg := testConfig(t, server)
	cfg.URI = server.URI(proxy.Addr()) + "&tls=true&tlsCAFile=" + ca
	s := open(t, cfg)
	put(t, s, "c", "k", "1", documents.Absent)
	cfg.URI, cfg.Timeout = server.URI(proxy.Addr())+"&tls=true", time.Second
	if s, err := Open(t.Context(), cfg, Deps{}); err == nil {
		_ = s.Close()
		t.Error("a certificate that nobody signed was taken")
	}
}

func put(t testing.TB, s *Store, collection, key, value string, expect int64) {
	t.Helper()
	if err := s.Apply(t.Context(), documents.Durable, write(collection, key, value, expect)); err != nil {
		t.Fatal(err)
	}
}

func write(collection, key, value string, expect int64) documents.Write {
	return documents.Write{Collection: collection, Key: key, Value: []byte(value), Expect: expect}
}

func want(t testing.TB, s *Store, collection, key, value string, version int64) {
	t.Helper()
	d, err := s.Get(t.Context(), collection, key)
	if err != nil || string(d.Value) != value || d.Version != version {
		t.Fatalf("%s/%s is %q, version %d, %v, want %q, version %d", collection, key, d.Value, d.Version, err, value, version)
	}
}

// testTwoProcesses writes the same definition from two of them, with the documents
// that go with it: one wins, the other is told of the conflict.
func testTwoProcesses(t *testing.T, server *mongotest.Server) {
	const rounds = 40
	cfg := testConfig(t, server)
	stores := []*Store{open(t, cfg), open(t, cfg)}
	put(t, stores[0], "revisions", "head", "0", documents.Absent)
	wins := make([]int, len(stores))
	for round := int64(1); round <= rounds; round++ {
		errs := make([]error, len(stores))
		var wg sync.WaitGroup
		for i, s := range stores {
			wg.Go(func() {
				text := fmt.Sprintf("%d by %d", round, i)
				errs[i] = s.Apply(t.Context(), documents.Durable,
					write("versions", fmt.Sprintf("campaign/winners/%03d", round), text, documents.Absent),
					write("current", "campaign/winners", text, documents.Any),
					write("revisions", "head", text, round))
			})
		}
		wg.Wait()
		winner := slices.Index(errs, nil)
		if winner < 0 || !errors.Is(errs[1-winner], documents.ErrConflict) {
			t.Fatalf("round %d: %v", round, errs)
		}
		wins[winner]++
		text := fmt.Sprintf("%d by %d", round, winner)
		for _, s := range stores {
			want(t, s, "revisions", "head", text, round+1)
			want(t, s, "current", "campaign/winners", text, round)
			want(t, s, "versions", fmt.Sprintf("campaign/winners/%03d", round), text, 1)
		}
	}
	t.Logf("%d revisions, won by the one %d, by the other %d", rounds, wins[0], wins[1])
}

// testUniqueIDs has 50 claim the same activation in the ledger.
func testUniqueIDs(t *testing.T, server *mongotest.Server) {
	const claims, ids = 50, 10
	cfg := testConfig(t, server)
	stores := []*Store{open(t, cfg), open(t, cfg), open(t, cfg)}
	for id := range ids {
		var won, lost atomic.Int64
		var wg sync.WaitGroup
		for i := range claims {
			wg.Go(func() {
				err := stores[i%len(stores)].Apply(t.Context(), documents.Durable, write("ledger", fmt.Sprint("activation-", id), fmt.Sprint(i), documents.Absent))
				switch {
				case err == nil:
					won.Add(1)
				case errors.Is(err, documents.ErrConflict):
					lost.Add(1)
				default:
					t.Errorf("claim: %v", err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || lost.Load() != claims-1 {
			t.Fatalf("of %d claims %d won, %d lost", claims, won.Load(), lost.Load())
		}
	}
	t.Logf("%d ids, each claimed %d times, given once", ids, claims)
}

// testWatch wakes one process by a change of another.
func testWatch(t *testing.T, server *mongotest.Server) {
	cfg := testConfig(t, server)
	writer, reader := open(t, cfg), open(t, cfg)
	wake, cancel := reader.Watch("definitions")
	defer cancel()
	const rounds = 10
	var longest, sum time.Duration
	for i := range rounds {
		durability := documents.Durability(i%2 == 0)
		select {
		case <-wake: // for the change before, once more
		default:
		}
		start := time.Now()
		if err := writer.Apply(t.Context(), durability, write("definitions", "k", strconv.Itoa(i), documents.Any)); err != nil {
			t.Fatal(err)
		}
		select {
		case <-wake:
		case <-time.After(testWait):
			t.Fatal("not woken")
		}
		took := time.Since(start)
		longest, sum = max(longest, took), sum+took
	}
	// A process that ends before it tells anybody.
	wake, cancel = reader.Watch("unannounced")
	defer cancel()
	unannounced, err := writer.prepare([]documents.Write{write("unannounced", "k", "x", documents.Any)})
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.try(t.Context(), unannounced); err != nil {
		t.Fatal(err)
	}
	select {
	case <-wake:
	case <-time.After(testWait):
		t.Error("not woken for what was not announced")
	}
	t.Logf("another process knows of a change after %s on average, %s at most", (sum / rounds).Round(time.Millisecond), longest.Round(time.Millisecond))
}

// testDefinitions changes the same definition in two processes at once, and sees what
// a third one makes of it.
func testDefinitions(t *testing.T, server *mongotest.Server) {
	cfg := testConfig(t, server)
	openCatalog := func() *catalog.Catalog {
		c, err := catalog.Open(t.Context(), catalog.Config{
			Store: open(t, cfg), Key: make([]byte, 32), Now: time.Now, Log: slog.New(slog.DiscardHandler),
			Random: func(b []byte) { clear(b) }, Getenv: func(string) (string, bool) { return "", false }, ReadFile: os.ReadFile,
		})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	writers := []*catalog.Catalog{openCatalog(), openCatalog()}
	role := openCatalog()
	changed, cancel := role.Changed()
	defer cancel()
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := role.Run(ctx); err != nil {
			t.Errorf("follow: %v", err)
		}
	})
	defer running.Wait()
	defer stop()
	const rounds = 8
	var longest time.Duration
	for round := range int64(rounds) {
		errs := make([]error, len(writers))
		var wg sync.WaitGroup
		for i, c := range writers {
			docs, problems := definition.Parse("f.yaml", fmt.Appendf(nil, "kind: collection\nname: scores\ndescription: %d by %d\n", round, i))
			if problems != nil {
				t.Fatal(problems)
			}
			wg.Go(func() {
				_, errs[i] = c.Apply(t.Context(), docs, catalog.Options{Author: "ada", Expect: map[string]int64{"collection/scores": round}})
			})
		}
		wg.Wait()
		start := time.Now()
		winner := slices.Index(errs, nil)
		if winner < 0 || !errors.Is(errs[1-winner], catalog.ErrConflict) {
			t.Fatalf("round %d: %v", round, errs)
		}
		for role.Current().Revision < round+1 {
			select {
			case <-changed:
			case <-time.After(testWait):
				t.Fatal("the role does not learn of it")
			}
		}
		longest = max(longest, time.Since(start))
		if d := role.Current().Collections["scores"].Description; d != fmt.Sprintf("%d by %d", round, winner) {
			t.Errorf("round %d: the role sees %q, %d won", round, d, winner)
		}
	}
	t.Logf("%d definitions changed by two processes at once, one won each; a role knew after %s at most", rounds, longest.Round(time.Millisecond))
}

// testPullStore shares a collection with a program that knows nothing of Heed.
func testPullStore(t *testing.T, server *mongotest.Server) {
	cfg := testConfig(t, server)
	s := open(t, cfg)
	store := pull.New(s, time.Now)
	scores := &definition.Collection{Name: "scores", TTL: period.Period(time.Hour)}
	foreign := s.db.Collection("pull.scores") // as any program would reach it
	ctx := t.Context()

	// What it writes is read at once, in the types it has.
	day := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)
	_, err := foreign.InsertOne(ctx, bson.D{{Key: "_id", Value: "Zoë 1"}, {Key: "next_best", Value: "hat"}, {Key: "score", Value: int64(math.MaxInt64)}, {Key: "at", Value: day}})
	if err != nil {
		t.Fatal(err)
	}
	fields := func(user, want string) {
		t.Helper()
		got, err := store.Fields(ctx, "scores", user)
		if err != nil || string(got) != want {
			t.Fatalf("%s: %s, %v, want %s", user, got, err, want)
		}
	}
	fields("Zoë 1", `{"next_best":"hat","score":9223372036854775807,"at":"2026-01-02T03:04:05.678Z"}`)
	text, err := render.Parse("{{ pull.scores.next_best }}, {{ pull.scores.score }}", render.Text)
	if err != nil {
		t.Fatal(err)
	}
	got, err := text.Render(ctx, render.Input{User: "Zoë 1", Pull: func(collection string) []byte {
		doc, err := store.Fields(ctx, collection, "Zoë 1")
		if err != nil {
			t.Error(err)
		}
		return doc
	}})
	if err != nil || got.Text != "hat, 9223372036854775807" {
		t.Errorf("the text is %q, %v", got.Text, err)
	}

	// A key that MongoDB cannot have has no document.
	if err := store.Delete(ctx, "scores", "\xff"); err != nil {
		t.Errorf("remove what cannot be there: %v", err)
	}

	// What it changes is read, whoever wrote before.
	put := func(user, object string) {
		t.Helper()
		if _, err := store.Put(ctx, scores, user, []byte(object)); err != nil {
			t.Fatal(err)
		}
	}
	put("u2", `{"next_best":"scarf","price":19.90,"a.b":{"$x":1}}`)
	fields("u2", `{"next_best":"scarf","price":19.90,"a.b":{"$x":1}}`)
	if _, err := foreign.UpdateOne(ctx, bson.D{{Key: "_id", Value: "u2"}}, bson.D{{Key: "$set", Value: bson.D{{Key: "next_best", Value: "glove"}}}}); err != nil {
		t.Fatal(err)
	}
	fields("u2", `{"next_best":"glove","price":19.90,"a.b":{"$x":1}}`)

	// It reads what Heed writes, as fields with types.
	put("u3", `{"next_best":"coat","n":3,"price":19.90,"at":"2026-01-02T03:04:05.678Z","nested":{"list":[1.5,true]}}`)
	var seen struct {
		Next   string          `bson:"next_best"`
		N      int64           `bson:"n"`
		Price  bson.Decimal128 `bson:"price"`
		At     time.Time       `bson:"at"`
		Nested struct {
			List []any `bson:"list"`
		} `bson:"nested"`
	}
	if err := foreign.FindOne(ctx, bson.D{{Key: "_id", Value: "u3"}, {Key: "n", Value: 3}}).Decode(&seen); err != nil {
		t.Fatal(err)
	}
	if seen.Next != "coat" || seen.N != 3 || seen.Price.String() != "19.90" || !seen.At.Equal(day) || len(seen.Nested.List) != 2 || seen.Nested.List[0] != 1.5 {
		t.Errorf("another program sees %+v", seen)
	}

	// Heed may replace and remove what it wrote; only Heed's own expire.
	put("Zoë 1", `{"next_best":"sock"}`)
	fields("Zoë 1", `{"next_best":"sock"}`)
	if err := store.Delete(ctx, "scores", "Zoë 1"); err != nil {
		t.Fatal(err)
	}
	fields("Zoë 1", "")
	if _, err := foreign.InsertOne(ctx, bson.D{{Key: "_id", Value: 7}, {Key: "x", Value: 1}}); err != nil { // no user's id
		t.Fatal(err)
	}
	if _, err := foreign.InsertOne(ctx, bson.D{{Key: "_id", Value: "long"}, {Key: "x", Value: strings.Repeat("x", 2*pull.MaxBytes)}}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Get(ctx, "scores", "long"); err == nil || errors.Is(err, pull.ErrNotFound) || !strings.Contains(err.Error(), "at most 32768 are read") {
		t.Errorf("a document that is too long: %v", err)
	}
	late := pull.New(s, func() time.Time { return time.Now().Add(2 * time.Hour) })
	if n, err := late.Expire(ctx, "scores"); err != nil || n != 2 {
		t.Errorf("%d expired, %v, want u2 and u3", n, err)
	}
	var invalid *pull.InvalidError
	if _, err := store.Put(ctx, scores, "u4", []byte(`{"n":`+strings.Repeat("1234567890", 5)+`}`)); !errors.As(err, &invalid) {
		t.Errorf("a number that does not fit: %v", err)
	}

	// It takes part in transactions, like any other collection.
	value := pull.Encode(pull.Document{Fields: []byte(`{"n":1}`), Written: day})
	if err := s.Apply(ctx, documents.Durable, write("c", "k", "1", documents.Absent), documents.Write{Collection: "pull.scores", Key: "u5", Value: value, Expect: documents.Absent}); err != nil {
		t.Fatal(err)
	}
	fields("u5", `{"n":1}`)
}

// testBounds holds what is refused in words before MongoDB would.
func testBounds(t *testing.T, server *mongotest.Server) {
	s := open(t, testConfig(t, server))
	many := make([]documents.Write, maxWrites+1)
	for i := range many {
		many[i] = write("c", strconv.Itoa(i), "", documents.Any)
	}
	large := make([]documents.Write, maxValues/documents.MaxValueBytes+1)
	for i := range large {
		large[i] = write("c", strconv.Itoa(i), strings.Repeat("x", documents.MaxValueBytes), documents.Any)
	}
	long := make([]documents.Write, 3000)
	for i := range long {
		long[i] = write("c", fmt.Sprintf("%1024d", i), "", documents.Any)
	}
	for want, writes := range map[string][]documents.Write{
		"at most 10000": many, "values of a transaction": large, "keys of a transaction": long,
		"not valid UTF-8": {write("pull.c", "\xff", "", documents.Any)}, "unreadable": {write("pull.c", "u", "x", documents.Any)},
	} {
		if err := s.Apply(t.Context(), documents.Durable, writes...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	// The largest that is taken: 4 values of a MiB at once, changed once more.
	for version := range int64(2) {
		writes := large[:4]
		for i := range writes {
			writes[i].Expect = version
		}
		if err := s.Apply(t.Context(), documents.Durable, writes...); err != nil {
			t.Fatal(err)
		}
	}
}

// begin leaves a transaction that changes "a" and makes "b", before its commit, as a
// process that ended would.
func begin(t *testing.T, s *Store) (tx bson.ObjectID, changes []*change) {
	t.Helper()
	tx = bson.NewObjectID()
	changes, err := s.prepare([]documents.Write{write("c", "a", "new", 1), write("c", "b", "new", documents.Absent), {Collection: "c", Key: "gone", Expect: 1}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.look(t.Context(), changes); err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		if c.Value != nil {
			c.after.version, c.after.write = c.before.version+1, tx
		}
	}
	rec := record{ID: tx, State: statePending, At: time.Now(), Docs: []docName{{collDocuments, changes[0].id}, {collDocuments, changes[1].id}, {collDocuments, changes[2].id}}}
	if _, err := s.records().InsertOne(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	if ok, err := s.hold(t.Context(), tx, changes); !ok || err != nil {
		t.Fatalf("held: %v, %v", ok, err)
	}
	return tx, changes
}

func keysOf(t *testing.T, s *Store) string {
	t.Helper()
	docs, err := s.List(t.Context(), documents.Query{Collection: "c"})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, d := range docs {
		out = append(out, fmt.Sprintf("%s=%s/%d", d.Key, d.Value, d.Version))
	}
	return strings.Join(out, " ")
}

// testAbandoned: a transaction whose process ended before the commit has not
// happened for readers, and hinders writers for a moment only. Its owner cannot
// commit any more if it wakes up.
func testAbandoned(t *testing.T, server *mongotest.Server) {
	cfg := testConfig(t, server)
	owner, s := open(t, cfg), open(t, cfg)
	put(t, owner, "c", "a", "old", documents.Absent)
	put(t, owner, "c", "gone", "old", documents.Absent)
	tx, _ := begin(t, owner)
	if got := keysOf(t, s); got != "a=old/1 gone=old/1" {
		t.Errorf("readers see %s", got)
	}
	if _, err := s.Get(t.Context(), "c", "b"); !errors.Is(err, documents.ErrNotFound) {
		t.Errorf("get: %v", err)
	}
	put(t, s, "c", "a", "newer", 1) // after patience
	if err := owner.commit(t.Context(), tx); !errors.Is(err, errRaced) {
		t.Errorf("the owner commits: %v", err)
	}
	put(t, s, "c", "b", "newer", documents.Absent)
	put(t, s, "c", "gone", "newer", 1)
	if got := keysOf(t, owner); got != "a=newer/2 b=newer/1 gone=newer/2" {
		t.Errorf("readers see %s", got)
	}
}

// testUnfinished: a transaction whose process ended after the commit has happened,
// for readers, for writers, and once it is swept.
func testUnfinished(t *testing.T, server *mongotest.Server) {
	for _, meet := range []string{"read", "write", "sweep"} {
		cfg := testConfig(t, server)
		owner, s := open(t, cfg), open(t, cfg)
		put(t, owner, "c", "a", "old", documents.Absent)
		put(t, owner, "c", "gone", "old", documents.Absent)
		tx, _ := begin(t, owner)
		if err := owner.commit(t.Context(), tx); err != nil {
			t.Fatal(err)
		}
		result := "a=new/2 b=new/1"
		switch meet {
		case "write":
			put(t, s, "c", "a", "newer", 2)
			put(t, s, "c", "gone", "newer", documents.Absent)
			result = "a=newer/3 b=new/1 gone=newer/1"
		case "sweep":
			if err := s.sweepOnce(t.Context(), time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			if n, err := s.records().CountDocuments(t.Context(), bson.D{}); n != 0 || err != nil {
				t.Errorf("%d records are left, %v", n, err)
			}
			if n, err := s.db.Collection(collDocuments).CountDocuments(t.Context(), bson.D{{Key: fieldTx, Value: tx}}); n != 0 || err != nil {
				t.Errorf("%d documents are at work, %v", n, err)
			}
		}
		if got := keysOf(t, s); got != result {
			t.Errorf("%s: readers see %s, want %s", meet, got, result)
		}
	}
}

// testSweepGoesOn: what cannot be finished, or read, keeps nothing else from being.
func testSweepGoesOn(t *testing.T, server *mongotest.Server) {
	s := open(t, testConfig(t, server))
	bad := []any{
		bson.D{{Key: "_id", Value: bson.ObjectID{1}}, {Key: "state", Value: stateCommitted}, {Key: "at", Value: time.Now()}, {Key: "docs", Value: bson.A{bson.D{{Key: "c", Value: ""}, {Key: "id", Value: "x"}}}}},
		bson.D{{Key: "_id", Value: bson.ObjectID{2}}, {Key: "state", Value: 7}, {Key: "at", Value: time.Now()}},
	}
	for i := range sweepMost {
		bad = append(bad, bson.D{{Key: "_id", Value: bson.ObjectID{3, byte(i)}}, {Key: "state", Value: 7}, {Key: "at", Value: time.Now()}})
	}
	if _, err := s.records().InsertMany(t.Context(), bad); err != nil {
		t.Fatal(err)
	}
	put(t, s, "c", "a", "old", documents.Absent)
	put(t, s, "c", "gone", "old", documents.Absent)
	tx, _ := begin(t, s)
	if err := s.commit(t.Context(), tx); err != nil {
		t.Fatal(err)
	}
	err := s.sweepOnce(t.Context(), time.Now().Add(time.Hour))
	if err == nil || strings.Count(err.Error(), "\n") != sweepTold-1 {
		t.Errorf("it says %v", err)
	}
	if n, err := s.records().CountDocuments(t.Context(), bson.D{}); n != int64(len(bad)) || err != nil {
		t.Errorf("%d records are left of %d that cannot be finished, %v", n, len(bad), err)
	}
	if n, err := s.db.Collection(collDocuments).CountDocuments(t.Context(), bson.D{{Key: fieldTx, Value: tx}}); n != 0 || err != nil {
		t.Errorf("%d documents are at work, %v", n, err)
	}
}

// testLatePreparation: what a dead transaction writes late, because a connection was
// slow, hinders nobody.
func testLatePreparation(t *testing.T, server *mongotest.Server) {
	s := open(t, testConfig(t, server))
	put(t, s, "c", "a", "old", documents.Absent)
	put(t, s, "c", "gone", "old", documents.Absent)
	tx, changes := begin(t, s)
	if err := errors.Join(s.undo(t.Context(), tx), s.finishOwn(t.Context(), tx, changes, false)); err != nil {
		t.Fatal(err)
	}
	if n, err := s.db.Collection(collDocuments).CountDocuments(t.Context(), bson.D{{Key: fieldTx, Value: tx}}); n != 0 || err != nil {
		t.Errorf("%d documents are at work, %v", n, err)
	}
	if err := s.look(t.Context(), changes); err != nil {
		t.Fatal(err)
	}
	if ok, err := s.hold(t.Context(), tx, changes); !ok || err != nil {
		t.Fatalf("held: %v, %v", ok, err)
	}
	if got := keysOf(t, s); got != "a=old/1 gone=old/1" {
		t.Errorf("readers see %s", got)
	}
	put(t, s, "c", "a", "newer", 1)
	put(t, s, "c", "b", "newer", documents.Absent)
	if got := keysOf(t, s); got != "a=newer/2 b=newer/1 gone=old/1" {
		t.Errorf("readers see %s", got)
	}
}
