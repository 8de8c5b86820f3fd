package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"time"

	"github.com/klauspost/compress/gzip"

	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/jsonscan"
)

// What a pooled request may keep: a rare big one is left to the collector.
const (
	keepItems = 512
	keepBytes = 256 << 10
)

// request is the state of one call, pooled: in the steady state a call
// allocates nothing of its own. Events alias body and room.
type request struct {
	g      *Gateway
	c      *caller
	now    time.Time
	nowUS  int64
	body   []byte
	packed []byte // the body before decompression
	gunzip *gzip.Reader
	source bytes.Reader // of packed
	reader event.Reader
	items  []item
	batch  event.Event // carries the context of the batch
	sent   int64       // sentAt of the batch, µs
	key    string      // writeKey of the body
	sign   string      // signature of the batch
	room   []byte      // what the gateway makes: ids, addresses
	out    *outgoing

	address   netip.Addr
	client    string // the cut address
	agent     string
	gpc       bool
	replyTo   string
	users     []recipient // to whom the reply may carry messages; they alias body
	lastUser  string      // the user id whose signature was checked last
	lastSign  string
	lastProof bool
	lastText  string // the user agent that was read last
	lastAgent agent
}

// item is one event of the call.
type item struct {
	event  event.Event
	stated event.Stated
	why    event.Refusal // "" if taken
	start  int           // place in body
	end    int
}

// outgoing is what is left of a call once its events are read: their bytes for
// the log, and the answer. While it waits for the log, the request's big rooms
// already serve the next call.
type outgoing struct {
	parts    []part // by partition
	batches  []*eventlog.Batch
	accepted int
	rejected int
	status   int
	answer   []byte
}

// part collects the events for one partition.
type part struct {
	batch eventlog.Batch
	data  []byte
	ends  []int
	keys  []eventlog.Key
	links []int // which of them are link records, not events of the call
}

// begin takes a request from the pool.
func (g *Gateway) begin(c *caller) *request {
	q, ok := g.requests.Get().(*request)
	if !ok {
		q = &request{g: g}
	}
	q.out, ok = g.outgoing.Get().(*outgoing)
	if !ok {
		q.out = &outgoing{parts: make([]part, g.partitions)}
	}
	q.c, q.now = c, g.clock()
	q.nowUS = q.now.UnixMicro()
	return q
}

// release puts a request back, once; nothing may use what it read from now on.
// What goes out is released by itself.
func (g *Gateway) release(q *request) {
	if cap(q.items) > keepItems || cap(q.body) > keepBytes || cap(q.room) > keepBytes || cap(q.packed) > keepBytes {
		return
	}
	*q = request{
		g: g, body: q.body, packed: q.packed, gunzip: q.gunzip, reader: q.reader,
		items: q.items[:0], room: q.room[:0], users: q.users[:0],
	}
	g.requests.Put(q)
}

func (g *Gateway) releaseOutgoing(o *outgoing) {
	for i := range o.parts {
		p := &o.parts[i]
		if cap(p.data) > keepBytes {
			return
		}
		p.data, p.ends, p.keys, p.links, p.batch = p.data[:0], p.ends[:0], p.keys[:0], p.links[:0], eventlog.Batch{}
	}
	if cap(o.answer) > keepBytes {
		return
	}
	o.batches, o.answer, o.accepted, o.rejected, o.status = o.batches[:0], o.answer[:0], 0, 0, 0
	g.outgoing.Put(o)
}

// trouble is a call that is refused as a whole.
type trouble struct {
	status int
	reason string
}

func (t *trouble) Error() string { return t.reason }

var (
	errTooBig   = &trouble{http.StatusRequestEntityTooLarge, "the body is too big"}
	errBomb     = &trouble{http.StatusRequestEntityTooLarge, "the body is compressed too much"}
	errGzip     = &trouble{http.StatusBadRequest, "the body is not valid gzip"}
	errBody     = &trouble{http.StatusBadRequest, "the body did not arrive whole"}
	errJSON     = &trouble{http.StatusBadRequest, "the body is not valid JSON"}
	errEncoding = &trouble{http.StatusUnsupportedMediaType, "the body's Content-Encoding is not understood: gzip, or none"}
	errEnvelope = &trouble{http.StatusBadRequest, `the body is not an object with "batch": [...]`}
)

