package app

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"heed/internal/analytics"
	"heed/internal/analytics/audiences"
	"heed/internal/backtest"
	"heed/internal/catalog"
	"heed/internal/channel"
	"heed/internal/console"
	"heed/internal/console/reaching"
	"heed/internal/decider"
	"heed/internal/definition"
	"heed/internal/demo"
	"heed/internal/demo/sample"
	"heed/internal/device"
	"heed/internal/engager"
	"heed/internal/engager/halt"
	"heed/internal/engager/optin"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/express"
	"heed/internal/gateway"
	"heed/internal/gateway/unsubscribe"
	"heed/internal/intake"
	"heed/internal/intake/stream"
	"heed/internal/peer"
	"heed/internal/pull"
	"heed/internal/reach"
	"heed/web"
)

// node is an opened data folder: the stores, the catalog, and what the roles
// share.
type node struct {
	cfg        Config
	folder     folder
	log        *slog.Logger
	registry   *prometheus.Registry
	secret     []byte
	localToken string
	db         *engines
	unlock     func() error // nil: the database's own lock is enough
	catalog    *catalog.Catalog
	pull       *pull.Store
	setup      func(context.Context) (string, error) // the console's one-time token
	roles      []role
	express    express.Config // what is served without net/http
	decider    *decider.Decider
	sample     *sample.Loader // nil: not in this process
	book       *reach.Book
	engager    *engager.Engager
	outages    func(now time.Time) []channel.Outage // nil: nothing is sent by this process
	sending    []channel.Channel                    // those that this process sends by
	imports    *intake.Importer                     // nil: not in this process
	behavior   *analytics.Behavior                  // nil: not in this process
	audiences  *audiences.Keeper
	facts      *factsStore     // nil: not in this process, or it could not be opened
	noFacts    error           // why it could not
	folderSQL  *folderFacts    // of a folder in which nothing runs
	peers      *peer.Directory // nil: this is the only process there can be
	halt       *halt.Switch    // nil: the Engager in this process knows
	followers  []*follower     // roles of which is told how far they are behind
	started    time.Time

	defining    bool                  // before anything runs
	unannounced atomic.Pointer[error] // why the newest definitions are not in the log yet; nil: they are
}

// HasData tells whether a folder was used by heed before.
func HasData(dataDir string) bool {
	_, err := os.Stat(folder(dataDir).path(dbFolder))
	return err == nil
}

