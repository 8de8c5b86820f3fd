package kafka

import (
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"heed/internal/driver/kafka/kafkatest"
	"heed/internal/eventlog"
	"heed/internal/eventlog/eventlogtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testConfig is for topics of the test's own on one broker.
func testConfig(t *testing.T, c *kafkatest.Cluster) Config {
	t.Helper()
	name := strings.NewReplacer("/", ".", "#", "-").Replace(t.Name())
	return Config{Brokers: c.Addrs(), Prefix: name + ".", Partitions: 4, Replication: 1}
}

func open(t *testing.T, cfg Config) *Log {
	t.Helper()
	l, err := Open(t.Context(), cfg, Deps{Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// TestOneBroker holds what needs one broker: they share it, as starting one takes
// seconds.
func TestOneBroker(t *testing.T) {
	c := kafkatest.Start(t, 1)
	t.Run("Eventlog", func(t *testing.T) {
		eventlogtest.Run(t, func(t *testing.T, _ *eventlogtest.Clock) eventlogtest.Subject {
			cfg := testConfig(t, c)
			l := open(t, cfg)
			return eventlogtest.Subject{Log: l, Repeats: true, OwnTime: true, Reopen: func(t *testing.T) eventlog.Log {
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				l = open(t, cfg)
				return l
			}}
		})
	})
}
