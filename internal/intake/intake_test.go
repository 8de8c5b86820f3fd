package intake_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"heed/internal/console/api"
	"heed/internal/documents"
	"heed/internal/driver/memory"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/intake"
	"heed/internal/profile"
	"heed/internal/reach"
)

// shop imports on stores in memory.
type shop struct {
	t     *testing.T
	db    *memory.DB
	book  *reach.Book
	now   atomic.Int64 // µs
	m     *intake.Importer
	log   eventlog.Log
	seeds byte
	most  int64

	shared bool // other processes may import too
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{t: t, db: memory.Open(memory.Config{})}
	s.log = s.db.Log()
	s.now.Store(time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC).UnixMicro())
	var err error
	s.book, err = reach.New(reach.Deps{Documents: s.db.Documents(), Log: s.db.Log(), Secret: []byte("0123456789abcdef"), Clock: s.clock})
	if err != nil {
		t.Fatal(err)
	}
	s.build()
	return s
}

func (s *shop) clock() time.Time { return time.UnixMicro(s.now.Load()) }

func (s *shop) build() {
	var err error
	s.m, err = intake.Open(s.t.Context(), intake.Deps{
		MaxBytes: s.most, Log: s.log, Documents: s.db.Documents(), Book: s.book, Logger: slog.New(slog.DiscardHandler), Clock: s.clock, Alone: !s.shared,
		Random: func(b []byte) { s.seeds++; b[0] = s.seeds },
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// run works until the returned function is called.
func (s *shop) run() (stop func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	m := s.m
	go func() { done <- m.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	})
	s.t.Cleanup(stop)
	return stop
}

func (s *shop) upload(file string) api.Import {
	s.t.Helper()
	got, err := s.m.Upload(s.t.Context(), "crm.csv", strings.NewReader(file))
	if err != nil {
		s.t.Fatal(err)
	}
	return got
}

func (s *shop) start(id string, p api.ImportPlan) api.Import {
	s.t.Helper()
	got, err := s.m.Start(s.t.Context(), id, &p)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.ended(got.Id)
}

// ended waits for an import to stop working.
func (s *shop) ended(id string) api.Import {
	s.t.Helper()
	wake, cancel := s.db.Documents().Watch("imports")
	defer cancel()
	for {
		got, err := s.m.Import(s.t.Context(), id)
		if err != nil {
			s.t.Fatal(err)
		}
		if got.State != api.ImportChecking && got.State != api.ImportRunning {
			return got
		}
		select {
		case <-wake:
		case <-time.After(20 * time.Second):
			s.t.Fatalf("import %s is still at %+v", id, got)
		}
	}
}

// whole is the dry run and the import.
func (s *shop) whole(file string, p api.ImportPlan) api.Import {
	s.t.Helper()
	id := s.upload(file).Id
	p.DryRun = true
	if got := s.start(id, p); got.State != api.ImportChecked {
		s.t.Fatalf("the dry run: %+v", got)
	}
	p.DryRun = false
	return s.start(id, p)
}

// users are the profiles that the log comes to, as the Decider would make them.
func (s *shop) users() map[string]*profile.Profile {
	s.t.Helper()
	out := map[string]*profile.Profile{}
	for _, e := range s.events() {
		p := out[e.UserID]
		if p == nil {
			p = &profile.Profile{}
			out[e.UserID] = p
		}
		p.Apply(&e)
	}
	return out
}

func (s *shop) events() (out []event.Event) {
	s.t.Helper()
	for p := range s.db.Log().Partitions() {
		r, err := s.db.Log().Read(s.t.Context(), eventlog.Events, p, 0)
		if err != nil {
			s.t.Fatal(err)
		}
		for {
			c, ok, err := r.TryNext()
			if err != nil {
				s.t.Fatal(err)
			}
			if !ok {
				break
			}
			d := event.NewDecoder(c.Data)
			for {
				var e event.Event
				if ok, err := d.Next(&e); err != nil || !ok {
					break
				}
				out = append(out, e)
			}
		}
		if err := r.Close(); err != nil {
			s.t.Fatal(err)
		}
	}
	return out
}

func userPlan() api.ImportPlan {
	return api.ImportPlan{
		Kind: api.ImportUsers, ConsentSource: "newsletter form", ConsentWording: "Write to me",
		Columns: map[string]string{"id": "userId", "mail": "email", "mobile": "phone", "plan": "trait:plan", "zip": "trait:zip", "news": "consent:email", "since": "consentAt"},
	}
}

const crm = "id;mail;mobile;plan;zip;news;since;unused\n" +
	"u1;Ann@Shop.example;+49 151 12345678;gold;01234;yes;2026-05-01;x\n" +
	"u2;ben@shop.example;;3;99;no;;\n" +
	"\"u3\";;;true;;yes;;\"a;\"\"b\"\"\nc\"\n" +
	"null;a@b.example;;;;;;\n" +
	"u5;not an address;;;;;;\n" +
	"u6;;0151;;;;;\n" +
	"u7;;;;;perhaps;;\n" +
	"u8;;;;;yes;yesterday;\n" +
	"u9;short\n"

func TestUsers(t *testing.T) {
	s := newShop(t)
	s.run()
	id := s.upload(crm).Id
	plan := userPlan()
	if _, err := s.m.Start(t.Context(), id, &plan); err == nil || !strings.Contains(err.Error(), "dry run") {
		t.Errorf("an import before its dry run: %v", err)
	}
	dry := plan
	dry.DryRun = true
	got := s.start(id, dry)
	if got.State != api.ImportChecked || got.Rows != 9 || got.Imported != 3 || got.Wrong != 6 {
		t.Errorf("the dry run: %+v", got)
	}
	if n := len(s.events()); n != 0 {
		t.Errorf("the dry run made %d events", n)
	}
	got = s.start(id, plan)
	if got.State != api.ImportDone || got.Rows != 9 || got.Imported != 3 || got.Wrong != 6 || got.DoneBytes != int64(len(crm)) {
		t.Errorf("the import: %+v", got)
	}
	wrong := ""
	for _, e := range got.Errors {
		wrong += fmt.Sprintf("%d %s: %s\n", e.Row, e.Column, e.Message)
	}
	if want := `5 id: "null" is nobody's id
6 mail: "not an address" is not an e-mail address like ann@shop.example
7 mobile: "0151" is not a number with its country code, like +49 151 2345678
8 news: "perhaps" is neither yes nor no
9 since: "yesterday" is no time: 2026-11-27, or 2026-11-27T18:00:00Z
10 : it has 2 columns, and the titles are 8
`; wrong != want {
		t.Errorf("the errors:\n%s", wrong)
	}
	list, err := s.m.Errors(t.Context(), id)
	if err != nil || strings.Count(list.String(), "\n") != 7 || !strings.HasPrefix(list.String(), "row,column,message\n5,id,") {
		t.Errorf("the list of errors: %s, %v", list, err)
	}

	users := s.users()
	u1, u2, u3 := users["u1"], users["u2"], users["u3"]
	if len(users) != 3 || !u1.Email.Verified || u1.Email.Value != "Ann@shop.example" || u1.Phone.Value != "+4915112345678" {
		t.Fatalf("%d users, u1 %+v", len(users), u1)
	}
	if u1.Trait("plan") != `"gold"` || u1.Trait("zip") != `"01234"` || u2.Trait("plan") != "3" || u2.Trait("zip") != "99" || u3.Trait("plan") != "true" {
		t.Errorf("traits %s %s %s", u1.AppendTraits(nil), u2.AppendTraits(nil), u3.AppendTraits(nil))
	}
	for _, e := range s.events() {
		if !e.Context.Historical || !e.Context.Verified || e.Type != event.Identify || profile.Counts(&e) {
			t.Errorf("an event %+v", e)
		}
	}
	if u1.LastSeen != 0 || u1.FirstSeen != s.now.Load() {
		t.Errorf("first seen %d, last seen %d", u1.FirstSeen, u1.LastSeen)
	}
	var said struct {
		Granted         bool
		Source, Wording string
	}
	value, at := u1.ConsentAt("email")
	if err := json.Unmarshal([]byte(value), &said); err != nil || !said.Granted || said.Source != "newsletter form" || said.Wording != "Write to me" ||
		at != time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC).UnixMicro() {
		t.Errorf("consent %s at %d", value, at)
	}
	if _, at := u3.ConsentAt("email"); at != 1 {
		t.Errorf("a yes without a time holds since %d", at)
	}
	if _, at := u2.ConsentAt("email"); at != s.now.Load() {
		t.Errorf("a no without a time holds since %d", at)
	}
}

// The same file again is the same import, and changes nothing.
func TestAgain(t *testing.T) {
	s := newShop(t)
	s.run()
	first := s.whole(crm, userPlan())
	events := len(s.events())
	s.now.Add(time.Hour.Microseconds())
	if _, err := s.m.Start(t.Context(), first.Id, &api.ImportPlan{Kind: api.ImportUsers, Columns: map[string]string{"id": "userId"}}); err == nil || !strings.Contains(err.Error(), "not kept") {
		t.Errorf("a file that is gone: %v", err)
	}
	again := s.whole(crm, userPlan())
	if again.Id != first.Id || again.State != api.ImportDone || again.Imported != first.Imported {
		t.Errorf("again: %+v", again)
	}
	if n := len(s.events()); n != events {
		t.Errorf("%d events, then %d", events, n)
	}
	all, err := s.m.Imports(t.Context())
	if err != nil || len(all) != 1 {
		t.Errorf("%d imports, %v", len(all), err)
	}
	parts, err := s.db.Documents().List(t.Context(), documents.Query{Collection: "import_bytes"})
	if err != nil || len(parts) != 0 {
		t.Errorf("%d parts of the file are left, %v", len(parts), err)
	}
}

func TestSuppressions(t *testing.T) {
	s := newShop(t)
	s.run()
	got := s.whole("\ufeff\"address\",why\nann@shop.example,\nBEN@shop.example,hard_bounce\ncy@shop.example,whim\n,\n",
		api.ImportPlan{Kind: api.ImportSuppressions, Columns: map[string]string{"address": "email", "why": "reason"}})
	if got.State != api.ImportDone || got.Imported != 2 || got.Wrong != 2 {
		t.Errorf("%+v", got)
	}
	f := func(address string, want ...reach.Why) {
		t.Helper()
		list, err := s.book.Lookup(t.Context(), "email", address)
		if err != nil || len(list) != len(want) || len(want) > 0 && list[0].Why != want[0] {
			t.Errorf("%s: %+v, %v", address, list, err)
		}
	}
	f("ann@shop.example", reach.Unsubscribed)
	f("ben@shop.example", reach.HardBounce)
	f("cy@shop.example")
}

// flaky fails the appends that it is told to.
type flaky struct {
	eventlog.Log
	left   atomic.Int64 // appends until it fails
	fail   atomic.Bool
	failed chan struct{} // once it has
}

func (f *flaky) Append(ctx context.Context, s eventlog.Stream, b []*eventlog.Batch) error {
	if f.left.Add(-1) < 0 && f.fail.Load() {
		select {
		case f.failed <- struct{}{}:
		default:
		}
		return eventlog.ErrDiskFull
	}
	return f.Log.Append(ctx, s, b)
}

func many(n int) string {
	var b strings.Builder
	b.WriteString("id,name\n")
	for i := range n {
		fmt.Fprintf(&b, "u%d,\"name, %d\"\n", i, i)
	}
	return b.String()
}

// An import that was interrupted anywhere goes on behind what is done: each row is
// one event.
func TestInterrupted(t *testing.T) {
	s := newShop(t)
	f := &flaky{Log: s.db.Log(), failed: make(chan struct{}, 1)}
	s.log = f
	s.build()
	plan := api.ImportPlan{Kind: api.ImportUsers, Columns: map[string]string{"id": "userId", "name": "trait:name"}}
	stop := s.run()
	id := s.upload(many(2600)).Id
	dry := plan
	dry.DryRun = true
	s.start(id, dry)
	f.left.Store(2)
	f.fail.Store(true)
	if _, err := s.m.Start(t.Context(), id, &plan); err != nil {
		t.Fatal(err)
	}
	<-f.failed
	stop()
	got, err := s.m.Import(t.Context(), id)
	if err != nil || got.State != api.ImportRunning || got.Rows != 1000 {
		t.Fatalf("interrupted at %+v, %v", got, err)
	}
	f.fail.Store(false)
	s.build()
	s.run()
	if got := s.ended(id); got.State != api.ImportDone || got.Imported != 2600 || got.Wrong != 0 {
		t.Errorf("%+v", got)
	}
	if users := s.users(); len(users) != 2600 || users["u2599"].Trait("name") != `"name, 2599"` || len(s.events()) != 2600 {
		t.Errorf("%d users of %d events", len(users), len(s.events()))
	}
}

func TestCancel(t *testing.T) {
	s := newShop(t)
	plan := api.ImportPlan{DryRun: true, Kind: api.ImportUsers, Columns: map[string]string{"id": "userId"}}
	id := s.upload(many(10)).Id
	if _, err := s.m.Start(t.Context(), id, &plan); err != nil { // nobody works
		t.Fatal(err)
	}
	if _, err := s.m.Start(t.Context(), id, &plan); err == nil {
		t.Error("it began twice")
	}
	if err := s.m.Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if got := s.ended(id); got.State != api.ImportCancelled {
		t.Errorf("%+v", got)
	}
	if err := s.m.Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := s.m.Import(t.Context(), id); err == nil {
		t.Error("it was not forgotten")
	}
	parts, err := s.db.Documents().List(t.Context(), documents.Query{Collection: "import_bytes"})
	if err != nil || len(parts) != 0 {
		t.Errorf("%d parts of the file are left, %v", len(parts), err)
	}
}

func TestWrongFilesAndPlans(t *testing.T) {
	s := newShop(t)
	file := func(text, want string) {
		t.Helper()
		_, err := s.m.Upload(t.Context(), "x", strings.NewReader(text))
		if r, ok := errors.AsType[*api.Refusal](err); !ok || r.Status != http.StatusBadRequest || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %s", text, err, want)
		}
	}
	file("", "titles")
	file("a,,b\n", "needs a title")
	file("a,a\n", "two columns")
	file("a\n\xffb\nc\nd\n", "UTF-8")
	for _, end := range []string{"K\u00f6ln\n", "K\u00f6", "\u20ac", "\U0001f600x"} {
		s.upload("id\nx,\n" + end)
	}
	file("\xff\xfea\x00,\x00b\x00", "UTF-8")
	file(strings.Repeat("a,", 200)+"b\n", "at most 100")
	id := s.upload("id,mail,x\n").Id
	plan := func(kind api.ImportPlanKind, want string, columns ...string) {
		t.Helper()
		p := api.ImportPlan{Kind: kind, DryRun: true, Columns: map[string]string{}}
		for i := 0; i < len(columns); i += 2 {
			p.Columns[columns[i]] = columns[i+1]
		}
		if _, err := s.m.Start(t.Context(), id, &p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %s", columns, err, want)
		}
	}
	plan("things", "no kind")
	plan(api.ImportUsers, "userId")
	plan(api.ImportUsers, "no column", "nobody", "userId")
	plan(api.ImportUsers, "cannot be", "id", "userId", "x", "y")
	plan(api.ImportUsers, "cannot be", "id", "userId", "x", "trait:email")
	plan(api.ImportUsers, "cannot be", "id", "userId", "x", "consent:gpc")
	plan(api.ImportUsers, "two columns", "id", "userId", "x", "userId")
	plan(api.ImportUsers, "consentSource", "id", "userId", "x", "consent:email")
	plan(api.ImportSuppressions, "address")
	plan(api.ImportSuppressions, "one of them", "mail", "email", "x", "sms")
}

