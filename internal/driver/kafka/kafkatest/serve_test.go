package kafkatest

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestServe is a broker for tests in other languages, which run this package's
// compiled test with HEED_KAFKATEST=serve. It says in a line of JSON how the broker
// is reached, writes each line of its input as a record, whose topic is made if it
// is missing, and ends with its input.
func TestServe(t *testing.T) {
	if os.Getenv("HEED_KAFKATEST") != "serve" {
		t.Skip("the browser tests run it")
	}
	c := Start(t, 1)
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Addrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	say := json.NewEncoder(os.Stdout).Encode
	if err := say(c.Secure()); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var r struct{ Topic, Key, Value string }
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		_, err := kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, nil, r.Topic)
		if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			t.Fatal(err)
		}
		record := &kgo.Record{Topic: r.Topic, Key: []byte(r.Key), Value: []byte(r.Value)}
		if err := client.ProduceSync(t.Context(), record).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := say("written"); err != nil {
			t.Fatal(err)
		}
	}
}