// openNode opens the folder.
func openNode(ctx context.Context, cfg Config, log *slog.Logger, registry *prometheus.Registry, die context.CancelCauseFunc) (_ *node, err error) {
	n := &node{cfg: cfg, folder: folder(cfg.DataDir), log: log, registry: registry, localToken: newToken(), started: time.Now()}
	if err := n.folder.create(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	if err := n.openEngines(ctx, die); err != nil {
		return nil, err
	}
	n.pull = pull.New(n.db.documents, time.Now)
	n.catalog, err = catalog.Open(ctx, catalog.Config{
		Store: n.db.documents, Key: n.secret, Now: time.Now, Log: log, Random: randomBytes,
		Getenv: os.LookupEnv, ReadFile: os.ReadFile, OnRevision: n.announceRevision,
	})
	if err != nil {
		return nil, fmt.Errorf("open the definitions: %w", err)
	}
	return n, nil
}

func (n *node) close() error {
	err := n.folderSQL.close()
	if n.db != nil {
		err = errors.Join(err, n.db.close())
	}
	if n.unlock != nil {
		err = errors.Join(err, n.unlock())
	}
	return err
}

// announceRevision puts a revision in force for the Decider: one control record
// in each partition. Its id makes a repeat harmless.
func (n *node) announceRevision(ctx context.Context, revision int64) error {
	log := n.db.log
	now := time.Now().UnixMicro()
	batches := make([]*eventlog.Batch, log.Partitions())
	for p := range batches {
		data := event.AppendEvent(nil, &event.Event{
			MessageID: fmt.Sprintf("revision-%d-%d", revision, p), Type: event.System, Name: event.NameRevision,
			Timestamp: now, ReceivedAt: now, Source: event.SourceHeed,
			Properties: fmt.Appendf(nil, `{"revision":%d}`, revision),
		})
		batches[p] = &eventlog.Batch{Partition: p, Data: data, Ends: []int{len(data)}, Keys: []eventlog.Key{{}}, Own: true}
	}
	if n.defining && n.unannounced.Load() != nil {
		return nil // once is enough to wait for
	}
	err := log.Append(ctx, eventlog.Events, batches)
	if n.defining && (errors.Is(err, eventlog.ErrDiskFull) || errors.Is(err, eventlog.ErrUnavailable)) {
		n.log.Warn("the definitions are not announced in the log yet: it does not take them", "error", err)
		n.unannounced.Store(&err)
		return nil // neither must keep Heed from starting: follow announces them
	}
	return err
}

// define applies what a start brings: the folder of definitions, the demo's,
// and a first source if there is none.
func (n *node) define(ctx context.Context) error {
	n.defining = true
	defer func() { n.defining = false }()
	if dir := n.cfg.Definitions; dir != "" {
		docs, problems := definition.LoadDir(os.DirFS(dir), ".")
		if err := problems.Err(); err != nil {
			return fmt.Errorf("definitions in %s:\n%w", dir, err)
		}
		if _, err := n.catalog.Apply(ctx, docs, catalog.Options{Author: dir, ReadOnly: true}); err != nil {
			return fmt.Errorf("definitions in %s:\n%w", dir, err)
		}
	}
	if n.cfg.Demo {
		docs, problems := definition.LoadDir(demo.Definitions(), ".")
		if err := problems.Err(); err != nil {
			return fmt.Errorf("definitions of the demo:\n%w", err)
		}
		// What somebody has changed since the first start stays changed.
		var missing []definition.Document
		for _, d := range docs {
			_, err := n.catalog.Get(ctx, d.Kind, d.Name)
			if errors.Is(err, catalog.ErrNotFound) {
				missing = append(missing, d)
			} else if err != nil {
				return err
			}
		}
		if _, err := n.catalog.Apply(ctx, missing, catalog.Options{Author: "demo"}); err != nil {
			return fmt.Errorf("definitions of the demo:\n%w", err)
		}
	}
	if len(n.catalog.Current().Sources) == 0 {
		first := definition.NewDocument(definition.KindSource, "site", &definition.Source{Name: "site"})
		if _, err := n.catalog.Apply(ctx, []definition.Document{first}, catalog.Options{Author: "heed"}); err != nil {
			return fmt.Errorf("make the first source: %w", err)
		}
	}
	return n.catalog.Announce(ctx)
}

// announced is nil once the definitions are in the log.
func (n *node) announced() error {
	if err := n.unannounced.Load(); err != nil {
		return fmt.Errorf("they are not announced in the log yet: %w", *err)
	}
	return nil
}

// follow keeps the definitions in force. What could not be announced at the start
// is announced first.
func (n *node) follow(ctx context.Context) error {
	retry := time.NewTicker(time.Second)
	defer retry.Stop()
	for n.unannounced.Load() != nil {
		select {
		case <-ctx.Done():
			return nil
		case <-retry.C:
		}
		err := n.catalog.Announce(ctx)
		switch {
		case err == nil:
			n.unannounced.Store(nil)
		case ctx.Err() == nil:
			n.unannounced.Store(&err)
			n.log.Warn("the definitions could not be announced; it will be tried again", "error", err)
		}
	}
	return n.catalog.Run(ctx)
}

// build makes the roles that the configuration asks for, in the order in which
// they stop: from the front of the flow to its back.
func (n *node) build(ctx context.Context, version, base string) (*http.ServeMux, error) {
	mux := http.NewServeMux()
	add := func(name string, run func(context.Context) error, ready func() error) {
		n.roles = append(n.roles, role{name: name, run: run, ready: ready})
	}
	// Those who read long pasts would take the processor from those who are waited for.
	addLater := func(name string, run func(context.Context) error, ready func() error) {
		n.roles = append(n.roles, role{name: name, run: run, ready: ready, later: true})
	}
	n.meet(version, base)
	if n.peers != nil {
		add("peers", n.peers.Run, alwaysReady) // the first to end: nobody is to ask what stops
	}
	gw, err := gateway.New(n.cfg.Gateway, gateway.Deps{
		Log: n.db.log, Inbox: n.db.inbox, Documents: n.db.documents, Definitions: n.catalog,
		Profiles: n.profiles(), Pull: n.pull, Devices: n.devices(), Tracker: first(web.Tracker()), Ready: n.readiness, Stopped: n.stopped, Logger: n.log, Registerer: n.registry, Clock: time.Now,
	})
	if err != nil {
		return nil, err
	}
	if n.cfg.has(RoleGateway) {
		gw.Register(mux)
		n.express = gw.Express()
		add(RoleGateway, gw.Run, gw.Ready)
		if !n.cfg.has(RoleEngager) {
			n.halt = halt.New(n.db.documents, n.log, func() int64 { return time.Now().UnixMicro() })
			add("stop of sending", n.followHalt, alwaysReady)
		}
	} else {
		gw.RegisterHealth(mux)
	}
	mux.Handle("GET /metrics", promhttp.HandlerFor(n.registry, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(n.log.Handler(), slog.LevelError)}))

	if n.book, err = n.newBook(cmp.Or(n.cfg.PublicURL, base)); err != nil {
		return nil, err
	}
	if n.cfg.has(RoleGateway) {
		followed, err := stream.New(stream.Deps{
			Log: n.db.log, Documents: n.db.documents, Definitions: n.catalog, Refused: gw.Refused,
			Installation: n.installation(), Process: n.place(base), Alone: n.cfg.Shape == Embedded, Logger: n.log, Registerer: n.registry, Clock: time.Now,
		})
		if err != nil {
			return nil, err
		}
		add("streams", followed.Run, followed.Ready)
		page, err := unsubscribe.New(n.book, n.log)
		if err != nil {
			return nil, err
		}
		page.Register(mux)
	}

	shop, err := n.demoShop(mux, base)
	if err != nil {
		return nil, err
	}
	if shop != nil {
		add("demo", shop.Run, shop.Ready)
	}
	if n.cfg.has(RoleConsole) || shop != nil {
		if n.sample, err = n.sampleLoader(shop != nil && !n.cfg.Shop.Empty); err != nil {
			return nil, err
		}
		add("sample history", n.sample.Run, alwaysReady)
	}
	if n.cfg.has(RoleConsole) {
		n.imports, err = intake.Open(ctx, intake.Deps{
			Log: n.db.log, Documents: n.db.documents, Book: n.book, Alone: n.cfg.Shape == Embedded, Logger: n.log, Clock: time.Now, Random: randomBytes,
		})
		if err != nil {
			return nil, err
		}
		add("imports", n.imports.Run, alwaysReady)
	}
	var feed *analytics.Analytics
	if n.cfg.has(RoleDecider) {
		n.decider, err = decider.New(n.cfg.Decider, decider.Deps{
			Log: n.db.log, State: n.db.state, Definitions: n.catalog, Share: n.db.dealer, Settler: n.db.inbox, Pull: n.pull,
			Logger: n.log, Registerer: n.registry, Clock: time.Now,
		})
		if err != nil {
			return nil, err
		}
	}
	if n.cfg.has(RoleAnalytics) {
		feed, err = analytics.New(n.cfg.Analytics, analytics.Deps{Log: n.db.log, Documents: n.db.documents, Logger: n.log, Registerer: n.registry, Clock: time.Now})
		if err != nil {
			return nil, err
		}
		if !n.cfg.Facts.Off {
			if n.facts, err = n.openFacts(); err != nil {
				n.noFacts = err // triggers and messages do not need them
				n.log.Error("the facts store cannot be opened; everything else goes on without it", "error", err)
			}
		}
	}
	if feed != nil && !n.cfg.Behavior.Off {
		deps := analytics.BehaviorDeps{Log: n.db.log, File: n.folder.path(journeyFile), Logger: n.log, Registerer: n.registry, Clock: time.Now}
		if n.facts != nil {
			deps.Facts = n.facts.store
		}
		n.behavior, err = analytics.NewBehavior(n.cfg.Behavior, deps)
		if err != nil {
			return nil, err
		}
	}
	channels := n.channels(cmp.Or(n.cfg.PublicURL, base), mux, add)
	n.book.Keep(channels)
	if n.cfg.has(RoleEngager) {
		n.sending = channels
		n.outages = func(now time.Time) []channel.Outage { return channel.Outages(channels, now) }
		if warning := Unreachable(n.cfg, n.catalog.Current()); warning != "" {
			n.log.Warn(warning)
		}
		zone, err := time.LoadLocation(n.cfg.Zone)
		if err != nil {
			return nil, fmt.Errorf("zone: %w", err)
		}
		deps := engager.Deps{
			Log: n.db.log, Documents: n.db.documents, Inbox: n.db.inbox, Definitions: n.catalog,
			Profiles: n.profiles(), Book: n.book, Pull: n.pull,
			Channels: channels, Share: n.db.dealer,
			Secret: n.secret, Zone: zone, Logger: n.log, Registerer: n.registry, Clock: time.Now,
		}
		if n.knowsMembers() {
			deps.Members = n.members
		}
		if n.engager, err = engager.New(n.cfg.Engager, deps); err != nil {
			return nil, err
		}
	}
	var metrics prometheus.Registerer
	if feed != nil {
		metrics = n.registry
	}
	if n.audiences, err = n.newAudiences(metrics); err != nil {
		return nil, err
	}
	if n.cfg.has(RoleConsole) || n.answers() {
		c, err := n.console(version, feed, shop)
		if err != nil {
			return nil, err
		}
		c.Register(mux)
		if n.cfg.has(RoleConsole) {
			n.setup = c.SetupToken
			add(RoleConsole, c.Run, c.Ready)
		} else {
			add("answers to other processes", c.Run, c.Ready)
		}
	}
	if n.decider != nil {
		add(RoleDecider, n.decider.Run, n.decider.Ready)
		if err := n.watch(RoleDecider, "decider", eventlog.Events, n.decider.Next); err != nil {
			return nil, err
		}
		// Here, since it has to know how far profiles have come.
		asker := optin.New(optin.Deps{
			Log: n.db.log, Documents: n.db.documents, Definitions: n.catalog, Profiles: n.profiles(), Book: n.book, Consumed: n.decider.Consumed, Logger: n.log,
		})
		addLater("double opt-in", asker.Run, alwaysReady)
	}
	if n.engager != nil {
		add(RoleEngager, n.engager.Run, n.engager.Ready)
		if err := n.watch(RoleEngager, "engager", eventlog.Intents, n.intentsDone); err != nil {
			return nil, err
		}
	}
	if feed != nil {
		add(RoleAnalytics, feed.Run, feed.Ready)
		if n.facts != nil {
			addLater("facts", n.facts.run, n.facts.fold.Ready)
			if err := n.watch("facts", "", eventlog.Events, n.facts.fold.Next); err != nil { // it has a metric already
				return nil, err
			}
		}
		if n.behavior != nil {
			addLater("behavior", n.behavior.Run, n.behavior.Ready)
		}
		addLater("audiences", n.audiences.Run, n.audiences.Ready)
		if err := n.addSinks(addLater); err != nil {
			return nil, err
		}
	}
	for _, s := range n.db.servers {
		// A gateway takes events while Kafka does: it must not be left out for others.
		aside := s.part != "kafka" && !n.cfg.has(RoleDecider) && !n.cfg.has(RoleEngager)
		n.roles = append(n.roles, role{name: s.part, run: s.run, ready: s.ready, aside: aside})
	}
	add("retention", n.retain, alwaysReady)
	add("pull store", n.expirePulled, alwaysReady)
	// On one machine a full disk is all that can be in the way; the gateway says so.
	n.roles = append(n.roles, role{name: "definitions", run: n.follow, ready: n.announced, aside: n.cfg.Shape == Embedded})
	return mux, nil
}

