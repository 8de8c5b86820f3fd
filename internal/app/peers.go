package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"heed/internal/analytics"
	"heed/internal/channel"
	"heed/internal/console"
	"heed/internal/console/api"
	"heed/internal/measure"
	"heed/internal/peer"
)

// roleDemo is what a process with the demo shop is asked for.
const roleDemo = "demo"

// askTimeout bounds a question to another process that should be quick.
const askTimeout = 3 * time.Second

// meet makes the directory of processes; none if this is the only one there can be.
func (n *node) meet(version, base string) {
	if n.cfg.Shape == Embedded {
		return
	}
	roles := slices.Clone(n.cfg.Roles)
	if n.cfg.Demo {
		roles = append(roles, roleDemo)
	}
	address, settings := advertised(&n.cfg, base), n.cfg.settings()
	n.peers = peer.New(peer.Deps{
		Documents: n.db.documents, Secret: n.secret, Logger: n.log, Clock: time.Now,
		Self: func() peer.Peer {
			return peer.Peer{
				URL: address, Version: version, Roles: roles, Parts: n.parts(), Started: n.started.UTC(), Memory: readMemory().resident, Settings: settings,
			}
		},
	})
}

// place tells this process from others; "" if there are none.
func (n *node) place(base string) string {
	if n.cfg.Shape == Embedded {
		return ""
	}
	return advertised(&n.cfg, base)
}

// advertised is where other processes reach this one. One that listens on every
// address is reached by the name of its machine.
func advertised(cfg *Config, base string) string {
	if cfg.Advertise != "" {
		return strings.TrimSuffix(cfg.Advertise, "/")
	}
	host, _, err := net.SplitHostPort(cfg.Listen)
	if ip := net.ParseIP(host); err != nil || host != "" && (ip == nil || !ip.IsUnspecified()) {
		return base
	}
	u, err := url.Parse(base)
	name, nameErr := os.Hostname()
	if err != nil || nameErr != nil {
		return base
	}
	u.Host = net.JoinHostPort(name, u.Port())
	return u.String()
}

// parts tells how everything that runs here is.
func (n *node) parts() []peer.Part {
	out := []peer.Part{}
	for _, r := range n.roles {
		p := peer.Part{Name: r.name, Ready: true}
		if err := r.ready(); err != nil {
			p.Ready, p.Message = false, err.Error()
		}
		out = append(out, p)
	}
	return out
}

// away tells whether there may be a process with a role that this one lacks.
func (n *node) away(role string) bool { return n.peers != nil && !n.cfg.has(role) }

// answers tells whether other processes have something to ask this one for.
func (n *node) answers() bool {
	return n.peers != nil && (n.cfg.has(RoleDecider) || n.cfg.has(RoleEngager) || n.cfg.has(RoleAnalytics) || n.cfg.Demo)
}

// refusal is an answer of another process as that one gave it.
func refusal(err error) error {
	if none, ok := errors.AsType[*peer.NobodyError](err); ok {
		return api.Fail(http.StatusServiceUnavailable, "unavailable", none.Error(), "start one: heed run --roles "+none.Role+", with the configuration of this one")
	}
	refused, ok := errors.AsType[*peer.RefusedError](err)
	if !ok {
		return err
	}
	var reply api.ErrorReply
	if json.Unmarshal(refused.Body, &reply) != nil || reply.Error.Code == "" {
		return err
	}
	return &api.Refusal{Status: refused.Status, Body: reply.Error}
}

// gather asks each of some processes, at once. What a process does not answer is
// an error beside the others' answers.
func gather[T any](ctx context.Context, peers *peer.Directory, of []peer.Peer, path string) (answers []T, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, p := range of {
		all.Go(func() {
			var v T
			e := peers.Ask(ctx, p, http.MethodGet, "/api/v1"+path, nil, &v)
			mu.Lock()
			defer mu.Unlock()
			if e != nil {
				err = errors.Join(err, fmt.Errorf("%s at %s: %w", strings.Join(p.Roles, ", "), p.URL, refusal(e)))
				return
			}
			answers = append(answers, v)
		})
	}
	all.Wait()
	return answers, err
}

