package mongo

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"
	mongodb "go.mongodb.org/mongo-driver/v2/mongo"

	"heed/internal/documents"
	"heed/internal/pull"
)

// Names of MongoDB's collections (docs/format/mongo.md). Those of the pull store
// have their own.
const (
	collDocuments    = "documents"
	collTransactions = "transactions"
	collChanges      = "changes"
)

// form is how values of a collection of documents are stored.
type form interface {
	// fields are what a value becomes: some stand below metaField, the others
	// are the document's own.
	fields(value []byte) (head, own bson.D, err error)
	// value is the way back.
	value(head, own bson.Raw) ([]byte, error)
}

// place is where a collection of documents is stored.
type place struct {
	coll   *mongodb.Collection
	prefix string // of every _id
	form   form
}

// collections are names that every MongoDB takes behind the prefix.
var collections = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,100}$`)

// natural tells that a collection is stored as other programs write theirs.
func natural(collection string) bool {
	name, ok := strings.CutPrefix(collection, pull.CollectionPrefix)
	return ok && collections.MatchString(name)
}

func (s *Store) place(collection string) place {
	if natural(collection) {
		return place{coll: s.db.Collection(collection), form: naturalForm{}}
	}
	return place{coll: s.db.Collection(collDocuments), prefix: ascii(collection) + " ", form: opaqueForm{}}
}

// id is the _id of a key; false if no document can have it.
func (p *place) id(key string) (string, bool) {
	if p.prefix == "" {
		return key, utf8.ValidString(key)
	}
	return p.prefix + ascii(key), true
}

// key is the way back; false if it is none of ours.
func (p *place) key(id string) (string, bool) {
	if p.prefix == "" {
		return id, len(id) <= documents.MaxKeyBytes
	}
	rest, ok := strings.CutPrefix(id, p.prefix)
	if !ok {
		return "", false
	}
	return bytesOf(rest)
}

// span is the filter for the ids of a query.
func (p *place) span(q documents.Query) bson.D {
	prefix, after := q.Prefix, q.After
	end := "\U0010ffff" // text that ends here has no successor
	if p.prefix != "" {
		prefix, after = p.prefix+ascii(q.Prefix), p.prefix+ascii(q.After)
		end = "\x7f"
	}
	span := bson.D{{Key: "$gte", Value: prefix}}
	if prefix != "" {
		span = append(span, bson.E{Key: "$lt", Value: prefix + end})
	}
	switch {
	case q.After == "":
	case q.Reverse && (prefix == "" || after < prefix+end):
		span = bson.D{{Key: "$gte", Value: prefix}, {Key: "$lt", Value: after}}
	case !q.Reverse && after >= prefix:
		span[0] = bson.E{Key: "$gt", Value: after}
	}
	return bson.D{{Key: "_id", Value: span}}
}

const hex = "0123456789ABCDEF"

// ascii writes any bytes as visible ASCII, so that what is smaller stays smaller
// and a prefix stays a prefix, whatever a server makes of other text: bytes from
// '"' to '}' are themselves, smaller ones become '!' and larger ones '~', with
// two digits.
func ascii(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := range len(s) {
		switch c := s[i]; {
		case c < '"':
			b.Write([]byte{'!', hex[c>>4], hex[c&15]})
		case c > '}':
			b.Write([]byte{'~', hex[c>>4], hex[c&15]})
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// bytesOf is the way back; false if the text is not what ascii writes.
func bytesOf(s string) (string, bool) {
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '!' || c == '~' {
			if i+2 >= len(s) {
				return "", false
			}
			high, low := strings.IndexByte(hex, s[i+1]), strings.IndexByte(hex, s[i+2])
			if high < 0 || low < 0 {
				return "", false
			}
			c = byte(high<<4 | low)
			i += 2
		}
		b.WriteByte(c)
	}
	out := b.String()
	return out, ascii(out) == s
}