func alwaysReady() error { return nil }

func first(files fs.FS, _ bool) fs.FS { return files }

// readiness is nil once every role can work; else it tells all that is in the way.
func (n *node) readiness() error {
	wrong := n.db.Err()
	for _, r := range n.roles {
		if err := r.ready(); err != nil && !r.aside {
			wrong = errors.Join(wrong, fmt.Errorf("%s: %w", r.name, err))
		}
	}
	return wrong
}

// stopped tells whether all sending is; until that is known, it is.
func (n *node) stopped() bool {
	if n.engager != nil {
		return n.engager.Stopped()
	}
	return n.halt != nil && n.halt.Stopped()
}

func (n *node) followHalt(ctx context.Context) error {
	n.halt.Follow(ctx)
	return nil
}

// installation is a short name of this one, which says nothing of its secret.
func (n *node) installation() string {
	return installationOf(n.secret)
}

func installationOf(secret []byte) string {
	sum := sha256.Sum256(append([]byte("installation "), secret...))
	return hex.EncodeToString(sum[:4])
}

// demoShop makes the demo shop if the configuration asks for it.
func (n *node) demoShop(mux *http.ServeMux, base string) (*demo.Shop, error) {
	if !n.cfg.Demo {
		return nil, nil //nolint:nilnil // no shop is no error
	}
	shop, err := demo.New(n.cfg.Shop, demo.Deps{
		Documents: n.db.documents, Files: first(web.Shop()), Collector: func() string { return n.gatewayURL(base) },
		Now: time.Now, Log: n.log, Metrics: n.registry,
	})
	if err != nil {
		return nil, err
	}
	shop.Register(mux)
	if n.away(RoleGateway) {
		for _, pattern := range []string{"/v1/", "GET /heed.js", "GET /heed-push.js", "GET /heed-sw.js"} {
			mux.Handle(pattern, n.toGateway())
		}
	}
	return shop, nil
}