// wholeProgress adds up the figures of all processes with the role decider; what
// concerns one user, the one that decides about the user knows.
type wholeProgress struct {
	own        *progress // nil: this process does not decide
	peers      *peer.Directory
	partitions int // of users

	mu    sync.Mutex
	last  api.TriggerProgressList
	until time.Time // it need not be asked for again
}

// progressEvery is how old the sum may be: every live view asks once a second. Live
// views must not wait each time for a process that is silent.
const (
	progressEvery  = time.Second
	progressSilent = 5 * time.Second
)

// Progress is of fewer than all partitions while a process does not answer, and while
// partitions are dealt anew.
func (w *wholeProgress) Progress(ctx context.Context) (api.TriggerProgressList, error) {
	if peer.Own(ctx) {
		return w.here(ctx)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Now().Before(w.until) {
		return w.last, nil
	}
	sum, err := w.here(ctx)
	if err != nil {
		return sum, err
	}
	// Others get the same answer, so whoever asks first and leaves does not spoil it.
	lists, silent := gather[api.TriggerProgressList](context.WithoutCancel(ctx), w.peers, w.peers.Others(RoleDecider), "/triggers/progress")
	for i := range lists {
		sum.Triggers = addProgress(sum.Triggers, lists[i].Triggers)
		sum.Partitions += lists[i].Partitions
	}
	sum.Partitions = min(sum.Partitions, sum.Of) // one that is handed over may be counted by both for a moment
	w.last, w.until = sum, time.Now().Add(progressEvery)
	if silent != nil { // who is silent is not counted
		w.until = time.Now().Add(progressSilent)
	}
	return sum, nil
}

func (w *wholeProgress) here(ctx context.Context) (api.TriggerProgressList, error) {
	if w.own == nil {
		return api.TriggerProgressList{Of: w.partitions}, nil
	}
	return w.own.Progress(ctx)
}

// addProgress adds figures up, in order of trigger. A trigger that is being edited
// may have fewer steps for some processes than for others.
func addProgress(to, from []api.TriggerProgress) []api.TriggerProgress {
	for i := range from {
		at := slices.IndexFunc(to, func(p api.TriggerProgress) bool { return p.Trigger == from[i].Trigger })
		if at < 0 {
			to = append(to, from[i])
			continue
		}
		to[at].Firings += from[i].Firings
		to[at].Users += from[i].Users
		for k, step := range from[i].Steps {
			if k < len(to[at].Steps) {
				to[at].Steps[k].Users += step.Users
			} else {
				to[at].Steps = append(to[at].Steps, step)
			}
		}
	}
	slices.SortFunc(to, func(x, y api.TriggerProgress) int { return cmp.Compare(x.Trigger, y.Trigger) })
	return to
}

// ask has a question about a user answered by this process or, if it cannot, by
// the first other one that can.
func (w *wholeProgress) ask(ctx context.Context, path string, own func(progress) error, into any) error {
	var err error = &peer.NobodyError{Role: RoleDecider}
	if w.own != nil {
		if err = own(*w.own); err == nil || peer.Own(ctx) {
			return err
		}
	}
	if peer.Own(ctx) {
		return refusal(err)
	}
	for _, p := range w.peers.Others(RoleDecider) {
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		err = w.peers.Ask(ctx, p, http.MethodGet, "/api/v1"+path, nil, into)
		cancel()
		if refused, ok := errors.AsType[*peer.RefusedError](err); err == nil || ok && refused.Status == http.StatusNotFound {
			return refusal(err)
		}
	}
	if _, none := errors.AsType[*peer.NobodyError](err); none {
		return refusal(err)
	}
	return api.Fail(http.StatusServiceUnavailable, "unavailable", "the process that decides about this user does not answer, or another one takes the user over", "ask again in some seconds")
}

// Explain is empty if no process decides: the rest of what is known of a user is
// worth showing.
func (w *wholeProgress) Explain(ctx context.Context, user string) ([]api.UserTrigger, error) {
	if w.own == nil && len(w.peers.Others(RoleDecider)) == 0 {
		return nil, nil
	}
	var out api.User
	err := w.ask(ctx, "/users/"+url.PathEscape(user), func(p progress) (err error) {
		out.Triggers, err = p.Explain(ctx, user)
		return err
	}, &out)
	return out.Triggers, err
}

func (w *wholeProgress) ExplainTrigger(ctx context.Context, user, name string) (out api.TriggerExplanation, err error) {
	err = w.ask(ctx, "/users/"+url.PathEscape(user)+"/triggers/"+url.PathEscape(name), func(p progress) (err error) {
		out, err = p.ExplainTrigger(ctx, user, name)
		return err
	}, &out)
	return out, err
}

// farMeasures has questions answered by the process with the role analytics.
type farMeasures struct{ peers *peer.Directory }

// Answer resolves names there: they are defined for all processes alike.
func (f farMeasures) Answer(ctx context.Context, q *measure.Query, _ measure.Names, _ int64) (res measure.Result, err error) {
	err = f.peers.AskRole(ctx, RoleAnalytics, http.MethodPost, "/api/v1/measures:query", q, &res)
	return res, refusal(err)
}

// farDemo shows the demo of the process that runs it, in one that does not.
type farDemo struct {
	here      console.Demo // the sample history; nil: not here
	peers     *peer.Directory
	publicURL string
}

func (f farDemo) Demo() api.Demo {
	if of := f.peers.Others(roleDemo); len(of) > 0 {
		if there, err := gather[api.Demo](context.Background(), f.peers, of[:1], "/demo"); err == nil {
			d, base := there[0], of[0].URL
			if slices.Contains(of[0].Roles, RoleGateway) {
				base = cmp.Or(f.publicURL, base) // that is where gateways are
			}
			for i, link := range d.Tour {
				if strings.HasPrefix(link.Href, "/shop/") {
					d.Tour[i].Href = strings.TrimSuffix(base, "/") + link.Href
				}
			}
			return d
		}
	}
	if f.here == nil {
		return api.Demo{}
	}
	return f.here.Demo()
}

func (f farDemo) LoadSample() {
	if f.here != nil {
		f.here.LoadSample()
	}
}

// SetCrowd is for the process that has one.
func (f farDemo) SetCrowd(context.Context, bool) error {
	return refusal(&peer.NobodyError{Role: roleDemo})
}

// gatewayURL is where a gateway is: this process, or the one that has run longest; ""
// while there is none.
func (n *node) gatewayURL(base string) string {
	if !n.away(RoleGateway) {
		return base
	}
	if of := n.peers.Others(RoleGateway); len(of) > 0 {
		return of[0].URL
	}
	return ""
}

// toGateway passes on what the demo shop's pages send to where they come from.
func (n *node) toGateway() http.Handler {
	return &httputil.ReverseProxy{
		FlushInterval: -1, // messages stream
		Rewrite: func(p *httputil.ProxyRequest) {
			if u, err := url.Parse(n.gatewayURL("")); err == nil && u.Host != "" { // without one the error says so
				p.SetURL(u)
			}
			p.SetXForwarded()
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			n.log.Debug("a request of the demo shop was not passed on", "error", err)
			w.Header().Set("Retry-After", "1")
			http.Error(w, "No process with the role gateway answers.", http.StatusServiceUnavailable)
		},
		ErrorLog: slog.NewLogLogger(n.log.Handler(), slog.LevelDebug),
	}
}

// allAlerts are those of this process, and what others that send cannot reach.
type allAlerts struct {
	own   *analytics.Alerts
	peers *peer.Directory
}

func (a allAlerts) Alerts(ctx context.Context) (api.AlertList, error) {
	list, err := a.own.Alerts(ctx)
	if err != nil || peer.Own(ctx) {
		return list, err
	}
	lists, err := gather[api.AlertList](ctx, a.peers, a.peers.Others(RoleEngager), "/alerts")
	if err != nil {
		list.Notes = append(slices.Clone(list.Notes), fmt.Sprintf("Which destinations fail is not known of every process: %v.", err))
	}
	for i := range lists {
		for _, alert := range lists[i].Alerts {
			same := func(x api.Alert) bool { return x.Kind == alert.Kind && x.Subject == alert.Subject }
			if alert.Kind == api.DestinationFailing && !slices.ContainsFunc(list.Alerts, same) {
				list.Alerts = append(list.Alerts, alert)
			}
		}
	}
	return list, nil
}

// outages tells what fails of where this process sends to.
type outages struct {
	list  func(now time.Time) []channel.Outage
	clock func() time.Time
}

func (o outages) Alerts(context.Context) (api.AlertList, error) {
	now := o.clock()
	return api.AlertList{AsOf: now.UTC(), Alerts: analytics.OutageAlerts(o.list(now), now)}, nil
}

// othersHealth adds what other processes say of themselves: who they are, and what
// only they know.
func (n *node) othersHealth(ctx context.Context, out *api.Health) {
	if n.peers == nil || peer.Own(ctx) {
		return
	}
	others := n.peers.Others("")
	ask := slices.DeleteFunc(slices.Clone(others), func(p peer.Peer) bool {
		return !slices.ContainsFunc([]string{RoleDecider, RoleEngager, RoleAnalytics}, func(r string) bool { return slices.Contains(p.Roles, r) })
	})
	all := append([]peer.Peer{n.peers.Self()}, others...)
	n.agreement(out, all)
	for _, p := range all {
		row := api.Process{
			Id: p.ID, Url: p.URL, Version: p.Version, StartedAt: p.Started, Roles: p.Roles, Parts: []api.RoleHealth{}, MemoryBytes: p.Memory,
		}
		for _, x := range p.Parts {
			row.Parts = append(row.Parts, api.RoleHealth{Role: x.Name, Ready: x.Ready, Message: x.Message})
			if !x.Ready {
				out.Status = api.HealthDegraded
			}
		}
		out.Processes = append(out.Processes, row)
	}
	for _, role := range Roles() {
		if !n.cfg.has(role) && len(n.peers.Others(role)) == 0 {
			out.Status = api.HealthDegraded
			out.Notes = append(out.Notes, fmt.Sprintf("No process with the role %s runs.", role))
		}
	}
	health, err := gather[api.Health](ctx, n.peers, ask, "/health")
	if err != nil {
		out.Status = api.HealthDegraded
		out.Notes = append(out.Notes, fmt.Sprintf("A process does not answer: %v.", err))
	}
	for i := range health {
		h := &health[i]
		out.Lags = addLags(out.Lags, h.Lags)
		out.Sessions = append(out.Sessions, h.Sessions...)
		out.Notes = append(out.Notes, h.Notes...)
		if h.Status != api.HealthOK {
			out.Status = api.HealthDegraded
		}
		if slices.ContainsFunc(h.Roles, func(r api.RoleHealth) bool { return r.Role == RoleAnalytics }) {
			out.Facts, out.Behavior = h.Facts, h.Behavior
		}
	}
}

// addLags adds how far another process is behind. Of a partition that several could
// work on, the one that has come furthest tells.
func addLags(to, from []api.Lag) []api.Lag {
	for _, l := range from {
		same := func(x api.Lag) bool { return x.Role == l.Role && x.Stream == l.Stream && x.Partition == l.Partition }
		if at := slices.IndexFunc(to, same); at < 0 {
			to = append(to, l)
		} else if l.Ms < to[at].Ms {
			to[at] = l
		}
	}
	return to
}
