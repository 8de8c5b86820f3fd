package demo

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"heed/internal/documents"
)

// Collections of the chat.
const (
	chatCollection = "demo_chats"   // key: shopper; one document each, for the desk's list
	talkCollection = "demo_support" // key: shopper/time
)

const (
	maxText     = 1000 // letters
	maxMessages = 500  // of one chat
	keepAlive   = 20 * time.Second
)

// Message is one line of a chat.
type Message struct {
	ID   string    `json:"id"` // grows within a chat
	From string    `json:"from"`
	Text string    `json:"text"`
	At   time.Time `json:"at"`
}

// Who writes.
const (
	fromShopper = "shopper"
	fromDesk    = "desk"
)

// Chat is what the desk sees of a chat in its list.
type Chat struct {
	Shopper string    `json:"shopper"`
	Last    string    `json:"last"`
	At      time.Time `json:"at"`
	Waiting bool      `json:"waiting"` // for an answer
	Count   int       `json:"count"`
}

type textRequest struct {
	Text string `json:"text"`
}

// ask is a shopper's line.
func (s *Shop) ask(w http.ResponseWriter, r *http.Request) {
	s.say(w, r, fromShopper, func() string { return shopper(w, r, true) })
}

// answer is the desk's. Anybody may sit at the desk of a demo.
func (s *Shop) answer(w http.ResponseWriter, r *http.Request) {
	user := r.PathValue("shopper")
	if !validShopper(user) {
		fail(w, http.StatusNotFound, "not_found", "there is no such chat")
		return
	}
	if _, err := s.deps.Documents.Get(r.Context(), chatCollection, user); errors.Is(err, documents.ErrNotFound) {
		fail(w, http.StatusNotFound, "not_found", "there is no such chat")
		return
	}
	s.say(w, r, fromDesk, func() string { return user })
}

func (s *Shop) say(w http.ResponseWriter, r *http.Request, from string, who func() string) {
	var req textRequest
	if !read(w, r, &req) {
		return
	}
	text := strings.TrimSpace(req.Text)
	if text == "" || utf8.RuneCountInString(text) > maxText {
		fail(w, http.StatusUnprocessableEntity, "text", "write 1 to 1000 letters")
		return
	}
	m, err := s.write(r.Context(), who(), from, text)
	var no *refusal
	switch {
	case errors.As(err, &no):
		fail(w, no.status, no.code, no.message)
	case err != nil:
		s.broken(w, r, err)
	default:
		reply(w, http.StatusCreated, m)
	}
}

func (s *Shop) write(ctx context.Context, user, from, text string) (Message, error) {
	for range maxRetries {
		chat, version := Chat{Shopper: user}, documents.Absent
		d, err := s.deps.Documents.Get(ctx, chatCollection, user)
		if err == nil {
			version = d.Version
			err = json.Unmarshal(d.Value, &chat)
		}
		if err != nil && !errors.Is(err, documents.ErrNotFound) {
			return Message{}, fmt.Errorf("demo: chat: %w", err)
		}
		if chat.Count >= maxMessages {
			return Message{}, refuse(http.StatusTooManyRequests, "full", "this chat is full")
		}
		now := s.deps.Now().UTC()
		m := Message{ID: s.messageID(now), From: from, Text: text, At: now}
		chat.Last, chat.At, chat.Waiting, chat.Count = text, now, from == fromShopper, chat.Count+1
		mv, err := json.Marshal(m)
		cv, err2 := json.Marshal(chat)
		if err := errors.Join(err, err2); err != nil {
			return Message{}, fmt.Errorf("demo: chat: %w", err)
		}
		err = s.deps.Documents.Apply(
			ctx, documents.Relaxed,
			documents.Write{Collection: talkCollection, Key: user + "/" + m.ID, Value: mv, Expect: documents.Absent},
			documents.Write{Collection: chatCollection, Key: user, Value: cv, Expect: version},
		)
		if !errors.Is(err, documents.ErrConflict) {
			return m, err
		}
	}
	return Message{}, errors.New("demo: too many messages at once")
}

// messageID grows, whatever the clock does meanwhile.
func (s *Shop) messageID(now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastMsg = max(s.lastMsg+1, now.UnixMicro())
	return fmt.Sprintf("%018d", s.lastMsg)
}

