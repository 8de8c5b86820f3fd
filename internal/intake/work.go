package intake

import (
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"heed/internal/console/api"
	"heed/internal/documents"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/reach"
)

// Source is the source of events that an import makes.
const Source = "import"

// Run works imports off, one at a time, until ctx ends.
func (m *Importer) Run(ctx context.Context) error {
	wake, cancel := m.deps.Documents.Watch(collImports)
	defer cancel()
	for {
		others, err := m.workOff(ctx)
		if ctx.Err() != nil || errors.Is(err, eventlog.ErrClosed) || errors.Is(err, documents.ErrClosed) {
			m.giveBack(ctx)
			return nil
		}
		again := (<-chan time.Time)(nil)
		if err != nil {
			m.deps.Logger.Warn("an import waits", "error", err)
		}
		if err != nil || others {
			again = time.After(retry)
		}
		select {
		case <-ctx.Done():
			m.giveBack(ctx)
			return nil
		case <-wake:
		case <-again:
		}
	}
}

// giveBack lets another process go on at once with what this one has claimed.
func (m *Importer) giveBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), release)
	defer cancel()
	all, err := m.heads(ctx)
	for i := range all {
		if h := &all[i]; h.works() && h.By == m.id {
			_, changed := m.change(ctx, h.ID, func(h *head) error {
				if h.By == m.id {
					h.By = ""
				}
				return nil
			})
			err = errors.Join(err, changed)
		}
	}
	if err != nil { // the others notice the silence
		m.deps.Logger.Info("an import is not given back", "error", err)
	}
}

// sweep removes parts of files that no import owns. Another process may be taking
// in an upload now.
func (m *Importer) sweep(ctx context.Context) error {
	all, err := m.heads(ctx)
	if err != nil {
		return err
	}
	for after := ""; ; {
		docs, err := m.deps.Documents.List(ctx, documents.Query{Collection: collBytes, After: after, Limit: 1})
		if err != nil {
			return fmt.Errorf("intake: list parts of files: %w", err)
		}
		if len(docs) == 0 {
			return nil
		}
		data, _, _ := strings.Cut(docs[0].Key, "/")
		if !slices.ContainsFunc(all, func(h head) bool { return h.Data == data }) && (m.deps.Alone || m.old(data)) {
			m.forget(ctx, collBytes, data)
		}
		after = data + "0" // behind all of its parts
	}
}

// old tells of the key of a file's parts that no upload is still adding to it.
func (m *Importer) old(data string) bool {
	at, err := strconv.ParseInt(data[:min(dataTime, len(data))], 16, 64)
	return err != nil || m.deps.Clock().Sub(time.Unix(at, 0)) > cutOff
}

// workOff works until no import is left that should be this process's; others tells
// whether another one works at some.
func (m *Importer) workOff(ctx context.Context) (others bool, err error) {
	for {
		all, err := m.heads(ctx)
		if err != nil {
			return others, err
		}
		slices.SortFunc(all, func(a, b head) int { return int(min(max(a.Started-b.Started, -1), 1)) })
		worked := false
		others = false
		for _, h := range all {
			if !h.works() {
				continue
			}
			ours, err := m.work(ctx, h.ID)
			if err != nil {
				return others, fmt.Errorf("import %s: %w", h.ID, err)
			}
			if worked = ours; worked {
				break // which is the next may have changed
			}
			others = true
		}
		if !worked {
			return others, nil
		}
	}
}

// claim makes an import this process's, unless another one works on it.
func (m *Importer) claim(ctx context.Context, h *head, version int64) (int64, bool, error) {
	if h.By != "" && h.By != m.id && !m.deps.Alone {
		now := m.deps.Clock()
		last, known := m.seen[h.ID]
		if !known || last.version != version {
			m.seen[h.ID] = sighting{version, now}
			return version, false, nil
		}
		if now.Sub(last.at) < lost {
			return version, false, nil
		}
		m.deps.Logger.Info("an import is taken over: the process that worked on it is silent", "import", h.ID)
	}
	delete(m.seen, h.ID)
	h.By = m.id
	version, err := m.save(ctx, h, version, nil)
	return version, version != 0, err
}

