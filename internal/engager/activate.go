package engager

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"heed/internal/channel"
	"heed/internal/condition"
	"heed/internal/consent"
	"heed/internal/documents"
	"heed/internal/event"
	"heed/internal/policy"
	"heed/internal/profile"
	"heed/internal/reach"
	"heed/internal/render"
)

// moment is what an intent is about; it is looked up once for all of its
// activations, and only if one needs it.
type moment struct {
	worker *worker
	intent *event.Intent

	event     *event.Event // nil: none, or gone
	hasEvent  bool
	profile   *profile.Profile // nil: nothing known
	hasUser   bool
	traits    []byte
	hasTraits bool
	who       *person // nil: not asked yet
}

func (m *moment) triggeringEvent(ctx context.Context) (*event.Event, error) {
	if m.hasEvent || m.intent.Offset == event.NoOffset {
		return m.event, nil
	}
	ev, err := m.worker.events.at(ctx, m.intent.Offset)
	if err != nil {
		return nil, err
	}
	if ev == nil {
		m.worker.metrics.noEvent.Inc()
	}
	m.event, m.hasEvent = ev, true
	return ev, nil
}

func (m *moment) user(ctx context.Context) (*profile.Profile, error) {
	if m.hasUser {
		return m.profile, nil
	}
	p, err := m.worker.deps.Profiles.Profile(ctx, m.intent.User)
	if err != nil {
		return nil, fmt.Errorf("read profile: %w", err)
	}
	m.profile, m.hasUser = p, true
	return p, nil
}

// Profile implements reach.Profiles: the user of the intent is looked up once.
func (m *moment) Profile(ctx context.Context, user string) (*profile.Profile, error) {
	if user == m.intent.User {
		return m.user(ctx)
	}
	return m.worker.deps.Profiles.Profile(ctx, user)
}

func (m *moment) facts(ctx context.Context) (*condition.Facts, error) {
	if !m.hasTraits {
		p, err := m.user(ctx)
		if err != nil {
			return nil, err
		}
		if p != nil {
			m.traits = p.AppendTraits(nil)
		}
		m.hasTraits = true
	}
	return &condition.Facts{Traits: m.traits}, nil
}

// isIn tells whether the user is in an audience now. Of one by behavior that is
// what the Decider has committed last, however long ago that was told it.
func (m *moment) isIn(ctx context.Context, a *audience) (bool, error) {
	if a.program != nil {
		facts, err := m.facts(ctx)
		return err == nil && a.program.Eval(facts), err
	}
	in, err := m.worker.deps.Profiles.In(ctx, m.intent.User, a.name)
	if err != nil {
		return false, fmt.Errorf("read memberships: %w", err)
	}
	return in, nil
}

// ids tells which kind of id the profile id is.
func (m *moment) ids(ctx context.Context) (userID, anonymousID string, err error) {
	id := m.intent.User
	ev, err := m.triggeringEvent(ctx)
	if err != nil {
		return "", "", err
	}
	if ev != nil && ev.User() == id {
		return ev.UserID, ev.AnonymousID, nil
	}
	p, err := m.user(ctx)
	if err != nil {
		return "", "", err
	}
	if p != nil && p.UserID == id {
		return id, "", nil
	}
	return "", id, nil
}

// activation is one (intent, campaign) being worked on.
type activation struct {
	*moment
	id      string
	key     string // of the ledger entry
	note    string // key of the note, "" while there is none
	name    string
	c       *campaign // nil: there is none of that name any more
	entry   Entry
	version int64
	pending []documents.Write // what the next write of the entry must make true too
	to      string            // the address, of a channel that needs one
	trialTo string            // of a trial: the address that was given for it
}

