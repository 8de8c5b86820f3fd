package mongo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	mongodb "go.mongodb.org/mongo-driver/v2/mongo"

	"heed/internal/documents"
	"heed/internal/driver/mongo/mongotest"
)

// distort lets the server do what it is asked, and answers one command, the next that
// contains some text, with an error instead.
type distort struct {
	text  atomic.Pointer[string]
	code  int32
	going sync.WaitGroup
}

func (d *distort) serve(t *testing.T, server string) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.going.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			d.going.Go(func() { d.pass(client, server) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		d.going.Wait()
	})
	return ln.Addr().String()
}

func (d *distort) pass(client net.Conn, server string) {
	defer func() { _ = client.Close() }()
	to, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	defer func() { _ = to.Close() }()
	for {
		question, err := message(client)
		if err != nil {
			return
		}
		if _, err := to.Write(question); err != nil {
			return
		}
		answer, err := message(to)
		if err != nil {
			return
		}
		if text := d.text.Load(); text != nil && bytes.Contains(question, []byte(*text)) && d.text.CompareAndSwap(text, nil) {
			answer = failing(answer, d.code)
		}
		if _, err := client.Write(answer); err != nil {
			return
		}
	}
}

// message reads one of MongoDB's protocol: its length is in front.
func message(from io.Reader) ([]byte, error) {
	length := make([]byte, 4)
	if _, err := io.ReadFull(from, length); err != nil {
		return nil, err
	}
	rest := make([]byte, binary.LittleEndian.Uint32(length)-4)
	_, err := io.ReadFull(from, rest)
	return append(length, rest...), err
}

// failing is an OP_MSG with an error, under the head of the true answer.
func failing(answer []byte, code int32) []byte {
	body, _ := bson.Marshal(bson.D{{Key: "ok", Value: 0.0}, {Key: "errmsg", Value: "the wire was lost"}, {Key: "code", Value: code}}) // it is plain
	out := append(bytes.Clone(answer[:16]), 0, 0, 0, 0, 0)
	out = append(out, body...)
	binary.LittleEndian.PutUint32(out, uint32(len(out)))
	return out
}

// TestUnsureAnswer: a router that lost its server, or one that steps down, answers with
// an error of a command, and no label says that it may have been done.
func TestUnsureAnswer(t *testing.T) {
	server := mongotest.Start(t)
	d := &distort{code: 6} // HostUnreachable
	cfg := testConfig(t, server)
	cfg.URI = server.URI(d.serve(t, server.Addr())) + "&retryWrites=false"
	s := open(t, cfg)
	try := func(text string, writes ...documents.Write) error {
		t.Helper()
		d.text.Store(&text)
		err := s.Apply(t.Context(), documents.Relaxed, writes...)
		if d.text.Load() != nil {
			t.Fatalf("nobody asked for %q", text)
		}
		return err
	}
	version := func(key string) int64 {
		t.Helper()
		got, err := s.Get(t.Context(), "c", key)
		if err != nil && !errors.Is(err, documents.ErrNotFound) {
			t.Fatal(err)
		}
		return got.Version
	}
	// The transaction's one moment.
	err := try(stateCommitted, write("c", "left", "1", documents.Absent), write("c", "right", "1", documents.Absent))
	if left, right := version("left"), version("right"); left != right || left != 1 && !errors.Is(err, ErrUnknown) || err == nil && left != 1 {
		t.Errorf("%v, and the versions are %d and %d", err, left, right)
	}
	// One document.
	if err := try("the only one", write("c", "one", "the only one", documents.Absent)); err != nil || version("one") != 1 {
		t.Errorf("%v, and the version is %d", err, version("one"))
	}
}

func TestRefused(t *testing.T) {
	f := func(want bool, err error) {
		t.Helper()
		if got := refused(err); got != want {
			t.Errorf("%v: refused: %v", err, got)
		}
	}
	f(true, mongodb.CommandError{Code: 13, Name: "Unauthorized"})
	f(false, mongodb.CommandError{Code: 11602, Name: "InterruptedDueToReplStateChange"})
	f(false, mongodb.CommandError{Code: 50, Name: "MaxTimeMSExpired"})
	f(true, mongodb.WriteException{WriteErrors: mongodb.WriteErrors{{Code: 11000}}})
	f(false, mongodb.WriteException{WriteConcernError: &mongodb.WriteConcernError{Code: 64}})
	f(false, io.EOF)
}
