package mongo

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"heed/internal/documents"
	"heed/internal/driver/mongo/mongotest"
	"heed/internal/driver/servertest"
)

// load is clients that write while servers fail, each documents of its own: a pair
// that changes together, and a ledger of ids that are claimed once. It holds the
// store to what it said: acknowledged is there, refused is not, and what is not
// known happened as a whole or not at all.
type load struct {
	t        *testing.T
	store    *Store
	stopping atomic.Bool
	clients  sync.WaitGroup

	acked, failed, unknown, happened atomic.Int64
	noticed                          atomic.Int64 // errors, before what is there is read

	mu  sync.Mutex
	ids []string // claimed in the ledger
}

const loadClients = 6

func startLoad(t *testing.T, s *Store) *load {
	w := &load{t: t, store: s}
	for i := range loadClients {
		w.clients.Go(func() { w.client(strconv.Itoa(i)) })
	}
	t.Cleanup(w.stop)
	return w
}

func (w *load) stop() {
	w.stopping.Store(true)
	w.clients.Wait()
}

func (w *load) client(name string) {
	pair := &subject{load: w, name: "the pair of " + name, read: func() (int64, bool) { return w.pair(name) }}
	for i := 0; !w.stopping.Load() && !w.t.Failed(); i++ {
		value := fmt.Sprint(name, " ", i)
		if !pair.write(documents.Durability(i%2 == 0), write("left", name, value, pair.version), write("right", name, value, pair.version)) {
			return
		}
		id := value
		entry := &subject{load: w, name: id, read: func() (int64, bool) { return w.version("ledger", id) }}
		for tries := 0; entry.version == 0; tries++ {
			if tries == 1000 {
				w.t.Errorf("%s is refused again and again: see what the server says", id)
				return
			}
			if !entry.write(documents.Durable, write("ledger", id, value, documents.Absent)) {
				return
			}
		}
		w.mu.Lock()
		w.ids = append(w.ids, id)
		w.mu.Unlock()
	}
}

// subject is what one client alone writes.
type subject struct {
	*load
	name    string
	read    func() (int64, bool)
	version int64
	doubt   bool // an earlier write may happen yet
}

// write tries once, and holds the answer against what is there. It is false if that
// cannot be read before the end.
func (s *subject) write(d documents.Durability, writes ...documents.Write) bool {
	err := s.store.Apply(s.t.Context(), d, writes...)
	if err == nil {
		s.version, s.doubt = s.version+1, false
		s.acked.Add(1)
		return true
	}
	s.noticed.Add(1)
	now, ok := s.read()
	unknown := errors.Is(err, ErrUnknown)
	switch {
	case !ok:
		return false
	case now == s.version+1 && (unknown || s.doubt):
		s.version, s.doubt = now, false
		s.happened.Add(1)
	case now != s.version:
		s.t.Errorf("%s: version %d, was %d, after %v", s.name, now, s.version, err)
	case errors.Is(err, documents.ErrConflict):
		s.t.Errorf("%s has version %d, as expected, and yet: %v", s.name, now, err)
	case unknown:
		s.doubt = true
	default:
		s.failed.Add(1)
	}
	if unknown {
		s.unknown.Add(1)
	}
	return true
}

// version reads a document's, 0 if there is none, as soon as a server answers.
func (w *load) version(collection, key string) (int64, bool) {
	for deadline := time.Now().Add(testWait); time.Now().Before(deadline); {
		d, err := w.store.Get(w.t.Context(), collection, key)
		if errors.Is(err, documents.ErrNotFound) {
			return 0, true
		}
		if err == nil {
			return d.Version, true
		}
		if w.stopping.Load() {
			return 0, false
		}
	}
	w.t.Errorf("%s/%s cannot be read for long", collection, key)
	return 0, false
}

// pair reads both halves, which must be of one version.
func (w *load) pair(name string) (int64, bool) {
	left, ok1 := w.version("left", name)
	right, ok2 := w.version("right", name)
	if ok1 && ok2 && left != right {
		w.t.Errorf("%s: half of a transaction: %d and %d", name, left, right)
	}
	return left, ok1 && ok2
}

// until waits for something that the load brings about.
func (w *load) until(what string, done func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(testWait); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) || w.t.Failed() {
			w.t.Fatalf("%s: not after %d acknowledged, %d failed, %d unknown", what, w.acked.Load(), w.failed.Load(), w.unknown.Load())
		}
	}
}

func (w *load) untilAcked(n int64) {
	w.t.Helper()
	n += w.acked.Load()
	w.until("writes go on", func() bool { return w.acked.Load() >= n })
}

// untilNoticed waits until a fault has failed n writes.
func (w *load) untilNoticed(n int64, fault func()) {
	w.t.Helper()
	n += w.noticed.Load()
	fault()
	w.until("clients notice", func() bool { return w.noticed.Load() >= n })
}

// end stops the clients and counts what is there.
func (w *load) end(what string) {
	w.t.Helper()
	w.stop()
	present := 0
	for _, id := range w.ids {
		if v, ok := w.version("ledger", id); ok && v == 1 {
			present++
		}
	}
	versions := int64(0)
	for i := range loadClients {
		v, _ := w.pair(strconv.Itoa(i))
		versions += v
	}
	want := w.acked.Load() + w.happened.Load()
	lost := want - versions - int64(present)
	w.t.Logf("%s: acknowledged %d, present %d, lost %d, doubled %d, failed and not there %d, unknown %d of which there %d",
		what, w.acked.Load(), versions+int64(present), max(0, lost), max(0, -lost), w.failed.Load(), w.unknown.Load(), w.happened.Load())
	if lost != 0 || present != len(w.ids) {
		w.t.Errorf("%d lost, %d of %d ids are there", lost, present, len(w.ids))
	}
	if w.acked.Load() == 0 {
		w.t.Error("nothing was acknowledged")
	}
}