// activate brings an activation as far as it can get now. It may be called
// again after an error, and after a crash at any point. note is the key of its
// note if it was found open, or opened by an earlier call.
func (w *worker) activate(ctx context.Context, m *moment, name string, note *string) (err error) {
	id := ActivationID(m.intent.FireID, name)
	a := &activation{moment: m, id: id, key: LedgerKey(m.intent.At, id), note: *note, name: name, c: w.current().byName[name]}
	defer func() { *note = a.note }()
	if m.intent.Test {
		if err := a.tries(ctx); err != nil {
			return err
		}
	}
	if a.entry, a.version, err = w.entry(ctx, a.key); err != nil {
		return err
	}
	switch {
	case a.version != 0 && a.note == "":
		// Somebody has begun it: its note, if it is still open, finishes it.
		return a.resumeOwn(ctx)
	case a.version == 0 && a.note != "":
		// The ledger has forgotten what the note still knows: the entry is older
		// than the ledger keeps, and was ended.
		return w.closeNote(ctx, a.note)
	case a.entry.ended():
		return a.report(ctx)
	case a.entry.State == Sending:
		return a.resume(ctx)
	}
	return a.decide(ctx)
}

// resumeOwn goes on with an activation that this call began before an error
// interrupted it; what another one began is left to it.
func (a *activation) resumeOwn(ctx context.Context) error {
	note := openKey(a.worker.partition, a.entry.Created, a.key)
	if _, err := a.worker.deps.Documents.Get(ctx, CollectionOpen, note); err != nil {
		if errors.Is(err, documents.ErrNotFound) {
			if !a.entry.ended() { // maybe parked by a process that was paused: look
				a.worker.due(openKey(a.worker.partition, 1, ""))
			}
			return nil // parked or reported
		}
		return fmt.Errorf("read note: %w", err)
	}
	if !a.worker.take(note) {
		return nil // on its way
	}
	a.note = note
	if a.entry.ended() {
		return a.report(ctx)
	}
	return a.resume(ctx)
}

func (w *worker) closeNote(ctx context.Context, note string) error {
	err := w.deps.Documents.Apply(ctx, documents.Relaxed, documents.Write{Collection: CollectionOpen, Key: note, Expect: documents.Any})
	if err != nil {
		return fmt.Errorf("remove note: %w", err)
	}
	w.forget(note)
	return nil
}

// decide asks whether to send, and sends.
func (a *activation) decide(ctx context.Context) error {
	now := a.worker.now()
	if a.version == 0 {
		a.entry = Entry{User: a.intent.User, Campaign: a.name, Variant: -1, Created: now}
	}
	if a.c == nil {
		a.entry.end(StatusRefused, policy.NotLive, "", now)
		return a.finish(ctx, nil)
	}
	if a.c.err != nil && a.c.live {
		a.entry.end(StatusFailed, policy.Definition, a.c.err.Error(), now)
		return a.finish(ctx, nil)
	}
	a.entry.begin(now)
	verdict, err := a.verdict(ctx, now)
	if err != nil {
		return err
	}
	if verdict.Wait != "" {
		return a.wait(ctx, verdict.Wait, verdict.Until)
	}
	if !verdict.Send {
		detail := ""
		if verdict.Reason == policy.Declined || verdict.Reason == policy.Suppressed || verdict.Reason == policy.Unverified {
			detail = a.entry.Detail
		}
		a.entry.end(StatusRefused, verdict.Reason, detail, now)
		return a.finish(ctx, nil)
	}
	a.entry.Detail = ""
	v := &a.c.variants[verdict.Variant]
	a.entry.Variant, a.entry.Template, a.entry.Channel = verdict.Variant, v.template, v.channelName
	d, err := a.render(ctx, v)
	if err != nil {
		return err
	}
	if d == nil {
		return a.finish(ctx, nil) // it was ended there
	}
	return a.send(ctx, v, d, false)
}

// due is when the activation is to be decided on.
func (a *activation) due() int64 { return a.intent.At + a.c.delay.Microseconds() }

