package kafka

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"heed/internal/driver/kafka/kafkatest"
)

// member is a process that takes part in a deal.
type member struct {
	mu    sync.Mutex
	own   []int
	dealt bool
	stop  context.CancelFunc
	ended chan error
}

func (m *member) has() ([]int, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.own, m.dealt
}

// testDeal: members come and go, and each partition is soon one member's, and never
// two's.
func testDeal(t *testing.T, c *kafkatest.Cluster) {
	cfg := testConfig(t, c)
	cfg.Session = 6 * time.Second
	var owned sync.Map // partition -> *member
	join := func() *member {
		m := &member{ended: make(chan error, 1)}
		l := open(t, cfg)
		ctx, stop := context.WithCancel(t.Context())
		m.stop = stop
		go func() {
			m.ended <- l.Deal(ctx, "work", func(own []int) {
				m.mu.Lock()
				defer m.mu.Unlock()
				for _, p := range m.own {
					if !slices.Contains(own, p) {
						owned.CompareAndDelete(p, m)
					}
				}
				for _, p := range own {
					if other, taken := owned.LoadOrStore(p, m); taken && other != m {
						t.Errorf("partition %d is two members'", p)
					}
				}
				m.own, m.dealt = own, true
			})
		}()
		return m
	}
	settled := func(members ...*member) {
		t.Helper()
		end := time.Now().Add(2 * time.Minute)
		for {
			var all []int
			fair := true
			for _, m := range members {
				own, dealt := m.has()
				all = append(all, own...)
				fair = fair && dealt && len(own) >= 4/len(members)
			}
			slices.Sort(all)
			if fair && slices.Equal(all, []int{0, 1, 2, 3}) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%d members have %v", len(members), all)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	leave := func(m *member) {
		t.Helper()
		m.stop()
		if err := <-m.ended; err != nil {
			t.Error(err)
		}
		if own, _ := m.has(); len(own) > 0 {
			t.Errorf("a member that has left still has %v", own)
		}
	}
	first := join()
	settled(first)
	second := join()
	settled(first, second)
	third := join()
	settled(first, second, third)
	leave(first)
	settled(second, third)
	fourth, fifth, sixth := join(), join(), join()
	settled(second, third, fourth, fifth, sixth) // one of them has none, and knows it
	for _, m := range []*member{second, third, fourth, fifth, sixth} {
		leave(m)
	}
}
