package console

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"heed/internal/channel/outbox"
	"heed/internal/channel/sms/segment"
	"heed/internal/console/api"
	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/policy"
)

// ListDeliveries searches the log for outcomes.
func (s *server) ListDeliveries(ctx context.Context, r api.ListDeliveriesRequestObject) (api.ListDeliveriesResponseObject, error) {
	c, q := s.c, r.Params
	limit, err := api.PageSize(q.Limit)
	if err != nil {
		return nil, err
	}
	if q.Status != "" && !q.Status.Valid() {
		return nil, api.BadRequest("there is no status "+cut(string(q.Status), 40), "sent, failed, held, refused, shown, clicked or dismissed")
	}
	partitions := c.allPartitions()
	if q.User != "" {
		if err := userID(q.User); err != nil {
			return nil, err
		}
		partitions = []int{eventlog.PartitionOf(q.User, len(partitions))}
	}
	res, err := c.scanOf(limit, func(h *event.Header) bool {
		return api.IsDelivery(h.Name) && (q.User == "" || h.User() == q.User)
	}, func(partition int, offset uint64, e *event.Event) (any, bool) {
		d, err := api.DeliveryOf(partition, offset, e)
		if err != nil {
			return nil, false
		}
		return d, (q.Campaign == "" || d.Campaign == q.Campaign) && (q.Status == "" || d.Status == q.Status)
	}).Run(ctx, partitions, q.Before)
	if err != nil {
		return nil, err
	}
	out := api.ListDeliveries200JSONResponse{
		Deliveries: []api.Delivery{}, SearchedTo: api.Time(res.SearchedTo), Complete: res.Complete, Next: res.Next,
	}
	for _, h := range res.Hits {
		if d, ok := h.Item.(api.Delivery); ok {
			out.Deliveries = append(out.Deliveries, d)
		}
	}
	return out, nil
}

// messageOf shows a message of the outbox.
func (c *Console) messageOf(m outbox.Message) api.OutboxMessage {
	out := api.OutboxMessage{
		Id: m.Key, At: api.Time(m.Created), User: m.User, To: m.To, Channel: cmp.Or(m.Channel, outbox.Type), Campaign: m.Campaign, Template: m.Template,
		Subject: m.Subject, As: m.As, Test: m.Test,
	}
	if m.Created == 0 {
		out.At = api.Time(m.At)
	}
	switch {
	case m.As == definition.ChannelSMS:
		n := segment.Of(m.Body)
		out.Text, out.Sms = m.Body, api.SmsCount{Encoding: api.SmsCountEncoding(n.Encoding), Units: n.Units, Segments: n.Segments}
	case m.As == definition.ChannelPush || !strings.Contains(m.Body, "<"):
		out.Text = m.Body
	default:
		out.Html = m.Body
	}
	return out
}

// ListOutbox lists what the outbox caught.
func (s *server) ListOutbox(ctx context.Context, r api.ListOutboxRequestObject) (api.ListOutboxResponseObject, error) {
	limit, err := api.PageSize(r.Params.Limit)
	if err != nil {
		return nil, err
	}
	if len(r.Params.Before) > documents.MaxKeyBytes {
		return nil, api.BadRequest("before is not understood", "give `next` of the page before")
	}
	messages, err := outbox.List(ctx, s.c.deps.Documents, r.Params.Before, limit)
	if err != nil {
		return nil, err
	}
	out := api.ListOutbox200JSONResponse{Messages: make([]api.OutboxMessage, len(messages))}
	for i, m := range messages {
		out.Messages[i] = s.c.messageOf(m)
	}
	if len(messages) == limit {
		out.Next = messages[limit-1].Key
	}
	return out, nil
}

// GetOutboxMessage reads one message.
func (s *server) GetOutboxMessage(ctx context.Context, r api.GetOutboxMessageRequestObject) (api.GetOutboxMessageResponseObject, error) {
	if r.Id == "" || len(r.Id) > documents.MaxKeyBytes {
		return nil, api.NotFound("there is no such message")
	}
	d, err := s.c.deps.Documents.Get(ctx, outbox.Collection, r.Id)
	if errors.Is(err, documents.ErrNotFound) {
		return nil, api.NotFound("there is no such message")
	}
	if err != nil {
		return nil, fmt.Errorf("read a message: %w", err)
	}
	m := outbox.Message{Key: d.Key}
	if err := json.Unmarshal(d.Value, &m); err != nil {
		return nil, fmt.Errorf("read message %s: %w", d.Key, err)
	}
	return api.GetOutboxMessage200JSONResponse(s.c.messageOf(m)), nil
}

// GetCampaignReport counts a campaign's outcomes.
func (s *server) GetCampaignReport(ctx context.Context, r api.GetCampaignReportRequestObject) (api.GetCampaignReportResponseObject, error) {
	c := s.c
	if c.deps.Live == nil {
		return nil, api.Fail(http.StatusServiceUnavailable, "unavailable", "this process does not count outcomes", "run it with the role analytics")
	}
	report := c.deps.Live.Report(r.Name)
	report.Waiting = []api.WaitingCount{}
	if c.deps.Sender != nil {
		waiting, complete, err := c.deps.Sender.Backlog(ctx, r.Name)
		if err != nil {
			return nil, fmt.Errorf("count what waits: %w", err)
		}
		report.More = !complete
		for _, why := range policy.Waits() {
			if n := waiting[why]; n > 0 {
				report.Waiting = append(report.Waiting, api.WaitingCount{Reason: string(why), Count: n})
			}
		}
	}
	if c.deps.Definitions.Current().Campaigns[r.Name] == nil && report.Activations == 0 && report.Tests == 0 {
		return nil, api.NotFound("there is no such campaign, and there never was one with outcomes")
	}
	if report.Outcomes == nil {
		report.Outcomes = []api.StatusCount{}
	}
	report.Campaign, report.AsOf = r.Name, c.now().UTC()
	return api.GetCampaignReport200JSONResponse(report), nil
}