// verdict gathers what the decision depends on, and asks for it.
func (a *activation) verdict(ctx context.Context, now int64) (policy.Verdict, error) {
	c, in, w := a.c, a.intent, a.worker
	barred := a.barred()
	q := policy.Case{
		Campaign: a.name, Salt: w.salt, Test: in.Test, Now: now, At: in.At, Due: a.due(),
		Stopped: barred == policy.Stopped, Paused: barred == policy.Paused, Live: c.live, Weights: c.weights,
	}
	if v := policy.Moment(&q); v.Wait != "" || v.Reason != policy.None {
		return v, nil // nothing else needs to be known
	}
	who, err := a.person(ctx)
	if err != nil {
		return policy.Verdict{}, err
	}
	q.User, q.Transactional = who.id(), c.transactional()
	if !in.Test {
		q.Global.Share, q.Holdout.Share, q.Once = w.current().global, c.holdout, c.once
		if err := a.groups(ctx, &q, who); err != nil {
			return policy.Verdict{}, err
		}
	}
	if chosen := q.Choose(); chosen >= 0 {
		v := &c.variants[chosen]
		can, err := a.reach(ctx, v)
		if err != nil {
			return policy.Verdict{}, err
		}
		q.Reach, a.to, a.entry.Detail = can.Reach, can.To, can.Detail
		q.InPage = v.undisturbing()
		if q.Expires = v.expires; q.Expires == 0 && a.entry.Held {
			q.Expires = w.cfg.HoldFor
		}
		if q.Caps, err = a.limits(ctx, v, who.ids); err != nil {
			return policy.Verdict{}, err
		}
	}
	if q.InAudience, err = a.inAudience(ctx); err != nil || in.Test {
		return policy.Decide(&q), err
	}
	q.Quiet, q.Zones = c.quiet, w.clocks(who.profile, a.to)
	if c.goal != "" && (a.version != 0 || now-in.At > goalsBehind.Microseconds()) {
		if q.Converted, err = w.converted(ctx, c.goal, who.ids); err != nil {
			return policy.Verdict{}, err
		}
	}
	return policy.Decide(&q), nil
}

// inAudience asks whether the campaign is for the user. Who was listed when it was
// started is asked again only after a wait, and not if a person ordered it.
func (a *activation) inAudience(ctx context.Context) (bool, error) {
	if len(a.c.who) == 0 || a.c.listed && a.version == 0 {
		return true, nil
	}
	for i := range a.c.who {
		if in, err := a.isIn(ctx, &a.c.who[i]); err != nil || in {
			return in, err
		}
	}
	return false, nil
}

// reach asks whether the user can be written to by a content's channel.
func (a *activation) reach(ctx context.Context, v *variant) (reach.Answer, error) {
	if v.definition == nil { // it is not defined, and nothing can be sent by it
		return reach.Answer{Reach: policy.Reach{Consent: consent.Granted, Transactional: a.c.transactional()}}, nil
	}
	who, err := a.person(ctx)
	if err != nil {
		return reach.Answer{}, err
	}
	q := &reach.Question{User: who.id(), Profile: who.profile, Purpose: a.c.purpose, Campaign: a.name, Channel: v.definition, To: a.trialTo}
	if a.c.confirms {
		q.Asked = a.intent.At
	}
	if a.intent.Test { // who tries it has asked for it
		q.Purpose = consent.Transactional
	}
	can, err := a.worker.deps.Book.Ask(ctx, q)
	if err == nil && can.Claimed && can.Refusal() == policy.None && v.content != nil && v.content.Tells() {
		can.Address, can.To = policy.AddressUnverified, ""
		can.Detail = "its owner confirmed it, but not to be this user, of whom the text tells"
	}
	return can, err
}

