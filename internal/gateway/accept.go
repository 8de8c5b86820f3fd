package gateway

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"unsafe"

	"heed/internal/event"
	"heed/internal/eventlog"
)

// refusedRate is the collector's own refusal, beside those of event.Check.
const refusedRate event.Refusal = "too many events of this user"

// accept applies the rules to every item and lays out what is taken for the
// log.
func (q *request) accept() {
	hasBatchContext := contextStated(&q.batch.Context)
	for i := range q.items {
		it := &q.items[i]
		if it.why != "" {
			continue
		}
		if hasBatchContext {
			q.reader.Inherit(&it.event.Context, &q.batch.Context)
		}
		if it.why = q.check(it); it.why == "" {
			q.take(it)
		}
	}
	o := q.out
	o.rejected = len(q.items) - o.accepted
	for i := range o.parts {
		p := &o.parts[i]
		if len(p.ends) > 0 {
			p.batch = eventlog.Batch{Partition: i, Data: p.data, Ends: p.ends, Keys: p.keys}
			o.batches = append(o.batches, &p.batch)
		}
	}
	q.results()
}

// results writes what becomes of each event, up to the end of the list of those
// that are rejected.
func (q *request) results() {
	o := q.out
	o.status = http.StatusOK
	o.answer = append(o.answer[:0], `{"accepted":`...)
	o.answer = strconv.AppendInt(o.answer, int64(o.accepted), 10)
	o.answer = append(o.answer, `,"rejected":[`...)
	if o.rejected > 0 {
		limited := true
		first := true
		for i := range q.items {
			why := q.items[i].why
			if why == "" {
				continue
			}
			limited = limited && why == refusedRate
			if !first {
				o.answer = append(o.answer, ',')
			}
			first = false
			o.answer = append(o.answer, `{"index":`...)
			o.answer = strconv.AppendInt(o.answer, int64(i), 10)
			o.answer = append(o.answer, `,"reason":"`...)
			o.answer = append(o.answer, why...) // our own words, without quotes
			o.answer = append(o.answer, `"}`...)
		}
		if o.accepted == 0 {
			o.status = http.StatusBadRequest
			if limited {
				o.status = http.StatusTooManyRequests
			}
		}
		q.record()
	}
	o.answer = append(o.answer, ']')
}

func contextStated(c *event.Context) bool {
	return c.Extra != nil || c.Consent != nil || c.Bot || c.Historical ||
		c.Page != (event.PageContext{}) || c.Campaign != (event.CampaignContext{}) ||
		c.Device != "" || c.OS != "" || c.Browser != "" || c.Screen != "" || c.Locale != "" || c.Timezone != "" ||
		c.Country != "" || c.UserAgent != "" || c.IP != ""
}

// check applies the rules that refuse.
func (q *request) check(it *item) event.Refusal {
	if why := it.event.Check(); why != "" {
		return why
	}
	if !q.c.server && !q.g.allowUser(it.event.User(), q.now) {
		return refusedRate
	}
	return ""
}

// take fills in what the collector knows and appends the event to its
// partition's batch.
func (q *request) take(it *item) {
	e, c := &it.event, &it.event.Context
	e.Source, e.Depth, e.ReplyTo, e.ReceivedAt = q.c.name, 0, q.replyTo, q.nowUS
	e.Timestamp = q.eventTime(it)
	c.Verified = q.proven(e.UserID, q.signature(&it.stated))
	if c.Verified && e.Type == event.Identify && !q.c.server && !q.c.signed(e.UserID, q.signature(&it.stated)) {
		// Trusting user ids is about content: anybody can send this address.
		c.Extra = q.reader.With(c.Extra, event.ClaimedHead, []byte("true"))
	}
	q.private(c)
	var key eventlog.Key
	if e.MessageID == "" {
		e.MessageID = q.newID() // never repeated: not remembered
	} else {
		key = event.KeyOf(e.Source, e.MessageID)
	}
	q.out.add(e, key, q.g.partitions)
	q.out.accepted++
	if from, links := e.Links(); links {
		q.link(it, from, key)
	}
	if q.replyTo != "" {
		q.answerable(e)
	}
}

// add lays an event out for the partition of its user.
func (o *outgoing) add(e *event.Event, key eventlog.Key, partitions int) *part {
	p := &o.parts[eventlog.PartitionOf(e.User(), partitions)]
	p.data = event.AppendEvent(p.data, e)
	p.ends = append(p.ends, len(p.data))
	p.keys = append(p.keys, key)
	return p
}

// link tells the partition of the id that an event links, in the same append:
// either both are in the log or none is.
func (q *request) link(it *item, from string, key eventlog.Key) {
	e, stated := &it.event, &it.stated
	record, linkKey := e.LinkRecord(from, q.c.server || q.c.signed(e.UserID, q.signature(stated)) && q.c.signed(from, stated.PreviousSignature))
	if key == (eventlog.Key{}) {
		linkKey = key // as little repeated as the event
	}
	p := q.out.add(&record, linkKey, q.g.partitions)
	p.links = append(p.links, len(p.ends)-1)
}

// signature is that of an event, or of its batch.
func (q *request) signature(stated *event.Stated) string {
	if stated.Signature != "" {
		return stated.Signature
	}
	return q.sign
}

// eventTime corrects the client's clock: the event is as old as the client says
// it was when it sent it, and never newer than now.
func (q *request) eventTime(it *item) int64 {
	t := it.event.Timestamp
	if t == 0 {
		t = it.stated.DeviceSentAt
	}
	if t == 0 {
		return q.nowUS
	}
	sent := it.stated.SentAt
	if sent == 0 {
		sent = q.sent
	}
	if sent != 0 {
		t = q.nowUS - (sent - t)
	}
	return max(1, min(t, q.nowUS))
}

// proven is caller.verified, remembering the last answer: the events of a
// request are mostly of one user.
func (q *request) proven(userID, signature string) bool {
	if q.c.server || q.c.source.TrustUserIDs {
		return true
	}
	if userID == "" || signature == "" {
		return false
	}
	if userID != q.lastUser || signature != q.lastSign {
		q.lastUser, q.lastSign, q.lastProof = userID, signature, q.c.verified(userID, signature)
	}
	return q.lastProof
}

const hexDigits = "0123456789abcdef"

// newID makes a message id of 128 random bits.
func (q *request) newID() string {
	start := len(q.room)
	for _, v := range [2]uint64{rand.Uint64(), rand.Uint64()} {
		for range 16 {
			q.room = append(q.room, hexDigits[v&15])
			v >>= 4
		}
	}
	return q.text(start)
}

// text is the room from start on as a string.
func (q *request) text(start int) string {
	b := q.room[start:]
	return unsafe.String(unsafe.SliceData(b), len(b))
}
