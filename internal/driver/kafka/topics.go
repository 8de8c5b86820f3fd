package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"heed/internal/eventlog"
)

// topic is one stream.
type topic struct {
	name       string
	headers    [][]kgo.RecordHeader // of records with so many events
	partitions []*partition

	mu      sync.Mutex
	id      kadm.TopicID
	leaders []int32 // of the partitions; -1: none
}

// partition is one partition of a stream.
type partition struct {
	topic  *topic
	number int32
	tail   tail

	mu  sync.Mutex
	end end // as last asked for
}

// end is where a partition ends.
type end struct {
	record int64 // the first offset of Kafka's that is not there
	next   uint64
	time   int64 // ms
}

func (p *partition) String() string { return fmt.Sprintf("%s/%d", p.topic.name, p.number) }

// leader is the broker that answers for the partition, if one is known.
func (p *partition) leader() (broker int32, id kadm.TopicID, ok bool) {
	t := p.topic
	t.mu.Lock()
	defer t.mu.Unlock()
	broker = t.leaders[p.number]
	return broker, t.id, broker >= 0
}

// learn takes over who leads the partitions.
func (t *topic) learn(d kadm.TopicDetail) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.id = d.ID
	for n := range t.leaders {
		t.leaders[n] = -1
		if p, ok := d.Partitions[int32(n)]; ok && p.Err == nil {
			t.leaders[n] = p.Leader
		}
	}
}

// names of the two topics.
func (l *Log) names() map[eventlog.Stream]string {
	return map[eventlog.Stream]string{
		eventlog.Events:  l.cfg.Prefix + string(eventlog.Events),
		eventlog.Intents: l.cfg.Prefix + string(eventlog.Intents),
	}
}

// refresh asks who leads the partitions; if nobody answers, what was known stays.
func (l *Log) refresh(ctx context.Context) {
	var names []string
	for _, t := range l.topics {
		names = append(names, t.name)
	}
	if len(names) == 0 { // at the start
		return
	}
	meta, err := l.admin.Metadata(ctx, names...)
	if err != nil {
		return
	}
	for _, t := range l.topics {
		if d, ok := meta.Topics[t.name]; ok && d.Err == nil {
			t.learn(d)
		}
	}
}

// prepare creates the topics or checks that they are as they must be.
func (l *Log) prepare(ctx context.Context) error {
	names := l.names()
	details, err := l.describe(ctx, names)
	if err != nil {
		return err
	}
	want := l.cfg.Partitions
	for _, d := range details {
		if want == 0 && d.Err == nil {
			want = len(d.Partitions)
		}
	}
	if want == 0 {
		want = DefaultPartitions
	}
	for _, name := range names {
		if errors.Is(details[name].Err, kerr.UnknownTopicOrPartition) {
			if err := l.create(ctx, name, want); err != nil {
				return fmt.Errorf("create topic %s: %w", name, err)
			}
		}
	}
	// A topic that was just created takes a moment to be known everywhere.
	err = l.insist(ctx, func(ctx context.Context) error {
		if details, err = l.describe(ctx, names); err != nil {
			return err
		}
		for name, d := range details {
			if d.Err != nil {
				return fmt.Errorf("topic %s: %w", name, d.Err)
			}
			for _, p := range d.Partitions {
				if p.Leader < 0 {
					return fmt.Errorf("%s/%d: %w", name, p.Partition, kerr.LeaderNotAvailable)
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := l.check(ctx, details, want); err != nil {
		return err
	}
	l.partitions = want
	l.topics = make(map[eventlog.Stream]*topic)
	for s, name := range names {
		t := &topic{name: name, headers: headersOf(s), leaders: make([]int32, want)}
		for n := range want {
			p := &partition{topic: t, number: int32(n)}
			p.tail.init()
			t.partitions = append(t.partitions, p)
		}
		t.learn(details[name])
		l.topics[s] = t
	}
	return nil
}

func (l *Log) describe(ctx context.Context, names map[eventlog.Stream]string) (details kadm.TopicDetails, err error) {
	err = l.insist(ctx, func(ctx context.Context) error {
		meta, err := l.admin.Metadata(ctx, names[eventlog.Events], names[eventlog.Intents])
		details = meta.Topics
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ask for the topics: %w", err)
	}
	return details, nil
}

// rule is what a topic's setting must be.
type rule struct {
	name, want string
	ok         func(got string) bool
	why        string
}

// rules are what new topics get, and existing ones must have.
func (l *Log) rules() []rule {
	is := func(name, want, why string) rule {
		return rule{name, want, func(got string) bool { return got == want }, why}
	}
	atLeast := func(name string, least int64, why string) rule {
		return rule{name, strconv.FormatInt(least, 10), func(got string) bool {
			n, err := strconv.ParseInt(got, 10, 64)
			return err == nil && n >= least
		}, why}
	}
	kept := atLeast("retention.ms", l.cfg.Retention.Milliseconds(), "records must last for the retention, or -1: until Heed removes them")
	long := kept.ok
	kept.want, kept.ok = "-1", func(got string) bool { return got == "-1" || long(got) }
	return []rule{
		is("cleanup.policy", "delete", "compaction would remove events"),
		is("message.timestamp.type", "LogAppendTime", "log time is the brokers', not that of whoever appends"),
		is("unclean.leader.election.enable", "false", "a broker that lacks acknowledged records must not lead"),
		is("retention.bytes", "-1", "records would go before they were worked off"),
		atLeast("min.insync.replicas", int64(l.cfg.MinInsync), "fewer brokers would have what was acknowledged"),
		atLeast("max.message.bytes", maxMessage+1<<10, "larger requests would be refused"),
		kept,
	}
}

func (l *Log) create(ctx context.Context, name string, partitions int) error {
	settings := make(map[string]*string)
	for _, r := range l.rules() {
		settings[r.name] = new(r.want)
	}
	_, err := l.admin.CreateTopic(ctx, int32(partitions), int16(l.cfg.Replication), settings, name)
	if errors.Is(err, kerr.TopicAlreadyExists) { // another process was faster
		return nil
	}
	return err
}

// check tells everything that is wrong with the topics.
func (l *Log) check(ctx context.Context, details kadm.TopicDetails, partitions int) error {
	var wrong []error
	add := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	var names []string
	for _, d := range details.Sorted() {
		name := d.Topic
		names = append(names, name)
		if len(d.Partitions) != partitions {
			add("topic %s has %d partitions, not %d: their number is fixed when an installation is created", name, len(d.Partitions), partitions)
		}
		for _, p := range d.Partitions.Sorted() {
			if len(p.Replicas) < l.cfg.Replication {
				add("topic %s: partition %d is on %d brokers, replication asks for %d", name, p.Partition, len(p.Replicas), l.cfg.Replication)
				break
			}
		}
	}
	var configs kadm.ResourceConfigs
	err := l.insist(ctx, func(ctx context.Context) (err error) {
		if configs, err = l.admin.DescribeTopicConfigs(ctx, names...); err != nil {
			return err
		}
		for _, c := range configs {
			if c.Err != nil { // also of a broker that has not heard of a new topic yet
				return fmt.Errorf("topic %s: %w", c.Name, c.Err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("ask for the topics' settings: %w", err)
	}
	for _, c := range configs {
		got := make(map[string]string)
		for _, set := range c.Configs {
			got[set.Key] = set.MaybeValue()
		}
		for _, r := range l.rules() {
			if !r.ok(got[r.name]) {
				add("topic %s: %s is %q, not %q: %s", c.Name, r.name, got[r.name], r.want, r.why)
			}
		}
	}
	return errors.Join(wrong...)
}