// read takes the body in, decompressed.
func (q *request) read(r *http.Request) error {
	most := q.g.cfg.MaxBody
	if r.ContentLength > int64(most) {
		return errTooBig
	}
	var err error
	if q.body, err = readUpTo(q.body[:0], r.Body, r.ContentLength, most); err != nil {
		return err
	}
	// Whatever the headers say: some clients compress and do not tell.
	if len(q.body) > 2 && q.body[0] == 0x1f && q.body[1] == 0x8b {
		return q.decompress(most)
	}
	return nil
}

// readUpTo reads all there is, at most so many bytes. size is what the client
// announced, or -1.
func readUpTo(dst []byte, r io.Reader, size int64, most int) ([]byte, error) {
	if size >= 0 {
		if cap(dst) < int(size) {
			dst = make([]byte, 0, max(int(size), 4<<10))
		}
		dst = dst[:size]
		if _, err := io.ReadFull(r, dst); err != nil {
			return dst, errBody
		}
		return dst, nil
	}
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst) > most:
			return dst, errTooBig
		case errors.Is(err, io.EOF):
			return dst, nil
		case err != nil:
			return dst, errBody
		}
	}
}

func (q *request) decompress(most int) error {
	q.body, q.packed = q.packed, q.body
	q.source.Reset(q.packed)
	var err error
	if q.gunzip == nil {
		q.gunzip, err = gzip.NewReader(&q.source)
	} else {
		err = q.gunzip.Reset(&q.source)
	}
	if err != nil {
		return errGzip
	}
	limit := min(most, len(q.packed)*q.g.cfg.MaxRatio)
	q.body, err = readUpTo(q.body[:0], q.gunzip, -1, limit)
	switch {
	case errors.Is(err, errTooBig) && limit < most:
		return errBomb
	case errors.Is(err, errTooBig):
		return errTooBig
	case err != nil:
		return errGzip
	}
	return nil
}

// next makes room for one more item.
func (q *request) next() *item {
	if n := len(q.items); n < cap(q.items) {
		q.items = q.items[:n+1]
	} else {
		q.items = append(q.items, item{})
	}
	return &q.items[len(q.items)-1]
}

// parseOne reads the body as one call of a type.
func (q *request) parseOne(t event.Type) error {
	q.reader.Reset(q.body)
	it := q.next()
	it.start, it.end = 0, len(q.body)
	it.why = q.reader.Call(t, &it.event, &it.stated)
	if q.reader.Scan.End() != nil {
		return errJSON
	}
	q.key = it.stated.WriteKey
	q.sized(it)
	return nil
}

// parseBatch reads the body as {"batch": [...], ...}.
func (q *request) parseBatch() error {
	q.reader.Reset(q.body)
	s := &q.reader.Scan
	found := false
	if s.Kind() != jsonscan.Object {
		s.Value()
		if s.End() != nil {
			return errJSON
		}
		return errEnvelope
	}
	s.Enter()
	for name, more := s.NextKey(); more; name, more = s.NextKey() {
		isText := s.Kind() == jsonscan.String
		switch {
		case string(name) == "batch" && s.Kind() == jsonscan.Array:
			// Faults of the envelope stay with it, those of an item with that.
			if fault := s.TakeFault(); fault != jsonscan.NoFault {
				return &trouble{http.StatusBadRequest, fault.String()}
			}
			found = true
			if err := q.parseItems(); err != nil {
				return err
			}
		case string(name) == "context":
			q.reader.Context(&q.batch.Context)
		case string(name) == "sentAt":
			q.sent, _ = q.reader.Time()
		case string(name) == "writeKey" && isText:
			q.key = string(s.Text())
		case string(name) == "signature" && isText:
			q.sign = string(s.Text())
		default:
			s.Value()
		}
	}
	if s.End() != nil {
		return errJSON
	}
	if fault := s.TakeFault(); fault != jsonscan.NoFault {
		return &trouble{http.StatusBadRequest, fault.String()}
	}
	if !found {
		return errEnvelope
	}
	return nil
}

func (q *request) parseItems() error {
	s := &q.reader.Scan
	s.Enter()
	for s.NextElement() {
		if len(q.items) == q.g.cfg.MaxBatch {
			return &trouble{http.StatusBadRequest, fmt.Sprintf("more than %d events in a batch", q.g.cfg.MaxBatch)}
		}
		it := q.next()
		s.Kind() // steps over space
		it.start = s.Pos()
		it.why = q.reader.Event(&it.event, &it.stated)
		it.end = s.Pos()
		q.sized(it)
		if s.Failed() {
			return errJSON
		}
	}
	return nil
}

func (q *request) sized(it *item) {
	if it.end-it.start > event.MaxEventBytes {
		it.why = event.RefusedSize
	}
}