// work goes on with an import until it ends, is cancelled or taken over; it is false
// if the import is another process's.
func (m *Importer) work(ctx context.Context, id string) (ours bool, err error) {
	h, version, err := m.read(ctx, id)
	if err != nil || version == 0 || !h.works() {
		return true, err
	}
	version, ours, err = m.claim(ctx, &h, version)
	if err != nil || !ours {
		return false, err
	}
	return true, m.goOn(ctx, &h, version)
}

// goOn works at an import from where its head stands.
func (m *Importer) goOn(ctx context.Context, h *head, version int64) error {
	p, err := planOf(h.Columns, h.Plan)
	if err != nil {
		return m.end(ctx, h, version, nil, err)
	}
	rows, err := m.open(ctx, h)
	if err != nil {
		return m.end(ctx, h, version, nil, err)
	}
	pacer := time.NewTicker(pace)
	defer pacer.Stop()
	for {
		b, ended := rows.batch(h, p)
		if b.err != nil && ctx.Err() != nil {
			return ctx.Err()
		}
		if h.State == api.ImportRunning {
			if err := m.put(ctx, h, b); err != nil {
				return err // from where the head stands, which was not moved
			}
		}
		if ended {
			return m.end(ctx, h, version, b.errors, b.err)
		}
		if version, err = m.save(ctx, h, version, b.errors); err != nil || version == 0 {
			return err // cancelled, or another process's
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-pacer.C:
		}
	}
}

// rows reads a file row by row.
type rows struct {
	csv   *csv.Reader
	leash *leash
	begin int64 // offset at which csv began
}

// open goes on behind the last row that is done.
func (m *Importer) open(ctx context.Context, h *head) (*rows, error) {
	at := max(h.Next, h.Mark)
	l := &leash{Reader: &parts{ctx: ctx, store: m.deps.Documents, data: h.Data, of: h.Parts, at: at}, left: maxRowBytes}
	r := &rows{csv: csv.NewReader(l), leash: l, begin: at}
	r.csv.Comma, r.csv.FieldsPerRecord = h.Comma, -1
	if h.Next == 0 {
		if _, err := r.csv.Read(); err != nil {
			return nil, fmt.Errorf("the titles cannot be read: %w", err)
		}
	}
	return r, nil
}

// parts reads a file from its parts.
type parts struct {
	ctx   context.Context //nolint:containedctx // of the one run that reads
	store documents.Store
	data  string
	of    int
	at    int64
	part  []byte // what is left of the part at at
}

func (p *parts) Read(b []byte) (int, error) {
	if len(p.part) == 0 {
		number := int(p.at / partBytes)
		if number >= p.of {
			return 0, io.EOF
		}
		d, err := p.store.Get(p.ctx, collBytes, partKey(p.data, number))
		if err != nil {
			return 0, fmt.Errorf("read the file: %w", err)
		}
		if p.part = d.Value[min(p.at%partBytes, int64(len(d.Value))):]; len(p.part) == 0 {
			return 0, io.EOF
		}
	}
	n := copy(b, p.part)
	p.part, p.at = p.part[n:], p.at+int64(n)
	return n, nil
}

// batch is rows that become true together.
type batch struct {
	events []*event.Event
	heard  []reach.Heard
	errors []api.ImportError
	err    error // the file cannot be read any further
}

// batch reads the next rows and moves the head behind them; ended tells that
// there are no more.
func (r *rows) batch(h *head, p *plan) (b batch, ended bool) {
	for range batchRows {
		r.leash.left = maxRowBytes
		row, err := r.csv.Read()
		if errors.Is(err, io.EOF) {
			return b, true
		}
		if _, ok := errors.AsType[*csv.ParseError](err); err != nil && !ok {
			b.err = fmt.Errorf("row %d: %w", h.Rows+2, err)
			return b, true
		}
		h.Rows++
		h.Next = r.begin + r.csv.InputOffset()
		if err == nil {
			err = b.take(row, h, p)
		}
		if err != nil {
			e := api.ImportError{Row: h.Rows + 1, Message: event.Cut(err.Error(), maxMessage)}
			if w, ok := errors.AsType[*wrong](err); ok {
				e.Column = w.column
			} else if pe, ok := errors.AsType[*csv.ParseError](err); ok {
				e.Message = pe.Err.Error()
			}
			h.Wrong++
			b.errors = append(b.errors, e)
			continue
		}
		h.Imported++
	}
	return b, false
}

