package pebble

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"heed/internal/documents"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/eventlog/eventlogtest"
	"heed/internal/inbox"
	"heed/internal/userstate"
)

// crashSeeds is how many random histories a test runs: few by default, as many
// as HEED_SOAK says in a long run.
func crashSeeds(t *testing.T, few int) int {
	t.Helper()
	if s := os.Getenv("HEED_SOAK"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("HEED_SOAK=%q: %v", s, err)
		}
		return max(n, few)
	}
	return few
}

// history is what the world outside knows: what was acknowledged to it.
type history struct {
	mu     sync.Mutex
	sent   map[string]int  // body -> partition; everything that was ever sent
	acked  map[string]bool // events
	ledger map[string]bool // durable documents, by fire id
	inbox  map[string]bool // messages, by fire id
}

func newHistory() *history {
	return &history{sent: map[string]int{}, acked: map[string]bool{}, ledger: map[string]bool{}, inbox: map[string]bool{}}
}

func (h *history) note(m map[string]bool, ids ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ids {
		m[id] = true
	}
}

// clone is what was acknowledged until now.
func (h *history) clone() *history {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := newHistory()
	maps.Copy(c.sent, h.sent)
	for from, to := range map[*map[string]bool]map[string]bool{&h.acked: c.acked, &h.ledger: c.ledger, &h.inbox: c.inbox} {
		for k := range *from {
			to[k] = true
		}
	}
	return c
}

// userOf is the user that a body speaks of.
func userOf(body string) string { return body[:strings.IndexByte(body, '/')] }

// The decider of these tests counts a user's events; each third one fires.
func fires(count int) bool { return count%3 == 0 }

func fireID(body string) string { return "fire-" + body }

// workload runs appenders, deciders and an engager until ctx ends.
func workload(ctx context.Context, t *testing.T, db *DB, h *history, seed uint64, round int) {
	t.Helper()
	var wg sync.WaitGroup
	partitions := db.Log().Partitions()
	for a := range 3 {
		wg.Go(func() {
			appender(ctx, t, db, h, rand.New(rand.NewPCG(seed, uint64(100*round+a))), fmt.Sprint(round, ".", a))
		})
	}
	for p := range partitions {
		wg.Go(func() { decide(ctx, t, db, p) })
		wg.Go(func() { engage(ctx, t, db, h, p) })
	}
	wg.Wait()
}

// over tells errors that the end of a test causes from others.
func over(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, eventlog.ErrClosed)
}

func appender(ctx context.Context, t *testing.T, db *DB, h *history, r *rand.Rand, name string) {
	var old []*eventlog.Batch
	for n := 0; ctx.Err() == nil; n++ {
		var batches []*eventlog.Batch
		var ids []string
		for range 1 + r.IntN(3) {
			p := r.IntN(db.Log().Partitions())
			var bodies []string
			for j := range 1 + r.IntN(4) {
				bodies = append(bodies, fmt.Sprintf("u%d.%d/%s.%d.%d.%d%s", p, r.IntN(5), name, n, len(batches), j, strings.Repeat("x", r.IntN(300))))
			}
			ids = append(ids, bodies...)
			batches = append(batches, eventlogtest.MakeBatch(p, bodies...))
			h.mu.Lock()
			for _, body := range bodies {
				h.sent[body] = p
			}
			h.mu.Unlock()
		}
		if len(old) > 0 && r.IntN(5) == 0 { // a client sends again
			batches = append(batches, old[r.IntN(len(old))])
		}
		if err := db.Log().Append(ctx, eventlog.Events, batches); err != nil {
			if !over(ctx, err) {
				t.Errorf("append: %v", err)
			}
			return
		}
		h.note(h.acked, ids...)
		old = append(old, batches[0])
	}
}

func decide(ctx context.Context, t *testing.T, db *DB, partition int) {
	p, err := db.UserState().Open(ctx, partition)
	if err != nil {
		if !over(ctx, err) {
			t.Errorf("open: %v", err)
		}
		return
	}
	defer func() { _ = p.Close() }()
	r, err := db.Log().Read(ctx, eventlog.Events, partition, p.Next())
	if err != nil {
		if !over(ctx, err) {
			t.Errorf("read: %v", err)
		}
		return
	}
	defer func() { _ = r.Close() }()
	for {
		c, err := r.Next(ctx)
		if err == nil {
			err = decideChunk(ctx, p, c)
		}
		if err != nil {
			if !over(ctx, err) {
				t.Errorf("decide: %v", err)
			}
			return
		}
	}
}