// sampleLoader makes what loads the sample history; at once if it is wanted.
func (n *node) sampleLoader(wanted bool) (*sample.Loader, error) {
	products, err := demo.Catalogue()
	if err != nil {
		return nil, err
	}
	deps := sample.Deps{Log: n.db.log, Documents: n.db.documents, Book: n.book, Logger: n.log, Now: time.Now}
	for _, p := range products {
		deps.Products = append(deps.Products, sample.Product{ID: p.ID, Name: p.Name, Category: p.Category, Cents: p.Cents})
	}
	l := sample.NewLoader(n.cfg.Shop.SampleUsers, deps)
	if wanted {
		l.Load()
	}
	return l, nil
}

// retain trims the log, once an hour. It never removes what the Decider has not
// consumed.
func (n *node) retain(ctx context.Context) error {
	every := time.NewTicker(time.Hour)
	defer every.Stop()
	for {
		if err := n.trim(ctx); err != nil && ctx.Err() == nil {
			n.log.Error("the log could not be trimmed", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
		}
	}
}

// expirePulled removes what has expired of the pull store, once an hour.
func (n *node) expirePulled(ctx context.Context) error {
	every := time.NewTicker(time.Hour)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
		}
		for name, c := range n.catalog.Current().Collections {
			if c.TTL == 0 {
				continue
			}
			if _, err := n.pull.Expire(ctx, name); err != nil && ctx.Err() == nil {
				n.log.Error("what has expired of the pull store could not be removed", "collection", name, "err", err)
			}
		}
	}
}