const maxMessage = 300

// take adds what a row says.
func (b *batch) take(row []string, h *head, p *plan) error {
	began := h.Began
	if began == 0 {
		began = h.Started // a dry run
	}
	if p.Kind == api.ImportSuppressions {
		heard, err := p.suppression(row, began)
		if err == nil {
			b.heard = append(b.heard, heard)
		}
		return err
	}
	e, err := p.user(row, began)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(h.ID + "\x00" + strconv.FormatInt(began, 10) + "\x00" + strconv.FormatInt(h.Rows, 10)))
	e.MessageID = "import-" + hex.EncodeToString(sum[:16])
	b.events = append(b.events, e)
	return nil
}

// put makes a batch true.
func (m *Importer) put(ctx context.Context, h *head, b batch) error {
	if len(b.heard) > 0 {
		if err := m.deps.Book.Hear(ctx, b.heard); err != nil {
			return err
		}
	}
	if len(b.events) == 0 {
		return nil
	}
	n := m.deps.Log.Partitions()
	byPartition := map[int]*eventlog.Batch{}
	var out []*eventlog.Batch
	for _, e := range b.events {
		at := eventlog.PartitionOf(e.UserID, n)
		to := byPartition[at]
		if to == nil {
			to = &eventlog.Batch{Partition: at}
			byPartition[at] = to
			out = append(out, to)
		}
		to.Data = event.AppendEvent(to.Data, e)
		to.Ends = append(to.Ends, len(to.Data))
		to.Keys = append(to.Keys, event.KeyOf(e.Source, e.MessageID))
	}
	if err := m.deps.Log.Append(ctx, eventlog.Events, out); err != nil {
		return fmt.Errorf("append the users of %s: %w", h.Name, err)
	}
	return nil
}

// save keeps how far it came; version 0 means that it was cancelled or taken over
// meanwhile.
func (m *Importer) save(ctx context.Context, h *head, version int64, wrong []api.ImportError) (int64, error) {
	var writes []documents.Write
	if room := maxErrors - h.Pages*batchRows; len(wrong) > 0 && room > 0 {
		h.First = append(h.First, wrong[:min(len(wrong), max(shownErrors-len(h.First), 0))]...)
		value, err := json.Marshal(wrong)
		if err != nil {
			return 0, fmt.Errorf("encode errors: %w", err)
		}
		writes = append(writes, documents.Write{Collection: collErrors, Key: partKey(h.ID, h.Pages), Value: value, Expect: documents.Any})
		h.Pages++
	}
	w, err := h.write(version)
	if err == nil {
		err = m.deps.Documents.Apply(ctx, documents.Relaxed, append(writes, w)...)
	}
	if errors.Is(err, documents.ErrConflict) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("keep how far it came: %w", err)
	}
	return version + 1, nil
}

// end closes an import; cause is why it failed, nil if it did not.
func (m *Importer) end(ctx context.Context, h *head, version int64, wrong []api.ImportError, cause error) error {
	gone := ""
	h.Ended = m.deps.Clock().UnixMicro()
	switch {
	case cause != nil:
		h.State, h.Error = api.ImportFailed, event.Cut(cause.Error(), maxMessage)
	case h.State == api.ImportChecking:
		h.State = api.ImportChecked
	default:
		h.State = api.ImportDone
		gone, h.Data = h.Data, ""
	}
	version, err := m.save(ctx, h, version, wrong)
	if err == nil && version != 0 && gone != "" {
		m.forget(ctx, collBytes, gone)
	}
	return err
}
