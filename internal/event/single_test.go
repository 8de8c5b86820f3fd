package event

import (
	"encoding/hex"
	"testing"

	"github.com/hamba/avro/v2"
)

// TestSingleObjectHeader: the fingerprints are those that fastavro computes.
func TestSingleObjectHeader(t *testing.T) {
	for schema, want := range map[string]string{Schema: "c30171d547a5ab66863d", IntentSchema: "c301bc2e211934155cfb"} {
		s, err := avro.Parse(schema)
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(SingleObjectHeader(s)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
