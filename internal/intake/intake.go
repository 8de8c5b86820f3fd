// Package intake owns imports of files: CSV files of users become historical
// events in the log that say what identify events say and are no activity
// (event.NameImported), those of addresses go to the list of what is
// suppressed. A process works at one file at a time, in the background; a restart
// goes on where it had come to, and the same file again changes nothing.
//
// Where several processes have an Importer on the same documents, one of them works
// on a file: it claims it, each step that it keeps shows that it lives, and only
// who has seen the newest step can keep the next. Another one goes on once the
// claimant has been silent for a while. What a process still does that has lost its
// claim is a repeat: of events with the same ids, and of the same suppressions.
//
// It does not own what an address is (reach), or what events do (decider).
package intake

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"heed/internal/console/api"
	"heed/internal/documents"
	"heed/internal/eventlog"
	"heed/internal/reach"
)

// Collections of imports.
const (
	collImports = "imports"       // id -> head
	collBytes   = "import_bytes"  // data, number -> a part of the file; gone once it is done
	collErrors  = "import_errors" // id, number -> rows that were left out
)

// Bounds of imports.
const (
	MaxFileBytes = 256 << 20
	maxImports   = 50
	maxColumns   = 100
	maxRowBytes  = 256 << 10
	maxErrors    = 10_000 // that are kept
	shownErrors  = 20     // that the head holds
	sampleRows   = 5
	sampleBytes  = 80 // of a cell
	partBytes    = 512 << 10
	batchRows    = 500
	pace         = 25 * time.Millisecond // between batches: live events go first
	retry        = time.Second
	lost         = 15 * time.Second // a claimant who keeps nothing for so long is gone
	release      = 2 * time.Second  // to give a claim back
	cutOff       = 24 * time.Hour   // no upload takes so long
)

// Book takes addresses onto the list of what is suppressed: a reach.Book.
type Book interface {
	Hear(ctx context.Context, list []reach.Heard) error
}

// Deps is what an Importer works with.
type Deps struct {
	Log       eventlog.Log
	Documents documents.Store
	Book      Book
	Logger    *slog.Logger
	Clock     func() time.Time
	Random    func(b []byte)
	MaxBytes  int64 // of a file; 0: MaxFileBytes
	// Alone: no other process has an Importer on these documents.
	Alone bool
}

// Importer keeps files and works them off. It may be used concurrently; Run once.
type Importer struct {
	deps Deps
	id   string // of this process, in claims
	seen map[string]sighting
}

// sighting is when another process's claim on an import was last seen to move.
type sighting struct {
	version int64
	at      time.Time
}

// Open makes an Importer, and removes what uploads have left that were cut off.
func Open(ctx context.Context, deps Deps) (*Importer, error) {
	deps.MaxBytes = cmp.Or(deps.MaxBytes, MaxFileBytes)
	m := &Importer{deps: deps, seen: map[string]sighting{}}
	m.id = m.random()
	return m, m.sweep(ctx)
}

func (m *Importer) random() string {
	var b [12]byte
	m.deps.Random(b[:])
	return hex.EncodeToString(b[:])
}

// head is how an import stands. Times are µs since the Unix epoch.
type head struct {
	ID       string            `json:"id"` // hash of the file
	Name     string            `json:"name"`
	Data     string            `json:"data,omitempty"` // key of the file's parts; "": they are gone
	Parts    int               `json:"parts"`
	Bytes    int64             `json:"bytes"`
	Mark     int64             `json:"mark,omitempty"` // bytes of a byte order mark
	Columns  []string          `json:"columns"`
	Comma    rune              `json:"comma"`
	Sample   [][]string        `json:"sample"`
	State    api.ImportState   `json:"state"`
	By       string            `json:"by,omitempty"` // the process that works on it; "": none does yet
	Plan     *api.ImportPlan   `json:"plan,omitempty"`
	Uploaded int64             `json:"uploaded"`
	Began    int64             `json:"began,omitempty"` // time of the events: of the first import, so that a repeat is none
	Started  int64             `json:"started,omitempty"`
	Ended    int64             `json:"ended,omitempty"`
	Next     int64             `json:"next"` // byte behind the last row that is done
	Rows     int64             `json:"rows"`
	Imported int64             `json:"imported"`
	Wrong    int64             `json:"wrong"`
	Pages    int               `json:"pages"` // of errors
	First    []api.ImportError `json:"first,omitempty"`
	Error    string            `json:"error,omitempty"`
}

func (h *head) works() bool { return h.State == api.ImportChecking || h.State == api.ImportRunning }

func (h *head) shown() api.Import {
	out := api.Import{
		Id: h.ID, Name: h.Name, State: h.State, Columns: h.Columns, Sample: h.Sample, Bytes: h.Bytes, DoneBytes: h.Next,
		UploadedAt: api.Time(h.Uploaded), StartedAt: api.Time(h.Started), EndedAt: api.Time(h.Ended), Rows: h.Rows,
		Imported: h.Imported, Wrong: h.Wrong, Errors: append([]api.ImportError{}, h.First...), Error: h.Error,
	}
	if h.Plan != nil {
		out.Plan = *h.Plan
	}
	return out
}

