package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// demand is how much of what is acknowledged a server may lose when it crashes.
type demand int

const (
	// replayed: it is made again from the log, so the last second may be lost.
	replayed demand = iota
	// kept: nobody makes it again. On disk, or on replicas, before the answer.
	kept
)

// oldest is the first version with what the scripts need (sharded channels).
const oldest = 7

// info is what a server says of itself.
type info map[string]string

func infoOf(ctx context.Context, node *redis.Client) (info, error) {
	text, err := node.Info(ctx).Result()
	if err != nil {
		return nil, err
	}
	out := make(info)
	for line := range strings.SplitSeq(text, "\r\n") {
		if key, value, ok := strings.Cut(line, ":"); ok {
			out[key] = value
		}
	}
	return out, nil
}

// check asks every node, replicas too: they lead after a failover. It tells all
// that is wrong.
func (c *conn) check(ctx context.Context, d demand) error {
	var mu sync.Mutex
	var wrong error
	note := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		wrong = errors.Join(wrong, err)
	}
	one := func(ctx context.Context, node *redis.Client) error {
		said, err := infoOf(ctx, node)
		if err != nil {
			return err
		}
		fsync, err := node.ConfigGet(ctx, "appendfsync").Result()
		if err != nil && temporary(err) {
			return err
		}
		for _, text := range c.judge(said, fsync["appendfsync"], err, d) {
			note(fmt.Errorf("%s: %s", node.Options().Addr, text))
		}
		return nil
	}
	err := c.try(ctx, func(ctx context.Context) error {
		wrong = nil
		if c.cfg.Sentinel.set() {
			return c.eachWatched(ctx, one)
		}
		if c.cluster == nil {
			node, _ := c.client.(*redis.Client)
			return one(ctx, node)
		}
		state, err := c.cluster.ClusterInfo(ctx).Result()
		if err != nil {
			return err
		}
		if !strings.Contains(state, "cluster_state:ok") {
			return errors.New("the cluster is not ok: some of its slots have no node (redis-cli cluster info)")
		}
		return c.cluster.ForEachShard(ctx, one)
	})
	return errors.Join(err, wrong)
}

// judge tells what is wrong with a node, by what it says. fsyncErr is why it did
// not say how often it syncs.
func (c *conn) judge(said info, fsync string, fsyncErr error, d demand) (wrong []string) {
	add := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	version, _, _ := strings.Cut(said["redis_version"], ".")
	if n, err := strconv.Atoi(version); err != nil || n < oldest {
		add("version %q, %d or later is needed", said["redis_version"], oldest)
	}
	if p := said["maxmemory_policy"]; p != "noeviction" {
		add("maxmemory-policy is %q, and would drop users' state when memory is short: set it to noeviction", p)
	}
	if said["aof_enabled"] != "1" {
		add("appendonly is off, a restart would lose what was acknowledged: set it to yes")
	}
	switch {
	case fsyncErr != nil:
		add("it does not tell its appendfsync (allow the user CONFIG GET): %v", fsyncErr)
	case fsync == "always":
	case fsync == "everysec" && d == replayed:
	case fsync == "everysec" && c.cfg.Replicas > 0:
	case fsync == "everysec":
		add("appendfsync is everysec, a crash would lose messages of the last second for good: set it to always, or replicas to 1 or more")
	default:
		add("appendfsync is %q: set it to always", fsync)
	}
	if said["role"] == "slave" && c.cluster == nil && !c.cfg.Sentinel.set() {
		add("it is a replica: name the server that it follows, %s:%s", said["master_host"], said["master_port"])
	}
	if said["role"] == "master" {
		if n, _ := strconv.Atoi(said["connected_slaves"]); n < c.cfg.Replicas {
			add("replicas asks for %d, %d are connected", c.cfg.Replicas, n)
		}
	}
	return wrong
}