// render makes the delivery; nil if there is none to make, and the entry says
// why.
func (a *activation) render(ctx context.Context, v *variant) (*channel.Delivery, error) {
	now := a.worker.now()
	if v.err != nil {
		a.entry.end(StatusFailed, policy.Definition, v.err.Error(), now)
		return nil, nil
	}
	ev, err := a.triggeringEvent(ctx)
	if err != nil {
		return nil, err
	}
	var p *profile.Profile
	if v.content.NeedsProfile() {
		if p, err = a.user(ctx); err != nil {
			return nil, err
		}
	}
	bounded, cancel := context.WithTimeout(ctx, a.worker.cfg.RenderTimeout)
	defer cancel()
	in := a.worker.input(bounded, a.intent.User, a.name)
	in.Event, in.Profile, in.Activation, in.At = ev, p, a.id, a.intent.At
	in.Unsubscribe, in.Confirm = a.links(v)
	made, err := v.content.Render(bounded, in, "")
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		a.entry.end(StatusFailed, policy.Render, err.Error(), now)
		return nil, nil
	case strings.TrimSpace(made.Body) == "":
		a.entry.end(StatusRefused, policy.Empty, "", now)
		return nil, nil
	}
	a.worker.metrics.noField.Add(float64(len(made.Missing)))
	a.entry.Locale, a.entry.Missing = made.Locale, made.Missing[:min(len(made.Missing), 5)]
	d := &channel.Delivery{
		ID: DeliveryID(a.worker.deps.Secret, a.id), ActivationID: a.id, User: a.intent.User, Campaign: a.name,
		Template: v.template, Kind: v.kind, Slot: v.slot, Subject: made.Subject, Link: made.Link, Body: made.Body,
		At: a.intent.At, Created: a.entry.Created, CauseID: a.intent.CauseID, ReplyTo: a.intent.ReplyTo,
		Personal: v.content.Personal(), Depth: a.intent.Depth + 1, Test: a.intent.Test, Channel: v.definition,
		To: a.to, Unsubscribe: in.Unsubscribe,
	}
	if v.expires > 0 {
		d.Expires = a.due() + v.expires.Microseconds()
	}
	return d, nil
}

// links are those by which the reader ends messages like this one, and confirms to want
// them; "" if the message has none.
func (a *activation) links(v *variant) (unsubscribe, confirm string) {
	if a.to == "" {
		return "", ""
	}
	l := reach.Link{Type: v.definition.Type, Channel: v.channelName, Campaign: a.name, Delivery: DeliveryID(a.worker.deps.Secret, a.id)}
	switch {
	case a.c.confirms:
		return "", a.worker.deps.Book.ConfirmLink(l, a.to, a.intent.At)
	case a.c.transactional():
		return "", ""
	}
	return a.worker.deps.Book.Unsubscribe(l, a.to), ""
}

// record is what must be known of the delivery when something comes back about it.
func (a *activation) record(ctx context.Context, v *variant, d *channel.Delivery) ([]documents.Write, error) {
	if d.To == "" {
		return nil, nil
	}
	userID, _, err := a.ids(ctx)
	if err != nil {
		return nil, err
	}
	return a.worker.deps.Book.Writes(reach.Record{
		Delivery: d.ID, User: d.User, Known: userID == d.User, Campaign: d.Campaign, Purpose: a.c.purpose, Channel: v.channelName,
		Type: v.definition.Type, Template: d.Template, Variant: a.entry.Variant, Depth: d.Depth, Test: d.Test, At: d.Created,
	}, d.To)
}

// input is what a rendering for a user may read, but for the event and the
// profile. A document that cannot be read counts as missing, and the outcome
// says so.
func (e *Engager) input(ctx context.Context, user, campaign string) render.Input {
	in := render.Input{User: user, Campaign: campaign}
	if e.deps.Pull != nil {
		in.Pull = func(collection string) []byte {
			doc, err := e.deps.Pull.Fields(ctx, collection, user)
			if err != nil {
				e.metrics.storeErrors.Inc()
				e.log.Warn("a document of the pull store could not be read: it counts as missing", "collection", collection, "error", err)
			}
			return doc
		}
	}
	return in
}

