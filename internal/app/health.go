package app

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"heed/internal/console/api"
	"heed/internal/eventlog"
	"heed/internal/eventlog/backlog"
)

// follower is a role that reads the log.
type follower struct {
	role string
	backlog.Reader
}

// watch has the health tell how far a role is behind, and the metric
// heed_<metric>_behind_seconds, unless that is "".
func (n *node) watch(role, metric string, s eventlog.Stream, next func(context.Context) (map[int]uint64, error)) error {
	f := &follower{role, backlog.Reader{Log: n.db.log, Stream: s, Next: next, Clock: time.Now}}
	n.followers = append(n.followers, f)
	if metric == "" {
		return nil
	}
	if err := n.registry.Register(f.Metric(metric)); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	return nil
}

// intentsDone is the first offset whose intent the ledger may lack, of each partition
// that the Engager has here.
func (n *node) intentsDone(ctx context.Context) (map[int]uint64, error) {
	all, err := n.engager.Consumed(ctx)
	out := map[int]uint64{}
	for p, next := range all {
		if n.engager.Has(p) {
			out[p] = next
		}
	}
	return out, err
}

// lagTimeout bounds how long the log is asked how far roles are behind.
const lagTimeout = 2 * time.Second

// lags tells how far the roles are behind, in order of role and partition.
func (n *node) lags(ctx context.Context, out *api.Health) {
	ctx, cancel := context.WithTimeout(ctx, lagTimeout)
	defer cancel()
	for _, f := range n.followers {
		behind, err := f.Behind(ctx)
		if err != nil {
			out.Status = api.HealthDegraded
			out.Notes = append(out.Notes, fmt.Sprintf("How far the role %s is behind is not known of all partitions: %v", f.role, err))
		}
		for p, d := range behind {
			out.Lags = append(out.Lags, api.Lag{Role: f.role, Stream: string(f.Stream), Partition: p, Ms: int64((d + time.Millisecond - 1) / time.Millisecond)})
		}
	}
	slices.SortStableFunc(out.Lags, func(a, b api.Lag) int {
		return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Partition, b.Partition))
	})
}

// health tells how the process fares.
type health struct {
	node    *node
	version string
}

func (h health) Health(ctx context.Context) (api.Health, error) {
	n := h.node
	out := api.Health{
		AsOf: time.Now().UTC(), Status: api.HealthOK, Version: h.version, GoVersion: runtime.Version(), Shape: n.cfg.Shape,
		StartedAt: n.started.UTC(), Revision: n.catalog.Current().Revision, MemoryBytes: readMemory().resident,
		Roles: []api.RoleHealth{}, Lags: []api.Lag{},
	}
	for _, p := range n.parts() {
		out.Roles = append(out.Roles, api.RoleHealth{Role: p.Name, Ready: p.Ready, Message: p.Message})
		if !p.Ready {
			out.Status = api.HealthDegraded
		}
	}
	n.lags(ctx, &out)
	n.factsHealth(&out)
	n.behaviorHealth(&out)
	n.sessionsHealth(&out)
	n.othersHealth(ctx, &out)
	out.Disk = api.Disk{Path: n.cfg.DataDir}
	if db := n.db.embedded; db != nil {
		used, err := db.DiskUsage()
		if err != nil {
			return out, fmt.Errorf("disk usage: %w", err)
		}
		out.Disk.UsedBytes = int64(used)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(n.cfg.DataDir, &fs); err != nil {
		return out, fmt.Errorf("free disk space: %w", err)
	}
	out.Disk.FreeBytes = int64(fs.Bavail) * fs.Bsize
	if n.db.embedded != nil && out.Disk.FreeBytes < n.cfg.Store.Reserve {
		out.Disk.ReserveReached, out.Status = true, api.HealthDegraded
		out.Notes = append(out.Notes, "The disk reserve is reached: events are refused with 503 until there is space again.")
	}
	return out, nil
}