// A quote that is never closed does not gather the file in memory.
func TestOpenQuote(t *testing.T) {
	s := newShop(t)
	s.run()
	id := s.upload("id,x\nu1,a\nu2,\"" + strings.Repeat("b\n", 1<<20)).Id
	got := s.start(id, api.ImportPlan{DryRun: true, Kind: api.ImportUsers, Columns: map[string]string{"id": "userId"}})
	if got.State != api.ImportFailed || !strings.Contains(got.Error, "row 3: ") || !strings.Contains(got.Error, "quote") || got.Imported != 1 {
		t.Errorf("%+v", got)
	}
}

// zeros is a file without an end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestTooLarge(t *testing.T) {
	s := newShop(t)
	s.most = 2 << 20
	s.build()
	_, err := s.m.Upload(t.Context(), "x", io.MultiReader(strings.NewReader("id\n"), zeros{}))
	if r, ok := errors.AsType[*api.Refusal](err); !ok || r.Status != http.StatusRequestEntityTooLarge {
		t.Errorf("%v", err)
	}
	parts, err := s.db.Documents().List(t.Context(), documents.Query{Collection: "import_bytes"})
	if err != nil || len(parts) != 0 {
		t.Errorf("%d parts of the file are left, %v", len(parts), err)
	}
}

// What an upload has left that was cut off by a crash is removed at the start.
func TestLeftOvers(t *testing.T) {
	s := newShop(t)
	id := s.upload(crm).Id
	w := documents.Write{Collection: "import_bytes", Key: "ff/00000000", Value: []byte("id\n"), Expect: documents.Any}
	if err := s.db.Documents().Apply(t.Context(), documents.Durable, w); err != nil {
		t.Fatal(err)
	}
	s.build()
	parts, err := s.db.Documents().List(t.Context(), documents.Query{Collection: "import_bytes"})
	if err != nil || len(parts) != 1 || strings.HasPrefix(parts[0].Key, "ff/") {
		t.Errorf("parts %v, %v", parts, err)
	}
	s.run()
	plan := userPlan()
	plan.DryRun = true
	if got := s.start(id, plan); got.State != api.ImportChecked {
		t.Errorf("%+v", got)
	}
}