// resume goes on after an attempt that was interrupted.
func (a *activation) resume(ctx context.Context) error {
	var v *variant
	if a.c != nil {
		v = a.c.variant(a.entry.Template, a.entry.Channel)
	}
	unsure := func(why string) error {
		a.entry.end(StatusHeld, policy.Unknown, why, a.worker.now())
		return a.finish(ctx, a.unsure)
	}
	if v == nil || v.err != nil {
		return unsure("its content or channel is not defined any more")
	}
	if a.worker.holds(v) {
		return unsure("")
	}
	// What the user has said since the first attempt holds for the next one.
	can, err := a.reach(ctx, v)
	if err != nil {
		return err
	}
	if why := can.Refusal(); why != policy.None {
		return unsure("it must not be repeated: " + why.Sentence())
	}
	a.to = can.To
	d, err := a.render(ctx, v)
	if err != nil {
		return err
	}
	if d == nil {
		return unsure("its content cannot be rendered any more: " + a.entry.Detail)
	}
	return a.send(ctx, v, d, true)
}

// send makes an attempt. again means that an earlier one was interrupted.
func (a *activation) send(ctx context.Context, v *variant, d *channel.Delivery, again bool) error {
	w := a.worker
	if what := a.barred(); what != "" {
		return a.wait(ctx, what, 0)
	}
	a.entry.begin(w.now())
	a.entry.State = Sending
	a.entry.Attempt++
	d.Attempt = a.entry.Attempt
	durability := documents.Relaxed
	if !v.channel.Idempotent() {
		durability = documents.Durable // synced before anything can be seen
	}
	if !again || durability == documents.Durable {
		record, err := a.record(ctx, v, d)
		if err != nil {
			return err
		}
		if err := a.store(ctx, durability, record); err != nil {
			return err
		}
	}
	began := time.Now()
	bounded, cancel := context.WithTimeout(ctx, w.cfg.SendTimeout)
	receipt, err := v.channel.Send(bounded, d)
	cancel()
	w.metrics.send.WithLabelValues(v.channel.Type()).Observe(time.Since(began).Seconds())
	now := w.now()
	if err == nil {
		if again && receipt.Fresh && d.Expires > 0 && now > d.Expires {
			// The interrupted attempt had not arrived, and this one came too
			// late to be shown to anybody.
			a.entry.end(StatusRefused, policy.Expired, "", now)
			return a.finish(ctx, nil)
		}
		a.entry.end(StatusSent, policy.None, "", now)
		return a.finish(ctx, a.count)
	}
	if ctx.Err() != nil {
		return ctx.Err() // the next start resumes it
	}
	class := channel.Class(err)
	late := now-max(a.entry.Created, a.entry.Began) >= w.cfg.GiveUp.Microseconds()
	if e, ok := errors.AsType[*channel.Error](err); ok && e.Untried && !late {
		a.entry.Attempt--
		return a.park(ctx, v, class, err, now)
	}
	switch {
	case class == channel.Permanent:
		a.entry.end(StatusFailed, policy.Rejected, err.Error(), now)
		return a.finish(ctx, nil)
	case class == channel.Uncertain && w.holds(v):
		a.entry.end(StatusHeld, policy.Unknown, err.Error(), now)
		return a.finish(ctx, a.unsure)
	case a.entry.Attempt >= w.cfg.MaxAttempts, late:
		a.entry.end(StatusFailed, policy.Unavailable, err.Error(), now)
		return a.finish(ctx, nil)
	}
	return a.park(ctx, v, class, err, now)
}