// greet prints where to go.
func (n *node) greet(w io.Writer, base string) {
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) } // nobody to tell if it fails
	say("Heed listens on %s", base)
	if n.cfg.Demo {
		say("  demo shop   %s/shop/", base)
	}
	if n.cfg.has(RoleConsole) {
		say("  console     %s/", base)
	}
	if n.cfg.has(RoleGateway) {
		say("  test page   %s/test", base)
	}
	say("  data folder %s", n.cfg.DataDir)
	if n.setup == nil {
		return
	}
	token, err := n.setup(context.Background())
	switch {
	case err != nil:
		n.log.Error("the setup token could not be made", "err", err)
	case token != "":
		say("First start: open the console and set it up with this one-time token\n  %s", token)
	}
}

// newBook makes what knows whom Heed may write to.
func (n *node) newBook(publicURL string) (*reach.Book, error) {
	return reach.New(reach.Deps{
		Documents: n.db.documents, Log: n.db.log, Secret: n.secret, PublicURL: publicURL, Definitions: n.catalog, Logger: n.log, Clock: time.Now,
	})
}

// newAudiences makes what keeps the audiences; it runs with the role analytics
// only, and tells elsewhere what is stored.
func (n *node) newAudiences(metrics prometheus.Registerer) (*audiences.Keeper, error) {
	deps := audiences.Deps{
		Log: n.db.log, Documents: n.db.documents, Definitions: n.catalog, Profiles: n.profiles(), Book: n.book,
		Logger: n.log, Registerer: metrics, Clock: time.Now,
	}
	if n.behavior != nil {
		deps.Index = n.behavior
		deps.Measures = &analytics.Measures{Behavior: n.behavior}
	}
	if n.facts != nil {
		deps.Facts = n.facts.store
		deps.Measures = &analytics.Measures{Behavior: n.behavior, Facts: n.facts.store}
	}
	return audiences.New(n.cfg.Audiences, deps)
}

