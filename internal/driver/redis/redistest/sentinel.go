package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// MasterName is the name by which sentinels know the servers.
const MasterName = "heed"

// Watched is a server, its replicas, and three sentinels that have a replica lead a
// second or two after the leader was lost. Its methods are called by one goroutine at
// a time.
type Watched struct {
	t         testing.TB
	servers   []*Server
	sentinels []*Server
}

// StartWatched starts all of them, and waits until the sentinels know each other and
// the replicas. Settings are the servers'.
func StartWatched(t testing.TB, replicas int, settings ...string) *Watched {
	t.Helper()
	w := &Watched{t: t, servers: []*Server{Start(t, settings...)}}
	leader := w.servers[0]
	for range replicas {
		w.servers = append(w.servers, leader.Follow(settings...))
	}
	host, port, _ := net.SplitHostPort(leader.addr)
	for range 3 {
		s := prepare(t)
		conf := filepath.Join(t.TempDir(), "sentinel.conf")
		_, own, _ := net.SplitHostPort(s.addr)
		lines := []string{
			"port " + own, "bind " + host, "dir " + filepath.Dir(conf),
			fmt.Sprintf("sentinel monitor %s %s %s 2", MasterName, host, port),
			"sentinel down-after-milliseconds " + MasterName + " 1500",
			"sentinel failover-timeout " + MasterName + " 3000", // also half the time until it may fail again
		}
		if err := os.WriteFile(conf, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		s.args = []string{s.args[0], conf, "--sentinel"}
		s.Restart()
		w.sentinels = append(w.sentinels, s)
	}
	for _, s := range w.sentinels {
		s.Await("knows the others", func(ctx context.Context) error {
			said, err := s.client.Do(ctx, "sentinel", "master", MasterName).Result()
			if want := fmt.Sprintf("num-slaves %d num-other-sentinels 2", replicas); err == nil && !strings.Contains(fmt.Sprint(said), want) {
				err = fmt.Errorf("it says %v", said)
			}
			return err
		})
	}
	return w
}

// Sentinels are their addresses.
func (w *Watched) Sentinels() []string {
	var out []string
	for _, s := range w.sentinels {
		out = append(out, s.addr)
	}
	return out
}

// SentinelsDo asks each of them.
func (w *Watched) SentinelsDo(args ...any) {
	w.t.Helper()
	for _, s := range w.sentinels {
		if err := s.client.Do(context.Background(), args...).Err(); err != nil {
			w.t.Fatalf("%v at sentinel %s: %v", args, s.addr, err)
		}
	}
}

// Leader is the server that leads, as the first sentinel says.
func (w *Watched) Leader() *Server {
	w.t.Helper()
	said, err := w.sentinels[0].client.Do(context.Background(), "sentinel", "get-master-addr-by-name", MasterName).StringSlice()
	if err != nil {
		w.t.Fatal(err)
	}
	i := slices.IndexFunc(w.servers, func(s *Server) bool { return s.addr == strings.Join(said, ":") })
	if i < 0 {
		w.t.Fatalf("a server that is not ours leads: %v", said)
	}
	return w.servers[i]
}

func (w *Watched) split() (leader *Server, replicas []*Server) {
	w.t.Helper()
	leader = w.Leader()
	return leader, slices.DeleteFunc(slices.Clone(w.servers), func(s *Server) bool { return s == leader })
}

// AwaitFollowing waits until the replicas have everything.
func (w *Watched) AwaitFollowing() {
	w.t.Helper()
	_, replicas := w.split()
	for _, s := range replicas {
		s.AwaitFollowing()
	}
}

// AwaitOther waits until the sentinels have another server lead than the one that did.
func (w *Watched) AwaitOther(was *Server) *Server {
	w.t.Helper()
	w.sentinels[0].Await("has another server lead", func(context.Context) error {
		if w.Leader() == was {
			return errors.New("not yet")
		}
		return nil
	})
	return w.Leader()
}

// Rejoin starts a server that was killed as a replica of the leader, as the
// sentinels would after a while, and waits until it has everything.
func (w *Watched) Rejoin(s *Server) {
	w.t.Helper()
	s.follow(w.Leader())
}

// Deafen keeps the replicas from hearing more of the leader than they have, until
// mend: what is written meanwhile is lost when one of them leads.
func (w *Watched) Deafen() (mend func()) {
	w.t.Helper()
	leader, replicas := w.split()
	for _, s := range replicas {
		s.Set("masterauth", "a password, which the leader does not know and refuses")
	}
	if err := leader.client.ClientKillByFilter(context.Background(), "type", "replica").Err(); err != nil {
		w.t.Fatal(err)
	}
	return func() {
		w.t.Helper()
		for _, s := range replicas {
			s.Set("masterauth", "")
		}
	}
}