// park puts the activation off. What surely has not arrived is decided anew
// then; what may have arrived is repeated.
func (a *activation) park(ctx context.Context, v *variant, class channel.ErrorClass, cause error, now int64) error {
	w := a.worker
	pause := w.cfg.Backoff << min(max(a.entry.Attempt-1, 0), 30)
	if pause <= 0 || pause > w.cfg.MaxBackoff {
		pause = w.cfg.MaxBackoff
	}
	if e, ok := errors.AsType[*channel.Error](cause); ok {
		pause = max(pause, e.After)
	}
	pause += rand.N(pause/4 + 1) // not all of them at once
	a.entry.State = Pending
	if class == channel.Uncertain {
		a.entry.State = Sending
	}
	a.entry.Detail = cutDetail(cause.Error())
	n := note{campaign: a.name, parked: true, why: policy.Retry, intent: *a.intent}
	if e, ok := errors.AsType[*channel.Error](cause); ok && e.Untried {
		n.why = policy.Channel
	}
	next := openKey(w.partition, now+pause.Microseconds(), a.key)
	if err := a.move(ctx, &n, next, nil); err != nil {
		return fmt.Errorf("park activation: %w", err)
	}
	w.metrics.retries.Inc()
	w.log.Warn("a channel cannot be reached", "channel", v.channelName, "campaign", a.name, "attempt", a.entry.Attempt, "error", cause)
	w.due(next)
	return nil
}

// store writes the entry, and with the first write, or the first after a wait, the
// note.
func (a *activation) store(ctx context.Context, d documents.Durability, more []documents.Write) error {
	entry, err := a.entry.write(a.key, a.version)
	if err != nil {
		return &corrupt{err}
	}
	writes := append(append(more, a.pending...), entry)
	opened := ""
	if a.note == "" || waiting(a.note) {
		opened = openKey(a.worker.partition, a.entry.Created, a.key)
		n := note{campaign: a.name, intent: *a.intent}
		writes = append(writes, documents.Write{Collection: CollectionOpen, Key: opened, Value: n.append(nil), Expect: documents.Any})
		if a.note != "" {
			writes = append(writes, documents.Write{Collection: CollectionOpen, Key: a.note, Expect: documents.Any})
		}
	}
	if err := a.worker.deps.Documents.Apply(ctx, d, writes...); err != nil {
		return fmt.Errorf("write ledger entry %s: %w", a.key, err)
	}
	a.version++
	a.pending = nil
	if opened != "" {
		a.worker.take(opened)
		a.worker.forget(a.note)
		a.note = opened
	}
	return nil
}

// finish writes the entry that ends the activation, with what else must become
// true at the same time, and reports it. It goes on through errors until ctx
// ends: what is known of the attempt must not be forgotten.
func (a *activation) finish(ctx context.Context, also func(ctx context.Context) ([]documents.Write, error)) error {
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := a.tryFinish(ctx, also)
		if err == nil {
			return a.report(ctx)
		}
		if isCorrupt(err) || a.note == "" { // nothing was begun: from the start again
			return err
		}
		now, version, rerr := a.worker.entry(ctx, a.key)
		switch {
		case rerr != nil:
			err = rerr
		case version != a.version && now.ended():
			a.entry, a.version = now, version // it was written after all
			return a.report(ctx)
		case version != a.version:
			return err
		}
		a.worker.metrics.storeErrors.Inc()
		if !wait(ctx, pause) {
			return err
		}
	}
}

func (a *activation) tryFinish(ctx context.Context, also func(ctx context.Context) ([]documents.Write, error)) error {
	var more []documents.Write
	if also != nil {
		var err error
		if more, err = also(ctx); err != nil {
			return err
		}
	}
	return a.store(ctx, documents.Relaxed, more)
}

// report hands the outcome to the reporter.
func (a *activation) report(ctx context.Context) error {
	userID, anonymousID, err := a.ids(ctx)
	if err != nil {
		return err
	}
	ev, err := a.worker.outcome(a.intent, &a.entry, userID, anonymousID)
	if err != nil {
		return err
	}
	select {
	case a.worker.reports <- report{worker: a.worker, event: ev, open: a.note}:
	case <-ctx.Done():
		return ctx.Err() // the note is still there
	}
	a.worker.metrics.ended(a.name, a.entry.Status, a.entry.Reason, time.Duration(a.entry.Finished-a.intent.At)*time.Microsecond)
	return nil
}

func cutDetail(s string) string {
	if len(s) <= 300 {
		return s
	}
	return strings.ToValidUTF8(s[:300], "")
}
