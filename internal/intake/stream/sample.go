package stream

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"heed/internal/console/api"
	"heed/internal/definition"
	"heed/internal/event"
	"heed/internal/intake/message"
)

// Bounds of a sample.
const (
	sampleTimeout    = 10 * time.Second // of all of it
	sampleSilence    = 2 * time.Second  // the newest places may be no messages
	samplePartitions = 32
	sampleTopics     = 1000
	sampleValue      = 8 << 10 // bytes of a value that are shown
	sampleFields     = 200
	sampleDepth      = 5
	sampleExamples   = 3
	sampleExample    = 80 // bytes
)

// ErrUnreachable says that brokers could not be asked, and why.
var ErrUnreachable = errors.New("the sample cannot be taken")

// Sample reads the newest messages of a topic, and says what a draft of a stream
// would make of them. The draft may be wrong: what it can be used for is done.
func Sample(ctx context.Context, d *definition.Stream, n int, now time.Time, log *slog.Logger) (*api.StreamSample, error) {
	ctx, cancel := context.WithTimeout(ctx, sampleTimeout)
	defer cancel()
	out := &api.StreamSample{Topics: []string{}, Messages: []api.StreamMessage{}, Fields: []api.StreamField{}, Problems: []api.Problem{}}
	client, err := ask(&d.Kafka, log)
	if err != nil {
		return nil, unreachable(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	if d.Topic == "" {
		topics, err := admin.ListTopics(ctx)
		if err != nil {
			return nil, unreachable(err)
		}
		names := topics.Names()
		slices.Sort(names)
		out.Topics = append(out.Topics, names[:min(len(names), sampleTopics)]...)
	} else {
		records, partitions, err := newest(ctx, admin, d, n, log)
		if err != nil {
			return nil, unreachable(err)
		}
		out.Partitions = partitions
		show(ctx, out, d, records, now)
	}
	_, problems := definition.NewSet(0, []definition.Document{definition.NewDocument(definition.KindStream, d.Name, d)})
	out.Problems = api.ProblemsOf(problems)
	return out, nil
}

func unreachable(err error) error { return fmt.Errorf("%w: %s", ErrUnreachable, inWords(err)) }

// newest reads the last n messages of a topic, newest first.
func newest(ctx context.Context, admin *kadm.Client, d *definition.Stream, n int, log *slog.Logger) (records []*kgo.Record, partitions int, err error) {
	ends, err := admin.ListEndOffsets(ctx, d.Topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, 0, err
	}
	starts, err := admin.ListStartOffsets(ctx, d.Topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, 0, err
	}
	from := map[int32]kgo.Offset{}
	for _, p := range slices.Sorted(maps.Keys(ends[d.Topic])) {
		start, end := starts[d.Topic][p].Offset, ends[d.Topic][p].Offset
		if end > start && len(from) < samplePartitions {
			from[p] = kgo.NewOffset().At(max(start, end-int64(n)))
		}
	}
	partitions = len(ends[d.Topic])
	if len(from) == 0 {
		return nil, partitions, nil
	}
	opts, err := d.Kafka.Conn(askTimeout).Options(log)
	if err != nil {
		return nil, 0, err
	}
	client, err := kgo.NewClient(append(opts,
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{d.Topic: from}),
		kgo.FetchMaxBytes(fetchBytes), kgo.MaxDecompressBatchBytes(unpackBytes),
	)...)
	if err != nil {
		return nil, 0, err
	}
	defer client.Close()
	for len(from) > 0 {
		quiet, cancel := context.WithTimeout(ctx, sampleSilence)
		fetched := client.PollRecords(quiet, pollRecords)
		cancel()
		if errors.Is(fetched.Err0(), context.DeadlineExceeded) {
			break // what is left are no messages
		}
		for _, f := range fetched.Errors() {
			return nil, 0, f.Err
		}
		for _, r := range fetched.Records() {
			records = append(records, r)
			if r.Offset+1 >= ends[d.Topic][r.Partition].Offset {
				delete(from, r.Partition)
			}
		}
	}
	slices.SortFunc(records, func(a, b *kgo.Record) int {
		return cmp.Or(b.Timestamp.Compare(a.Timestamp), cmp.Compare(b.Offset, a.Offset))
	})
	return records[:min(n, len(records))], partitions, nil
}

// show puts records into a sample.
func show(ctx context.Context, out *api.StreamSample, d *definition.Stream, records []*kgo.Record, now time.Time) {
	_, problems := definition.NewSet(0, []definition.Document{definition.NewDocument(definition.KindStream, d.Name, d)})
	m, err := message.New(d, schemasOf(d))
	if err != nil { // as with a schema that is not written yet
		m, err = message.New(&definition.Stream{Name: d.Name}, nil)
	}
	if err != nil {
		return // of an empty one: cannot happen
	}
	found := fields{}
	for _, r := range records {
		msg := messageOf(r)
		value := m.Shown(ctx, &msg)
		shown := api.StreamMessage{
			Partition: r.Partition, Offset: r.Offset, At: r.Timestamp.UTC(), Bytes: len(r.Value), Events: []api.EventSummary{},
			Key: readable(r.Key, sampleExample), Value: readable(value, sampleValue),
		}
		found.message(&msg, value)
		_, err := m.Value(ctx, &msg)
		if err == nil && len(problems) == 0 {
			var events []event.Event
			events, err = m.Events(ctx, &msg, now.UnixMicro())
			for i := range events {
				shown.Events = append(shown.Events, api.SummaryOf(0, 0, &events[i]))
			}
		}
		if err != nil {
			shown.Problem = err.Error()
		}
		out.Messages = append(out.Messages, shown)
	}
	out.Fields = found.list()
}

func readable(text []byte, most int) string {
	return strings.ToValidUTF8(event.Cut(string(text[:min(len(text), most+4)]), most), "�")
}

// fields are the places of the messages of a sample.
type fields map[string]*api.StreamField

func (f fields) message(m *message.Message, value []byte) {
	if m.Key != nil {
		f.add(definition.PlaceKey, api.PlaceText, readable(m.Key, sampleExample))
	}
	for _, h := range m.Headers {
		if len(f) < sampleFields {
			f.add(definition.PlaceHeaders+"."+h.Name, api.PlaceText, readable(h.Value, sampleExample))
		}
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(value, &object) == nil {
		f.object(definition.PlaceValue, object, 1)
	}
}

func (f fields) object(at string, object map[string]json.RawMessage, depth int) {
	for _, name := range slices.Sorted(maps.Keys(object)) {
		place, raw := at+"."+name, object[name]
		if f[place] == nil && len(f) >= sampleFields || strings.Contains(name, ".") || name == "" {
			continue
		}
		typ := typeOf(raw)
		var inner map[string]json.RawMessage
		if typ == api.PlaceObject && depth < sampleDepth && json.Unmarshal(raw, &inner) == nil && len(inner) > 0 {
			f.object(place, inner, depth+1)
			continue
		}
		example := string(raw)
		if raw[0] == '"' {
			_ = json.Unmarshal(raw, &example) // it is a string
		}
		f.add(place, typ, readable([]byte(example), sampleExample))
	}
}

func (f fields) add(place string, typ api.StreamFieldType, example string) {
	at := f[place]
	if at == nil {
		at = &api.StreamField{Place: place, Type: typ, Examples: []string{}}
		f[place] = at
	}
	at.Messages++
	switch {
	case at.Type == api.PlaceNothing:
		at.Type = typ
	case typ != api.PlaceNothing && typ != at.Type:
		at.Type = api.PlaceMixed
	}
	if typ != api.PlaceNothing && len(at.Examples) < sampleExamples && !slices.Contains(at.Examples, example) {
		at.Examples = append(at.Examples, example)
	}
}

func (f fields) list() []api.StreamField {
	out := []api.StreamField{}
	for _, place := range slices.Sorted(maps.Keys(f)) {
		out = append(out, *f[place])
	}
	return out
}

// typeOf is the type of a value in JSON.
func typeOf(raw json.RawMessage) api.StreamFieldType {
	switch raw[0] {
	case 'n':
		return api.PlaceNothing
	case 't', 'f':
		return api.PlaceBoolean
	case '{':
		return api.PlaceObject
	case '[':
		return api.PlaceList
	case '"':
		var text string
		if json.Unmarshal(raw, &text) == nil {
			if _, err := time.Parse(time.RFC3339, text); err == nil {
				return api.PlaceTime
			}
		}
		return api.PlaceText
	default:
		return api.PlaceNumber
	}
}
