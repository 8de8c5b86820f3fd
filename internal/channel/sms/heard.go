package sms

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"heed/internal/channel"
	"heed/internal/channel/sms/keyword"
	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/phone"
)

// collectionNumbers holds what is known of who wrote to a sender, by a hash of
// sender and number.
const collectionNumbers = "sms-numbers"

// repliesPerDay to one number: who writes more than that gets no answer, for
// answers cost money.
const repliesPerDay = 5

// What a number last asked for.
const (
	stopped = "stop"
	started = "start"
)

// standing is what is known of a number.
type standing struct {
	State   string `json:"state,omitempty"`
	Changes int    `json:"changes,omitempty"`
	Last    string `json:"last,omitempty"` // id of the last message, if it had one
	Day     string `json:"day,omitempty"`
	Replies int    `json:"replies,omitempty"` // of the day
}

// heard is a message that somebody wrote.
type heard struct {
	from, text string
	id         string // the provider's, "" if it gives none
	answered   bool   // by the provider
	came       string // of a text of which parts are missing: "2 of 3 parts"
}

// hash stands for a number among those that write with a sender.
func (c *Channel) hash(def *definition.Channel, number string) string {
	m := hmac.New(sha256.New, c.deps.Secret)
	m.Write([]byte("sms\x00" + def.Sender() + "\x00" + number))
	return hex.EncodeToString(m.Sum(nil)[:16])
}

// hear acts on a message: what it asks for is kept when hear returns. The same
// message again has no further effect, and no further answer.
func (c *Channel) hear(ctx context.Context, def *definition.Channel, h *heard) error {
	command, detail := keyword.Parse(h.text), ""
	if h.came != "" {
		detail = " (" + h.came + " came)"
		if command == keyword.Start || command == keyword.Yes { // "please do not" may be what is missing
			command = keyword.None
		}
	}
	number, ok := numberOf(h.from, def.Country())
	if command == keyword.None || !ok {
		c.deps.Logger.Debug("a text message that asks for nothing", "channel", def.Name)
		return nil
	}
	key := c.hash(def, number)
	for {
		d, err := c.deps.Documents.Get(ctx, collectionNumbers, key)
		if err != nil && !errors.Is(err, documents.ErrNotFound) {
			return fmt.Errorf("sms: read what is known of a number: %w", err)
		}
		var s standing
		if err == nil {
			if err := json.Unmarshal(d.Value, &s); err != nil {
				return fmt.Errorf("sms: decode what is known of a number: %w", err)
			}
		}
		again := h.id != "" && h.id == s.Last
		kind, answer := s.take(command)
		if kind == "" && !answer {
			return nil
		}
		if kind != "" {
			err := c.deps.Inbound(ctx, channel.Feedback{
				Kind: kind, Type: Type, Channel: def.Name, Address: number, Sender: def.Sender(), Detail: "text message: " + command.String() + detail,
				ID: key + "/" + strconv.Itoa(s.Changes), At: c.deps.Now().UnixMicro(),
			})
			if err != nil {
				return fmt.Errorf("sms: keep what a number asked for: %w", err)
			}
		}
		if today := day(c.deps.Now()); s.Day != today {
			s.Day, s.Replies = today, 0
		}
		answer = answer && !again && !h.answered && s.Replies < repliesPerDay
		if answer {
			s.Replies++
		}
		s.Last = h.id
		value, err := json.Marshal(&s)
		if err != nil {
			return fmt.Errorf("sms: encode what is known of a number: %w", err)
		}
		err = c.deps.Documents.Apply(ctx, documents.Durable, documents.Write{Collection: collectionNumbers, Key: key, Value: value, Expect: d.Version})
		if errors.Is(err, documents.ErrConflict) {
			continue // another process was faster
		}
		if err != nil {
			return fmt.Errorf("sms: keep what is known of a number: %w", err)
		}
		if answer {
			c.answer(def, number, command, key+"/"+s.Day+"/"+strconv.Itoa(s.Replies))
		}
		return nil
	}
}

// take brings a standing forward: what it means for messages to come, and whether
// it is answered. Who asks for what is so already gets no second answer, but the
// wish counts again.
func (s *standing) take(command keyword.Command) (kind channel.FeedbackKind, answer bool) {
	state := stopped
	switch command {
	case keyword.Stop:
		kind = channel.Unsubscribed
	case keyword.Start:
		kind, state = channel.Resubscribed, started
	case keyword.Yes:
		if s.State != stopped {
			return channel.Confirmed, false // what was asked, if anything was
		}
		kind, state = channel.Resubscribed, started
	case keyword.Help:
		return "", true
	case keyword.None:
		return "", false
	}
	if s.State == state {
		return kind, false
	}
	s.State = state
	s.Changes++
	return kind, true
}

// numberOf reads the number that a message came from. Some message centres leave
// the "+" out; short codes and names are no numbers.
func numberOf(from, country string) (string, bool) {
	n, err := phone.Parse(from, country)
	if err != nil {
		n, err = phone.Parse("+"+from, "")
	}
	return n.E164, err == nil
}

// reply is an answer on its way.
type reply struct {
	def  *definition.Channel
	text text
}

// Bounds of answers: those that wait, who sends them, and how often one is tried.
const (
	maxReplies   = 1000
	repliers     = 4
	maxTries     = 8
	longestReply = 30 * time.Second
)

// answer queues the answer to a command. It is sent at most once, or not at all:
// what was asked for holds without it.
func (c *Channel) answer(def *definition.Channel, number string, command keyword.Command, id string) {
	r := reply{def, text{id: id, to: number, body: answerTo(command, settings(def).Replies)}}
	select {
	case c.replies <- r:
	default:
		c.deps.Logger.Warn("too many answers wait; one is left out", "channel", def.Name)
	}
}

func answerTo(command keyword.Command, r definition.SMSReplies) string {
	own, text := r.Help, "Messages that you asked for. Reply STOP to end them."
	switch command {
	case keyword.Stop:
		own, text = r.Stop, "You are unsubscribed and will get no more messages from here. Reply START to get them again."
	case keyword.Start, keyword.Yes:
		own, text = r.Start, "You will get messages from here again. Reply STOP to end them, HELP for help."
	case keyword.None, keyword.Help:
	}
	if own != "" {
		return own
	}
	return text
}

// reply sends answers until ctx ends.
func (c *Channel) reply(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-c.replies:
			if err := c.try(ctx, &r); err != nil && ctx.Err() == nil {
				c.deps.Logger.Warn("an answer could not be sent", "channel", r.def.Name, "error", err)
			}
		}
	}
}

// try sends an answer, again if it surely has not arrived.
func (c *Channel) try(ctx context.Context, r *reply) error {
	for i := 1; ; i++ {
		bounded, cancel := context.WithTimeout(ctx, longestReply)
		_, _, err := c.carry(bounded, r.def, &r.text)
		cancel()
		if err == nil || channel.Class(err) != channel.Temporary || i == maxTries || !rest(ctx, err) {
			return err
		}
	}
}

// rejected keeps what the answer to a send says of the number.
func (c *Channel) rejected(ctx context.Context, def *definition.Channel, delivery, number string, code int, detail string) error {
	f := channel.Feedback{
		Type: Type, Channel: def.Name, Delivery: delivery, Address: number, Detail: detail, ID: "rejected", At: c.deps.Now().UnixMicro(),
	}
	if !judge(&f, code, def) {
		return nil
	}
	return c.deps.Inbound(ctx, f)
}