func faultConfig(t *testing.T, server *mongotest.Server) Config {
	cfg := testConfig(t, server)
	cfg.Timeout = 2 * time.Second
	return cfg
}

// TestServerKilled: what was acknowledged survives that the server is killed, again
// and again.
func TestServerKilled(t *testing.T) {
	const kills = 4
	server := mongotest.Start(t)
	w := startLoad(t, open(t, faultConfig(t, server)))
	for range kills {
		w.untilAcked(60)
		w.untilNoticed(1, server.Kill)
		server.Restart()
	}
	w.untilAcked(60)
	w.end(fmt.Sprintf("server killed %d times", kills))
}

// TestNetworkCut: connections break in the midst of writes.
func TestNetworkCut(t *testing.T) {
	const cuts = 20
	server := mongotest.Start(t)
	p := servertest.NewProxy(t, server.Addr())
	cfg := faultConfig(t, server)
	cfg.URI = server.URI(p.Addr())
	w := startLoad(t, open(t, cfg))
	for range cuts {
		w.untilAcked(11)
		w.untilNoticed(1, p.Cut)
		p.Mend()
	}
	w.untilAcked(60)
	w.end(fmt.Sprintf("network cut %d times", cuts))
}

// TestServerPaused: a server that stands still for longer than clients wait may do
// what it was asked when it goes on.
func TestServerPaused(t *testing.T) {
	const pauses = 2
	server := mongotest.Start(t)
	w := startLoad(t, open(t, faultConfig(t, server)))
	for range pauses {
		w.untilAcked(60)
		w.untilNoticed(loadClients, server.Pause)
		server.Resume()
	}
	w.untilAcked(60)
	w.end(fmt.Sprintf("server paused %d times", pauses))
}

// transferring is the environment of a process that TestProcessKilled kills.
const transferring = "HEED_TEST_MONGO_TRANSFER"

const accounts = 4

// TestProcessKilled kills a process of Heed's in the midst of transactions: others
// go on, and no half of one stays.
func TestProcessKilled(t *testing.T) {
	if at := os.Getenv(transferring); at != "" {
		uri, database, _ := strings.Cut(at, " ")
		s := open(t, Config{URI: uri, Database: database, Standalone: true})
		for {
			transfer(t, s)
		}
	}
	const kills = 6
	server := mongotest.Start(t)
	cfg := testConfig(t, server)
	s := open(t, cfg)
	for i := range accounts {
		put(t, s, "accounts", strconv.Itoa(i), "100", documents.Absent)
	}
	total := func() (sum, writes int64) {
		docs, err := s.List(t.Context(), documents.Query{Collection: "accounts"})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range docs {
			n, err := strconv.ParseInt(string(d.Value), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			sum += n
			writes += d.Version
		}
		return sum, writes
	}
	left := 0
	for range kills {
		child := exec.Command(os.Args[0], "-test.run=^TestProcessKilled$") // killed below
		child.Env = append(os.Environ(), transferring+"="+cfg.URI+" "+cfg.Database)
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		_, before := total()
		for deadline := time.Now().Add(testWait); ; time.Sleep(time.Millisecond) {
			if _, now := total(); now > before+50 {
				break
			}
			if time.Now().After(deadline) {
				t.Error("the process does nothing")
				break
			}
		}
		_ = child.Process.Kill() // it does not end by itself
		_ = child.Wait()
		for i := range accounts { // whatever it left at work, writers get on
			for {
				d, err := s.Get(t.Context(), "accounts", strconv.Itoa(i))
				if err != nil {
					t.Fatal(err)
				}
				p := s.place("accounts")
				id, _ := p.id(d.Key)
				if st, err := read(t.Context(), &p, id); err == nil && st.pending() {
					left++
				}
				err = s.Apply(t.Context(), documents.Relaxed, write("accounts", d.Key, string(d.Value), d.Version))
				if err == nil {
					break
				}
				if !errors.Is(err, documents.ErrConflict) {
					t.Fatal(err)
				}
			}
		}
		if sum, _ := total(); sum != 100*accounts {
			t.Fatalf("the sum is %d, want %d", sum, 100*accounts)
		}
	}
	_, writes := total()
	t.Logf("process killed %d times: %d documents written, %d left at work, all got free, sum kept", kills, writes, left)
}

// transfer moves one from an account to another.
func transfer(t *testing.T, s *Store) {
	for from := range accounts {
		keys := []string{strconv.Itoa(from), strconv.Itoa((from + 1) % accounts)}
		writes := make([]documents.Write, 2)
		for i, key := range keys {
			d, err := s.Get(t.Context(), "accounts", key)
			if err != nil {
				t.Fatal(err)
			}
			n, err := strconv.Atoi(string(d.Value))
			if err != nil {
				t.Fatal(err)
			}
			writes[i] = write("accounts", key, strconv.Itoa(n-1+2*i), d.Version)
		}
		slices.Reverse(writes)
		if err := s.Apply(t.Context(), documents.Relaxed, writes...); err != nil && !errors.Is(err, documents.ErrConflict) {
			t.Fatal(err)
		}
	}
}
