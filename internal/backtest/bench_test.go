package backtest_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"heed/internal/backtest"
	"heed/internal/driver/pebble"
	"heed/internal/event"
	"heed/internal/eventlog"
)

// filled is a log on disk with n events of so many users, spread over a week;
// some fifty at a time: one in twenty is of the shop, the others are page views of some 600 bytes.
func filled(b *testing.B, n, users int) (*pebble.DB, func() time.Time) {
	b.Helper()
	now := epoch
	clock := func() time.Time { return time.UnixMicro(now) }
	cfg := pebble.Config{Dir: b.TempDir(), Memory: 128 << 20, Reserve: 1}
	cfg.Defaults()
	db, err := pebble.Open(cfg, pebble.Deps{Clock: clock, Logger: slog.New(slog.DiscardHandler), Fatal: func(err error) { b.Error(err) }})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	r := rand.New(rand.NewPCG(7, 7))
	shop := []string{"win", "win", "loss", "product_view", "cart_add", "purchase"}
	extra := []byte(`{"title":"` + strings.Repeat("a hearth and a home ", 12) + `"}`)
	const request = 1000
	for sent := 0; sent < n; sent += request {
		now = epoch + int64(float64(sent)/float64(n)*7*24)*hour
		parts := make([]*eventlog.Batch, db.Log().Partitions())
		for i := range parts {
			parts[i] = &eventlog.Batch{Partition: i}
		}
		for i := range request {
			e := event.Event{
				MessageID: "message-" + strconv.Itoa(sent+i), Type: event.Page, Name: "page", AnonymousID: "shopper-" + strconv.Itoa((sent/request*users*request/n+r.IntN(50))%users),
				Source: "shop", Timestamp: now, ReceivedAt: now, Properties: extra,
			}
			e.Context.Page.URL = "https://shop.example/shelves/of/many/things?page=" + strconv.Itoa(i)
			e.Context.UserAgent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
			if r.IntN(20) == 0 {
				e.Type, e.Name = event.Track, shop[r.IntN(len(shop))]
			}
			p := parts[eventlog.PartitionOf(e.User(), len(parts))]
			p.Data = event.AppendEvent(p.Data, &e)
			p.Ends = append(p.Ends, len(p.Data))
			p.Keys = append(p.Keys, event.KeyOf(e.Source, e.MessageID))
		}
		if err := db.Log().Append(b.Context(), eventlog.Events, slices.DeleteFunc(parts, func(p *eventlog.Batch) bool { return p.Ends == nil })); err != nil {
			b.Fatal(err)
		}
	}
	now = epoch + 7*24*hour
	return db, clock
}

func BenchmarkBacktest(b *testing.B) {
	for _, users := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprintf("users=%d", users), func(b *testing.B) {
			const n = 1_000_000
			db, clock := filled(b, n, users)
			d := &defs{}
			d.sets = append(d.sets, parse(b, 1, rules))
			bt, err := backtest.New(backtest.Config{}, backtest.Deps{Log: db.Log(), State: db.UserState(), Definitions: d, Alone: true, Clock: clock})
			if err != nil {
				b.Fatal(err)
			}
			for _, name := range []string{"wins", "gold"} {
				req := backtest.Request{Trigger: d.Current().Triggers[name], Days: 7, Examples: 20}
				run := func(b *testing.B, f func(context.Context) (*backtest.Result, error)) {
					b.Helper()
					var res *backtest.Result
					for b.Loop() {
						if res, err = f(b.Context()); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(res.Counts.Events)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
					b.ReportMetric(float64(res.Firings), "firings")
					b.ReportMetric(res.Share, "share")
				}
				b.Run(name+"/all", func(b *testing.B) {
					run(b, func(ctx context.Context) (*backtest.Result, error) {
						return bt.Run(ctx, req, func(backtest.Progress) {})
					})
				})
				b.Run(name+"/preview", func(b *testing.B) {
					run(b, func(ctx context.Context) (*backtest.Result, error) { return bt.Preview(ctx, req) })
				})
			}
		})
	}
}
