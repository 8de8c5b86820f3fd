package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// MoveLeaders has another broker lead each partition, also those by which groups are
// coordinated: the replicas are put in another order, and the first one is elected. It
// waits until all are in sync and lead so.
func (c *Cluster) MoveLeaders() {
	c.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Addrs()...))
	if err != nil {
		c.t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	first := c.brokers[0]
	first.Await("has all replicas in sync", func(ctx context.Context) error {
		return eachPartition(ctx, admin, func(p kadm.PartitionDetail) error {
			if len(p.ISR) < len(p.Replicas) {
				return fmt.Errorf("%s/%d: in sync are %v of %v", p.Topic, p.Partition, p.ISR, p.Replicas)
			}
			return nil
		})
	})
	ctx := context.Background()
	var order kadm.AlterPartitionAssignmentsReq
	all := make(kadm.TopicsSet)
	err = eachPartition(ctx, admin, func(p kadm.PartitionDetail) error {
		at := slices.Index(p.Replicas, p.Leader)
		order.Assign(p.Topic, p.Partition, slices.Concat(p.Replicas[at+1:], p.Replicas[:at+1]))
		all.Add(p.Topic, p.Partition)
		return nil
	})
	if err == nil {
		var said kadm.AlterPartitionAssignmentsResponses
		said, err = admin.AlterPartitionAssignments(ctx, order)
		err = errors.Join(err, said.Error())
	}
	if err != nil {
		c.t.Fatalf("put the replicas in another order: %v", err)
	}
	first.Await("says that the first replicas lead", func(ctx context.Context) error {
		_, err := admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, all)
		if err != nil {
			return err
		}
		return eachPartition(ctx, admin, func(p kadm.PartitionDetail) error {
			if p.Leader != p.Replicas[0] {
				return fmt.Errorf("%s/%d: %d leads of %v", p.Topic, p.Partition, p.Leader, p.Replicas)
			}
			return nil
		})
	})
}

func eachPartition(ctx context.Context, admin *kadm.Client, f func(kadm.PartitionDetail) error) error {
	topics, err := admin.ListTopicsWithInternal(ctx)
	if err != nil {
		return err
	}
	topics.EachPartition(func(p kadm.PartitionDetail) { err = errors.Join(err, p.Err, f(p)) })
	return err
}