func decideChunk(ctx context.Context, p userstate.Partition, c eventlog.Chunk) error {
	bodies, err := eventlogtest.Bodies(c.Data)
	if err != nil {
		return err
	}
	step := userstate.Commit{Base: p.Next(), Next: c.Next()}
	counts := map[string]int{}
	for _, body := range bodies[p.Next()-c.Base:] {
		user := userOf(body)
		if _, ok := counts[user]; !ok {
			values, err := p.Load(ctx, userstate.Rows, []string{user})
			if err != nil {
				return err
			}
			counts[user], _ = strconv.Atoi(string(values[0]))
		}
		counts[user]++
		if fires(counts[user]) {
			step.Intents = append(step.Intents, event.Intent{FireID: fireID(body), User: user, Trigger: "third"})
		}
	}
	for user, n := range counts {
		step.Rows = append(step.Rows, userstate.Row{Kind: userstate.Rows, User: user, Value: []byte(strconv.Itoa(n))})
		step.Clear = append(step.Clear, userstate.Timer{Deadline: 1, User: user})
		step.Set = append(step.Set, userstate.Timer{Deadline: 1, User: user})
	}
	step.Meta = []byte(strconv.FormatUint(c.Next(), 10))
	return p.Commit(ctx, &step)
}

func engage(ctx context.Context, t *testing.T, db *DB, h *history, partition int) {
	r, err := db.Log().Read(ctx, eventlog.Intents, partition, 0)
	if err != nil {
		if !over(ctx, err) {
			t.Errorf("read intents: %v", err)
		}
		return
	}
	defer func() { _ = r.Close() }()
	for {
		c, err := r.Next(ctx)
		if err != nil {
			if !over(ctx, err) {
				t.Errorf("intents: %v", err)
			}
			return
		}
		for data := c.Data; len(data) > 0; {
			var in event.Intent
			n, err := event.DecodeIntent(data, &in)
			if err != nil {
				t.Errorf("intent: %v", err)
				return
			}
			data = data[n:]
			err = db.Documents().Apply(ctx, documents.Durable, documents.Write{
				Collection: "ledger", Key: in.FireID, Value: []byte(in.User), Expect: documents.Absent,
			})
			if err == nil || errors.Is(err, documents.ErrConflict) {
				h.note(h.ledger, in.FireID)
				_, err = db.Inbox().Put(ctx, inbox.Message{ID: in.FireID, User: in.User, Expires: 1 << 60})
			}
			if err != nil {
				if !over(ctx, err) {
					t.Errorf("engage: %v", err)
				}
				return
			}
			h.note(h.inbox, in.FireID)
		}
	}
}

// check compares what a database holds with what was acknowledged. It returns
// the first contradiction.
func check(ctx context.Context, db *DB, h *history) error {
	seen := map[string]bool{}
	intents := map[string]bool{}
	for p := range db.Log().Partitions() {
		bodies, err := recovered(ctx, db, p)
		if err != nil {
			return err
		}
		for _, body := range bodies {
			if seen[body] {
				return fmt.Errorf("event %.60q is there twice", body)
			}
			seen[body] = true
			if at, ok := h.sent[body]; !ok || at != p {
				return fmt.Errorf("event %.60q in partition %d was never sent there", body, p)
			}
		}
		if err := checkState(ctx, db, p, bodies, intents); err != nil {
			return err
		}
	}
	for body := range h.acked {
		if !seen[body] {
			return fmt.Errorf("acknowledged event %.60q is lost", body)
		}
	}
	if err := resend(ctx, db, h); err != nil {
		return err
	}
	for id := range h.ledger {
		if _, err := db.Documents().Get(ctx, "ledger", id); err != nil {
			return fmt.Errorf("acknowledged document: %w", err)
		}
	}
	docs, err := db.Documents().List(ctx, documents.Query{Collection: "ledger", Limit: 1 << 20})
	if err != nil {
		return err
	}
	for _, d := range docs {
		if !intents[d.Key] {
			return fmt.Errorf("%.60q was sent, but its intent is lost: it would be decided again", d.Key)
		}
	}
	for id := range h.inbox {
		if _, _, err := db.Inbox().Advance(ctx, id, inbox.Waiting); err != nil {
			return fmt.Errorf("acknowledged message: %w", err)
		}
	}
	return nil
}

// resend sends everything that was acknowledged once more.
func resend(ctx context.Context, db *DB, h *history) error {
	for body := range h.acked {
		b := eventlogtest.MakeBatch(h.sent[body], body)
		if err := db.Log().Append(ctx, eventlog.Events, []*eventlog.Batch{b}); err != nil {
			return err
		}
		if b.Duplicate == nil || !b.Duplicate[0] {
			return fmt.Errorf("event %.60q was taken twice", body)
		}
	}
	return nil
}

