package sms

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"heed/internal/channel/sms/smpp"
	"heed/internal/definition"
	"heed/internal/documents"
)

// Long texts come in parts, in any order and over any session, and mean something
// only as a whole. A part is stored before it is answered: a message centre may
// bring the next one only once this one is answered, so that whoever answers all of
// them when the text is whole may wait for ever; and what is answered comes never
// again.

// collectionParts holds them: a document for each text, by a hash of who wrote it to
// whom and what its parts have in common.
const collectionParts = "sms-parts"

// Bounds of long texts.
const (
	partsWait    = 10 * time.Minute // for the last part, from the first one
	sweepEvery   = 30 * time.Second
	maxParts     = 32     // of a text
	maxPartBytes = 255    // of one, which is what a PDU holds
	maxLong      = 10_000 // texts, about: of what others store a process knows since the last sweep
)

// longText is a text of which parts came.
type longText struct {
	Channel string `json:"channel"`
	From    string `json:"from"`
	At      int64  `json:"at"` // µs since the Unix epoch: when the first one came
	Of      int    `json:"of"`
	// Whole: it was acted on, and is kept to tell parts that come again.
	Whole bool    `json:"whole,omitempty"`
	Parts []piece `json:"parts"` // in order, without those that are missing
}

type piece struct {
	Number int    `json:"n"`
	Coding byte   `json:"coding"`
	Data   []byte `json:"data"`
}

// text reads the parts that came. Neighbours are read as one, since some phones cut
// in the middle of a character.
func (l *longText) text() string {
	var b strings.Builder
	for i := 0; i < len(l.Parts); {
		first := &l.Parts[i]
		data := slices.Clone(first.Data)
		for i++; i < len(l.Parts) && l.Parts[i].Coding == first.Coding && l.Parts[i].Number == l.Parts[i-1].Number+1; i++ {
			data = append(data, l.Parts[i].Data...)
		}
		b.WriteString(smpp.Text(first.Coding, data))
	}
	return b.String()
}

// join takes a part of a long text. When it returns the part is kept or, if it was
// the last one that was missing, what the text asks for is.
func (c *Channel) join(ctx context.Context, def *definition.Channel, m *smpp.Message) error {
	p := piece{m.Part.Number, m.Coding, m.Data}
	begun := longText{Channel: def.Name, From: m.From, At: c.deps.Now().UnixMicro(), Of: m.Part.Of}
	key := c.longKey(m)
	for {
		d, err := c.deps.Documents.Get(ctx, collectionParts, key)
		l := begun
		switch {
		case errors.Is(err, documents.ErrNotFound):
			if begun.Of > maxParts || len(p.Data) > maxPartBytes || c.long.Load() >= maxLong {
				l.Parts = []piece{p}
				return c.hearLong(ctx, def, key, &l) // it is heard by itself, rather than lost
			}
			c.long.Add(1)
		case err != nil:
			return fmt.Errorf("sms: read the parts of a text: %w", err)
		default:
			if l, err = decodeLong(d.Value); err != nil {
				return err
			}
		}
		at, found := slices.BinarySearchFunc(l.Parts, p.Number, func(x piece, n int) int { return cmp.Compare(x.Number, n) })
		switch {
		case found && l.Parts[at].Coding == p.Coding && bytes.Equal(l.Parts[at].Data, p.Data):
			return nil // once more
		case found: // another text: references are few, and come round
			if !l.Whole {
				if err := c.hearLong(ctx, def, key, &l); err != nil {
					return err
				}
			}
			l, at = begun, 0
		}
		l.Parts = slices.Insert(l.Parts, at, p)
		if len(l.Parts) == l.Of {
			if err := c.hearLong(ctx, def, key, &l); err != nil {
				return err
			}
			l.Whole = true
		}
		value, err := json.Marshal(&l)
		if err != nil {
			return fmt.Errorf("sms: encode the parts of a text: %w", err)
		}
		err = c.deps.Documents.Apply(ctx, documents.Durable, documents.Write{Collection: collectionParts, Key: key, Value: value, Expect: d.Version})
		if errors.Is(err, documents.ErrConflict) {
			continue // another part was faster
		}
		if err != nil {
			return fmt.Errorf("sms: keep a part of a text: %w", err)
		}
		return nil
	}
}

// longKey is where the parts of a text lie. The channel is no part of it: parts may
// come over several.
func (c *Channel) longKey(m *smpp.Message) string {
	h := hmac.New(sha256.New, c.deps.Secret)
	h.Write([]byte("sms part\x00" + m.To + "\x00" + m.From))
	return fmt.Sprintf("%s/%s/%d", hex.EncodeToString(h.Sum(nil)[:16]), m.Part.Reference, m.Part.Of)
}

// hearLong acts on a text as far as it came.
func (c *Channel) hearLong(ctx context.Context, def *definition.Channel, key string, l *longText) error {
	h := heard{from: l.From, text: l.text(), id: key + "/" + strconv.FormatInt(l.At, 10)}
	if len(l.Parts) < l.Of {
		h.came = fmt.Sprintf("%d of %d parts", len(l.Parts), l.Of)
		c.deps.Logger.Info("a long text message is read without the parts that did not come", "channel", def.Name, "came", h.came)
	}
	return c.hear(ctx, def, &h)
}

// sweep reads the texts that have waited for their parts long enough, as far as they
// came, and forgets those that are done with.
func (c *Channel) sweep(ctx context.Context) {
	q := documents.Query{Collection: collectionParts, Limit: 500}
	left := int64(0)
	for {
		docs, err := c.deps.Documents.List(ctx, q)
		if err != nil {
			c.deps.Logger.Warn("text messages of which parts are missing could not be looked after", "error", err)
			return
		}
		for i := range docs {
			if !c.expire(ctx, &docs[i]) {
				left++
			}
		}
		if len(docs) < q.Limit {
			break
		}
		q.After = docs[len(docs)-1].Key
	}
	c.long.Store(left)
}

// expire is true for a text that need not be kept any more. What fails is done with
// the next sweep.
func (c *Channel) expire(ctx context.Context, d *documents.Document) bool {
	l, err := decodeLong(d.Value)
	if err == nil && time.UnixMicro(l.At).Add(partsWait).After(c.deps.Now()) {
		return false
	}
	def := c.deps.Definitions.Current().Channels[l.Channel]
	switch {
	case err != nil:
		c.deps.Logger.Error("parts of a text message cannot be read, and are dropped", "key", d.Key, "error", err)
		err = nil
	case l.Whole:
	case def == nil:
		c.deps.Logger.Warn("parts of a text message are dropped: its channel is not defined any more", "channel", l.Channel)
	default:
		err = c.hearLong(ctx, def, d.Key, &l)
	}
	if err == nil {
		err = c.deps.Documents.Apply(ctx, documents.Relaxed, documents.Write{Collection: collectionParts, Key: d.Key, Expect: d.Version})
	}
	if err != nil && !errors.Is(err, documents.ErrConflict) { // a part has just come
		c.deps.Logger.Warn("a text message of which parts are missing waits on", "error", err)
	}
	return err == nil
}

func decodeLong(value []byte) (l longText, err error) {
	if err = json.Unmarshal(value, &l); err != nil {
		err = fmt.Errorf("sms: decode the parts of a text: %w", err)
	}
	return l, err
}