func (h *head) write(expect int64) (documents.Write, error) {
	value, err := json.Marshal(h)
	if err != nil {
		return documents.Write{}, fmt.Errorf("intake: encode import %s: %w", h.ID, err)
	}
	return documents.Write{Collection: collImports, Key: h.ID, Value: value, Expect: expect}, nil
}

// read finds an import; version 0 if there is none.
func (m *Importer) read(ctx context.Context, id string) (h head, version int64, err error) {
	d, err := m.deps.Documents.Get(ctx, collImports, id)
	if errors.Is(err, documents.ErrNotFound) {
		return h, 0, nil
	}
	if err == nil {
		err = json.Unmarshal(d.Value, &h)
	}
	if err != nil {
		return h, 0, fmt.Errorf("intake: read import %s: %w", id, err)
	}
	return h, d.Version, nil
}

func notFound() error {
	return api.Fail(http.StatusNotFound, "not_found", "there is no such import", "upload the file again")
}

func bad(format string, args ...any) error {
	return api.Fail(http.StatusBadRequest, "bad_request", fmt.Sprintf(format, args...), "")
}

// dataTime is how many hexadecimal digits of the time of its upload, in seconds, the
// key of a file's parts begins with.
const dataTime = 10

func partKey(data string, number int) string { return fmt.Sprintf("%s/%08x", data, number) }

// Upload keeps a file. The same content is the same import.
func (m *Importer) Upload(ctx context.Context, name string, body io.Reader) (api.Import, error) {
	all, err := m.heads(ctx)
	if err != nil {
		return api.Import{}, err
	}
	if len(all) >= maxImports {
		return api.Import{}, api.Fail(http.StatusConflict, "conflict", fmt.Sprintf("there are %d imports already", len(all)), "forget some of them")
	}
	now := m.deps.Clock()
	h := head{Name: name, Data: fmt.Sprintf("%0*x", dataTime, now.Unix()) + m.random(), State: api.ImportUploaded, Uploaded: now.UnixMicro()}
	keep := false
	defer func() {
		if !keep {
			m.forget(context.WithoutCancel(ctx), collBytes, h.Data)
		}
	}()
	sum := sha256.New()
	part, start := make([]byte, partBytes), []byte(nil)
	for {
		n, err := io.ReadFull(body, part)
		if n > 0 {
			if h.Bytes += int64(n); h.Bytes > m.deps.MaxBytes {
				return api.Import{}, api.Fail(http.StatusRequestEntityTooLarge, "too_large", fmt.Sprintf("the file is larger than %d MB", m.deps.MaxBytes>>20), "split it")
			}
			if h.Parts == 0 {
				start = slices.Clone(part[:n])
			}
			_, _ = sum.Write(part[:n]) // never fails
			w := documents.Write{Collection: collBytes, Key: partKey(h.Data, h.Parts), Value: slices.Clone(part[:n]), Expect: documents.Absent}
			if err := m.deps.Documents.Apply(ctx, documents.Relaxed, w); err != nil {
				return api.Import{}, fmt.Errorf("intake: keep the file: %w", err)
			}
			h.Parts++
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return api.Import{}, fmt.Errorf("intake: read the file: %w", err)
		}
	}
	h.ID = hex.EncodeToString(sum.Sum(nil)[:16])
	if err := h.look(start); err != nil {
		return api.Import{}, err
	}
	for {
		was, version, err := m.read(ctx, h.ID)
		if err != nil {
			return api.Import{}, err
		}
		if version != 0 {
			if was.Data != "" || was.works() {
				return was.shown(), nil
			}
			was.Data, was.Parts = h.Data, h.Parts
			h = was
		}
		w, err := h.write(version)
		if err == nil {
			err = m.deps.Documents.Apply(ctx, documents.Durable, w)
		}
		if errors.Is(err, documents.ErrConflict) { // somebody else uploads the same
			continue
		}
		if err != nil {
			return api.Import{}, fmt.Errorf("intake: keep the import: %w", err)
		}
		keep = true
		return h.shown(), nil
	}
}

// forget removes the documents below a key.
func (m *Importer) forget(ctx context.Context, collection, key string) {
	for {
		docs, err := m.deps.Documents.List(ctx, documents.Query{Collection: collection, Prefix: key + "/", Limit: 100})
		if err != nil || len(docs) == 0 {
			return // what is left over is swept at the next start
		}
		writes := make([]documents.Write, len(docs))
		for i, d := range docs {
			writes[i] = documents.Write{Collection: collection, Key: d.Key, Expect: documents.Any}
		}
		if m.deps.Documents.Apply(ctx, documents.Relaxed, writes...) != nil {
			return
		}
	}
}

