package ocf_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	hamba "github.com/hamba/avro/v2/ocf"

	"heed/internal/event"
	"heed/internal/event/ocf"
)

func random(b []byte) {
	for i := range b {
		b[i] = byte(7 * i)
	}
}

// ids reads a file with a reader that is not ours.
func ids(t *testing.T, file []byte) []string {
	t.Helper()
	d, err := hamba.NewDecoder(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for d.HasNext() {
		var v map[string]any
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		id, _ := v["messageId"].(string)
		props, _ := v["properties"].([]byte)
		out = append(out, id+" "+string(props))
	}
	if err := d.Error(); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestForeignReader(t *testing.T) {
	for _, codec := range []ocf.Codec{ocf.Null, ocf.Deflate} {
		var file bytes.Buffer
		w, err := ocf.NewWriter(&file, codec, random)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for i := range 3000 { // several blocks
			e := event.Event{
				MessageID: fmt.Sprint("m", i), Name: "win", UserID: "u", Timestamp: int64(i), Source: "shop",
				Properties: fmt.Appendf(nil, `{"n":%d,"pad":"%0200d"}`, i, i),
			}
			want = append(want, e.MessageID+" "+string(e.Properties))
			if err := w.Append(event.AppendAvro(nil, &e)); err != nil {
				t.Fatal(err)
			}
			if i == 10 {
				if err := w.Flush(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if w.Written() < 2 {
			t.Errorf("%s: no full block was written by itself", codec)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if w.Buffered() != 0 || w.Written() != int64(file.Len()) {
			t.Errorf("%s: buffered %d, written %d of %d", codec, w.Buffered(), w.Written(), file.Len())
		}
		if d := cmp.Diff(want, ids(t, file.Bytes())); d != "" {
			t.Errorf("%s: -want +got\n%s", codec, d)
		}
	}
}

func TestEmptyFileIsAFile(t *testing.T) {
	var file bytes.Buffer
	if _, err := ocf.NewWriter(&file, ocf.Deflate, random); err != nil {
		t.Fatal(err)
	}
	if got := ids(t, file.Bytes()); len(got) != 0 {
		t.Errorf("an empty file holds %v", got)
	}
}

type full struct{ room int }

var errFull = errors.New("full")

func (f *full) Write(b []byte) (int, error) {
	if f.room -= len(b); f.room < 0 {
		return 0, errFull
	}
	return len(b), nil
}

func TestErrors(t *testing.T) {
	if _, err := ocf.NewWriter(&full{}, ocf.Null, random); !errors.Is(err, errFull) {
		t.Errorf("a header that cannot be written: %v", err)
	}
	if _, err := ocf.NewWriter(&bytes.Buffer{}, "lz4", random); err == nil {
		t.Error("an unknown codec passed")
	}
	w, err := ocf.NewWriter(&full{room: 1 << 14}, ocf.Null, random)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Append(make([]byte, 1<<15)); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); !errors.Is(err, errFull) {
		t.Errorf("a block that cannot be written: %v", err)
	}
}
