package mongo

import (
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// metaField of a stored document is what is known about it: its version v, the id w
// of its last write, and while a transaction is at work the transaction's id tx and
// what it makes of it, next. Documents of other programs have none.
const metaField = "_heed"

// Fields below metaField.
const (
	fieldVersion = metaField + ".v"
	fieldWrite   = metaField + ".w"
	fieldTx      = metaField + ".tx"
	fieldNext    = metaField + ".next"
)

// stored is a document as MongoDB has it.
type stored struct {
	id      string
	version int64 // 0: there is none
	write   bson.ObjectID
	head    bson.Raw // the meta field
	own     bson.Raw // the whole document
	tx      bson.ObjectID
	next    bson.Raw // nil: the transaction removes it
}

// parse reads a document. The result owns its memory.
func parse(d bson.Raw) stored {
	d = slices.Clone(d)
	st := stored{version: 1, own: d}
	st.id, _ = d.Lookup("_id").StringValueOK()
	head, ok := d.Lookup(metaField).DocumentOK()
	if !ok {
		return st // of another program
	}
	st.head = head
	st.write, _ = head.Lookup("w").ObjectIDOK()
	st.tx, _ = head.Lookup("tx").ObjectIDOK()
	if v, ok := head.Lookup("v").AsInt64OK(); ok && (v > 0 || v == 0 && st.pending()) {
		st.version = v
	}
	st.next, _ = head.Lookup("next").DocumentOK()
	return st
}

func (st *stored) pending() bool { return !st.tx.IsZero() }

// after is what becomes of a pending document when its transaction has happened.
func (st *stored) after() stored {
	if st.next == nil {
		return stored{id: st.id}
	}
	head, _ := st.next.Lookup("head").DocumentOK()
	own, _ := st.next.Lookup("own").DocumentOK()
	return stored{id: st.id, version: st.version + 1, write: st.tx, head: head, own: own}
}

// whole is the document to be stored.
func (st *stored) whole() bson.D {
	head := bson.D{{Key: "v", Value: st.version}, {Key: "w", Value: st.write}}
	return slices.Concat(
		bson.D{{Key: "_id", Value: st.id}, {Key: metaField, Value: append(head, members(st.head, "v", "w", "tx", "next")...)}},
		members(st.own, "_id", metaField),
	)
}

// members are the elements of a document, without some.
func members(d bson.Raw, without ...string) bson.D {
	elements, err := d.Elements()
	if err != nil {
		return nil // it was read before
	}
	var out bson.D
	for _, e := range elements {
		if !slices.Contains(without, e.Key()) {
			out = append(out, bson.E{Key: e.Key(), Value: e.Value()})
		}
	}
	return out
}

// unchanged is the filter for a document in the state that was read.
func (st *stored) unchanged() bson.D {
	f := bson.D{{Key: "_id", Value: st.id}}
	if st.write.IsZero() {
		return append(f, bson.E{Key: fieldWrite, Value: bson.D{{Key: "$exists", Value: false}}})
	}
	return append(f, bson.E{Key: fieldWrite, Value: st.write})
}