func (m *Importer) heads(ctx context.Context) ([]head, error) {
	docs, err := m.deps.Documents.List(ctx, documents.Query{Collection: collImports})
	if err != nil {
		return nil, fmt.Errorf("intake: list imports: %w", err)
	}
	out := make([]head, len(docs))
	for i, d := range docs {
		if err := json.Unmarshal(d.Value, &out[i]); err != nil {
			return nil, fmt.Errorf("intake: read import %s: %w", d.Key, err)
		}
	}
	slices.SortFunc(out, func(a, b head) int { return cmp.Compare(b.Uploaded, a.Uploaded) })
	return out, nil
}

// Imports lists them, newest first.
func (m *Importer) Imports(ctx context.Context) ([]api.Import, error) {
	all, err := m.heads(ctx)
	out := make([]api.Import, len(all))
	for i := range all {
		out[i] = all[i].shown()
	}
	return out, err
}

// Import is one of them.
func (m *Importer) Import(ctx context.Context, id string) (api.Import, error) {
	h, version, err := m.read(ctx, id)
	if err == nil && version == 0 {
		err = notFound()
	}
	return h.shown(), err
}

// Errors writes the rows that were left out as CSV.
func (m *Importer) Errors(ctx context.Context, id string) (*bytes.Buffer, error) {
	h, version, err := m.read(ctx, id)
	if err == nil && version == 0 {
		err = notFound()
	}
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := writeErrors(&b, func(yield func(api.ImportError) bool) error {
		for n := range h.Pages {
			d, err := m.deps.Documents.Get(ctx, collErrors, partKey(id, n))
			if err != nil {
				return fmt.Errorf("intake: read the errors of %s: %w", id, err)
			}
			var page []api.ImportError
			if err := json.Unmarshal(d.Value, &page); err != nil {
				return fmt.Errorf("intake: read the errors of %s: %w", id, err)
			}
			for _, e := range page {
				if !yield(e) {
					return nil
				}
			}
		}
		return nil
	}); err != nil {
		return nil, err
	}
	return &b, nil
}

// Start begins the dry run, or the import that a dry run by the same plan came
// before.
func (m *Importer) Start(ctx context.Context, id string, plan *api.ImportPlan) (api.Import, error) {
	return m.change(ctx, id, func(h *head) error {
		if h.works() {
			return api.Fail(http.StatusConflict, "busy", "it works already", "wait, or cancel it")
		}
		if h.Data == "" {
			return api.Fail(http.StatusConflict, "conflict", "the file is not kept any more", "upload it again: what was imported is not imported twice")
		}
		if _, err := planOf(h.Columns, plan); err != nil {
			return err
		}
		checked := h.Plan != nil && same(h.Plan, plan) && (h.State == api.ImportChecked || h.Began != 0)
		if !plan.DryRun && !checked {
			return api.Fail(http.StatusConflict, "conflict", "nothing is imported before a dry run with the same columns", "send it with dryRun first")
		}
		now := m.deps.Clock().UnixMicro()
		h.State = api.ImportChecking
		if !plan.DryRun {
			h.State = api.ImportRunning
			h.Began = cmp.Or(h.Began, now)
		} else if h.Plan == nil || !same(h.Plan, plan) {
			h.Began = 0
		}
		h.Plan, h.By = plan, ""
		h.Started, h.Ended, h.Next, h.Rows, h.Imported, h.Wrong, h.Pages, h.First, h.Error = now, 0, 0, 0, 0, 0, 0, nil, ""
		return nil
	})
}

// Cancel stops an import that works, and forgets another one.
func (m *Importer) Cancel(ctx context.Context, id string) error {
	forget := false
	h, err := m.change(ctx, id, func(h *head) error {
		if forget = !h.works(); !forget {
			h.State, h.Ended = api.ImportCancelled, m.deps.Clock().UnixMicro()
		}
		return nil
	})
	if err != nil || !forget {
		return err
	}
	data, _, err := m.read(ctx, h.Id)
	if err != nil {
		return err
	}
	if err := m.deps.Documents.Apply(ctx, documents.Durable, documents.Write{Collection: collImports, Key: id, Expect: documents.Any}); err != nil {
		return fmt.Errorf("intake: forget import %s: %w", id, err)
	}
	if data.Data != "" {
		m.forget(ctx, collBytes, data.Data)
	}
	m.forget(ctx, collErrors, id)
	return nil
}

// change reads, changes and durably writes a head.
func (m *Importer) change(ctx context.Context, id string, do func(h *head) error) (api.Import, error) {
	for {
		h, version, err := m.read(ctx, id)
		if err != nil {
			return api.Import{}, err
		}
		if version == 0 {
			return api.Import{}, notFound()
		}
		if err := do(&h); err != nil {
			return api.Import{}, err
		}
		w, err := h.write(version)
		if err == nil {
			err = m.deps.Documents.Apply(ctx, documents.Durable, w)
		}
		if errors.Is(err, documents.ErrConflict) {
			continue
		}
		if err != nil {
			return api.Import{}, fmt.Errorf("intake: change import %s: %w", id, err)
		}
		return h.shown(), nil
	}
}