func (s *Shop) talk(ctx context.Context, user, after string) ([]Message, error) {
	q := documents.Query{Collection: talkCollection, Prefix: user + "/", Limit: maxMessages}
	if after != "" {
		q.After = user + "/" + after
	}
	docs, err := s.deps.Documents.List(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("demo: chat: %w", err)
	}
	list := make([]Message, len(docs))
	for i, d := range docs {
		if err := json.Unmarshal(d.Value, &list[i]); err != nil {
			return nil, fmt.Errorf("demo: chat: %w", err)
		}
	}
	return list, nil
}

func (s *Shop) chat(w http.ResponseWriter, r *http.Request) {
	s.replyTalk(w, r, shopper(w, r, false))
}

func (s *Shop) deskChat(w http.ResponseWriter, r *http.Request) {
	user := r.PathValue("shopper")
	if !validShopper(user) {
		fail(w, http.StatusNotFound, "not_found", "there is no such chat")
		return
	}
	s.replyTalk(w, r, user)
}

func (s *Shop) replyTalk(w http.ResponseWriter, r *http.Request, user string) {
	list := []Message{}
	if user != "" {
		var err error
		if list, err = s.talk(r.Context(), user, ""); err != nil {
			s.broken(w, r, err)
			return
		}
	}
	reply(w, http.StatusOK, map[string]any{"messages": list})
}

func (s *Shop) chats(ctx context.Context) ([]Chat, error) {
	docs, err := s.deps.Documents.List(ctx, documents.Query{Collection: chatCollection, Limit: 200})
	if err != nil {
		return nil, fmt.Errorf("demo: chats: %w", err)
	}
	list := make([]Chat, len(docs))
	for i, d := range docs {
		if err := json.Unmarshal(d.Value, &list[i]); err != nil {
			return nil, fmt.Errorf("demo: chats: %w", err)
		}
	}
	slices.SortFunc(list, func(a, b Chat) int { return cmp.Or(b.At.Compare(a.At), strings.Compare(a.Shopper, b.Shopper)) })
	return list, nil
}

func (s *Shop) desk(w http.ResponseWriter, r *http.Request) {
	list, err := s.chats(r.Context())
	if err != nil {
		s.broken(w, r, err)
		return
	}
	reply(w, http.StatusOK, map[string]any{"chats": list})
}

// chatStream sends the shopper's chat and each line as it comes.
func (s *Shop) chatStream(w http.ResponseWriter, r *http.Request) {
	user := shopper(w, r, true)
	last := r.Header.Get("Last-Event-ID")
	if len(last) != 18 || strings.Trim(last, "0123456789") != "" {
		last = ""
	}
	s.stream(w, r, talkCollection, func(send func(event, id string, v any) error) error {
		list, err := s.talk(r.Context(), user, last)
		if err != nil {
			return err
		}
		for _, m := range list {
			if err := send("message", m.ID, m); err != nil {
				return err
			}
			last = m.ID
		}
		return nil
	})
}

// deskStream sends the list of chats whenever one changes.
func (s *Shop) deskStream(w http.ResponseWriter, r *http.Request) {
	s.stream(w, r, chatCollection, func(send func(event, id string, v any) error) error {
		list, err := s.chats(r.Context())
		if err != nil {
			return err
		}
		return send("chats", "", list)
	})
}

// stream calls next at once and after each change in the collection, until the
// client or the shop goes away.
func (s *Shop) stream(w http.ResponseWriter, r *http.Request, collection string, next func(send func(event, id string, v any) error) error) {
	wake, cancel := s.deps.Documents.Watch(collection)
	defer cancel()
	rc := http.NewResponseController(w)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	if _, err := fmt.Fprint(w, "retry: 1000\n\n"); err != nil {
		return
	}
	send := func(event, id string, v any) error {
		data, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if id != "" {
			id = "id: " + id + "\n"
		}
		_, err = fmt.Fprintf(w, "event: %s\n%sdata: %s\n\n", event, id, data)
		return err
	}
	beat := time.NewTicker(keepAlive)
	defer beat.Stop()
	for {
		// a client that does not read must not hold a goroutine for ever; a
		// server without deadlines may refuse, and then the beat finds out
		_ = rc.SetWriteDeadline(s.deps.Now().Add(2 * keepAlive))
		if next(send) != nil || rc.Flush() != nil {
			return
		}
		select {
		case <-wake:
		case <-beat.C:
			if _, err := fmt.Fprint(w, ": still here\n\n"); err != nil {
				return
			}
		case <-r.Context().Done():
			return
		case <-s.closing:
			return
		}
	}
}