// recovered reads a partition's events.
func recovered(ctx context.Context, db *DB, partition int) ([]string, error) {
	at, err := db.Log().Bounds(ctx, eventlog.Events, partition)
	if err != nil {
		return nil, err
	}
	r, err := db.Log().Read(ctx, eventlog.Events, partition, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	var out []string
	for uint64(len(out)) < at.Next {
		c, err := r.Next(ctx)
		if err != nil {
			return nil, err
		}
		bodies, err := eventlogtest.Bodies(c.Data)
		if err != nil || c.Base != uint64(len(out)) {
			return nil, fmt.Errorf("chunk at %d behind %d events: %w", c.Base, len(out), err)
		}
		out = append(out, bodies...)
	}
	return out, nil
}

// checkState compares rows, timers, offset and outbox with a replay of the log.
func checkState(ctx context.Context, db *DB, partition int, bodies []string, intents map[string]bool) error {
	p, err := db.UserState().Open(ctx, partition)
	if err != nil {
		return err
	}
	defer func() { _ = p.Close() }()
	if p.Next() > uint64(len(bodies)) {
		return fmt.Errorf("partition %d: state is at %d, the log ends at %d", partition, p.Next(), len(bodies))
	}
	counts := map[string]int{}
	var outbox []string
	for _, body := range bodies[:p.Next()] {
		user := userOf(body)
		counts[user]++
		if fires(counts[user]) {
			outbox = append(outbox, fireID(body))
		}
	}
	rows, err := db.UserState().Scan(ctx, partition, userstate.Rows, "", "", 1000)
	if err != nil {
		return err
	}
	timers, err := p.Due(ctx, 10, 1000)
	if err != nil {
		return err
	}
	if len(rows) != len(counts) || len(timers) != len(counts) {
		return fmt.Errorf("partition %d at %d: %d rows and %d timers for %d users", partition, p.Next(), len(rows), len(timers), len(counts))
	}
	for _, r := range rows {
		if string(r.Value) != strconv.Itoa(counts[r.User]) {
			return fmt.Errorf("partition %d at %d: row of %s is %s, the log says %d", partition, p.Next(), r.User, r.Value, counts[r.User])
		}
	}
	if p.Next() > 0 && string(p.Meta()) != strconv.FormatUint(p.Next(), 10) {
		return fmt.Errorf("partition %d at %d: meta is %q", partition, p.Next(), p.Meta())
	}
	at, err := db.Log().Bounds(ctx, eventlog.Intents, partition)
	if err != nil {
		return err
	}
	r, err := db.Log().Read(ctx, eventlog.Intents, partition, 0)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	var got []string
	for next := uint64(0); next < at.Next; {
		c, err := r.Next(ctx)
		if err != nil {
			return err
		}
		next = c.Next()
		for data := c.Data; len(data) > 0; {
			var in event.Intent
			n, err := event.DecodeIntent(data, &in)
			if err != nil {
				return err
			}
			data = data[n:]
			got = append(got, in.FireID)
			intents[in.FireID] = true
		}
	}
	if len(got) != len(outbox) {
		return fmt.Errorf("partition %d at %d: %d intents, the log says %d", partition, p.Next(), len(got), len(outbox))
	}
	for i := range got {
		if got[i] != outbox[i] {
			return fmt.Errorf("partition %d: intent %d is %.60s, the log says %.60s", partition, i, got[i], outbox[i])
		}
	}
	return nil
}

// crash runs a random history with power cuts and returns the first
// contradiction.
func crash(t *testing.T, seed uint64, h hooks) error {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 0))
	fs := vfs.NewCrashableMem()
	known := newHistory()
	for round := range 3 {
		cfg := testConfig()
		h.bucketIDs = 250 // sealing is cut, too
		deps := testDeps(t, fs)
		db, err := open(cfg, deps, h)
		if err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			workload(ctx, t, db, known, seed, round)
		}()
		time.Sleep(time.Duration(1+r.IntN(20)) * time.Millisecond)
		// What is acknowledged before the cut must be there behind it.
		promised := known.clone()
		percent := []int{0, 0, 30, 70, 100}[r.IntN(5)]
		cut := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: r})
		cancel()
		<-done
		if err := db.Close(); err != nil {
			return fmt.Errorf("round %d: close: %w", round, err)
		}
		promised.mu.Lock()
		promised.sent = known.sent // sent during the cut: may be there
		promised.mu.Unlock()
		fs = cut
		db, err = open(cfg, testDeps(t, fs), hooks{bucketIDs: h.bucketIDs})
		if err != nil {
			return fmt.Errorf("round %d: recovery: %w", round, err)
		}
		err = errors.Join(check(t.Context(), db, promised), db.Close())
		if err != nil {
			return fmt.Errorf("round %d, %d %% of unsynced data kept: %w", round, percent, err)
		}
		known = promised
	}
	return nil
}

func TestCrash(t *testing.T) {
	for seed := range crashSeeds(t, 12) {
		if err := crash(t, uint64(seed), hooks{}); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// TestCrashSeesBrokenDrivers shows that the check above can fail.
func TestCrashSeesBrokenDrivers(t *testing.T) {
	for name, h := range map[string]hooks{
		"state and offset in two writes": {splitCommit: true},
		"acknowledged before the sync":   {skipSync: true},
	} {
		t.Run(name, func(t *testing.T) {
			const most = 200
			for seed := range most {
				if err := crash(t, uint64(seed), h); err != nil {
					t.Logf("seed %d: %v", seed, err)
					return
				}
			}
			t.Fatalf("%d power cuts found nothing", 3*most)
		})
	}
}