// devices keeps the browsers that take notifications.
func (n *node) devices() *device.Store { return device.New(n.db.documents, time.Now) }

// profiles reads the Decider's profiles for the gateway and the Engager.
func (n *node) profiles() profiles {
	return profiles{n.db.state, n.db.log.Partitions()}
}

// console makes the role; feed and shop may be nil.
func (n *node) console(version string, feed *analytics.Analytics, shop *demo.Shop) (*console.Console, error) {
	deps := console.Deps{
		Log: n.db.log, Documents: n.db.documents, State: n.db.state, Definitions: n.catalog,
		Audiences: n.audiences, Health: health{n, version}, BadEvents: badEvents{n.db.documents},
		Reach: reaching.Deps{Book: n.book, Profiles: n.profiles()},
		Peers: n.peers, LocalToken: n.localToken, Version: version,
		Logger: n.log, Registerer: n.registry, Clock: time.Now, Random: randomBytes,
	}
	if deps.Inner = n.peers != nil && !n.cfg.has(RoleConsole); !deps.Inner {
		deps.Pages = first(web.Console())
	}
	var err error
	deps.Backtests, err = backtest.New(n.cfg.Backtest, backtest.Deps{
		Log: n.db.log, State: n.db.state, Definitions: n.catalog,
		HeldOut: engager.HeldOut(n.secret), Alone: len(n.roles) == 0 && n.decider == nil, Clock: time.Now, Logger: n.log,
	})
	if err != nil {
		return nil, err
	}
	var measures *analytics.Measures
	switch {
	case n.facts != nil:
		deps.Facts = n.facts.store
		measures = n.measures()
		deps.Measures = measures
	case n.folderSQL != nil:
		deps.Facts = n.folderSQL
	case n.away(RoleAnalytics):
		deps.Measures = farMeasures{n.peers}
	}
	if n.knowsMembers() {
		deps.Sending.Members = n.members
	}
	if n.behavior != nil {
		deps.Traits = n.behavior
	}
	if feed != nil {
		deps.Live = feed
		all := &analytics.Alerts{Live: feed, Measures: measures, BadEvents: deps.BadEvents, Definitions: n.catalog, Outages: n.outages, Clock: time.Now}
		deps.Alerts = all
		if n.peers != nil {
			deps.Alerts = allAlerts{all, n.peers}
		}
	} else if n.outages != nil {
		deps.Alerts = outages{n.outages, time.Now}
	}
	var own *progress
	if n.decider != nil {
		own = &progress{n.decider, n.catalog, n.db.log.Partitions()}
		deps.Progress = *own
	}
	if n.peers != nil {
		deps.Progress = &wholeProgress{own: own, peers: n.peers, partitions: n.db.log.Partitions()}
	}
	if n.engager != nil {
		deps.Sends, deps.Sender, deps.Tries = sends{n.engager}, sender{n.engager}, tries{n.engager}
		deps.Sending.Engager = steering{sends{n.engager}}
	}
	if n.imports != nil {
		deps.Reach.Imports = n.imports
	}
	if n.sample != nil {
		deps.Demo = showcase{shop, n.sample, n.cfg.Shop}
	}
	if n.peers != nil && shop == nil {
		deps.Demo = farDemo{deps.Demo, n.peers, n.cfg.PublicURL}
	}
	if n.away(RoleGateway) {
		deps.Collector = func() string { return strings.TrimSuffix(cmp.Or(n.cfg.PublicURL, n.gatewayURL("")), "/") }
	}
	return console.New(n.cfg.Console, deps)
}
