package email

import (
	"os"
	"testing"

	"heed/internal/channel"
)

// BenchmarkCompose makes the starter design into a signed message.
func BenchmarkCompose(b *testing.B) {
	body, err := os.ReadFile("../../../docs/email-starter.html")
	if err != nil {
		b.Fatal(err)
	}
	t := &testing.T{}
	key, _ := dkimKey(t)
	f := newFixture(t)
	d := deliver("127.0.0.1:25", func(d *channel.Delivery) { d.Body, d.Channel.DKIM = string(body), key })
	for b.Loop() {
		if _, err := f.compose(d); err != nil {
			b.Fatal(err)
		}
	}
}
