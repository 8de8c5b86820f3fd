package app

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"heed/internal/console/api"
	"heed/internal/documents"
	"heed/internal/peer"
)

// installations holds one document about the installation, so that a process
// that does not belong to it is noticed.
const installations, theOne = "installation", "it"

// installation is what all processes must agree on, or they would do harm.
type installation struct {
	Secret     string `json:"secret"`       // a fingerprint of the secret
	Partitions int    `json:"partitions"`   // users were dealt to so many
	Topics     string `json:"topics"`       // kafka.prefix: where the log is
	Keys       string `json:"keys"`         // redis.prefix: where the state is
	IDs        int    `json:"dedupIds"`     // dedup.ids, and
	Horizon    string `json:"dedupHorizon"` // dedup.horizon: what counts as a repeat
}

// ours is what this process takes for it.
func (n *node) ours() installation {
	sum := hmac.New(sha256.New, n.secret)
	sum.Write([]byte("heed installation"))
	c := &n.cfg
	return installation{
		Secret: hex.EncodeToString(sum.Sum(nil)), Partitions: n.db.log.Partitions(), Topics: c.Kafka.Prefix, Keys: c.Redis.Prefix,
		IDs: c.Dedup.IDs, Horizon: c.Dedup.Horizon.String(),
	}
}

// founded tells whether the installation is there already.
func (e *engines) founded(ctx context.Context) (bool, error) {
	_, err := e.documents.Get(ctx, installations, theOne)
	if errors.Is(err, documents.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// join checks that this process belongs to the installation whose engines these
// are, and founds it if there is none yet. What is a repeat may be changed by the
// first process that starts after all have stopped.
func (n *node) join(ctx context.Context) error {
	mine, docs := n.ours(), n.db.documents
	value, err := json.Marshal(mine)
	if err != nil {
		return err
	}
	for {
		var theirs installation
		doc, err := docs.Get(ctx, installations, theOne)
		switch {
		case err == nil:
			err = json.Unmarshal(doc.Value, &theirs)
		case errors.Is(err, documents.ErrNotFound):
			doc.Version, theirs, err = documents.Absent, mine, nil
		}
		if err != nil {
			return fmt.Errorf("read what the installation is: %w", err)
		}
		if err := n.differs(ctx, theirs, mine); err != nil {
			return err
		}
		if doc.Version != documents.Absent && theirs == mine {
			return nil
		}
		err = docs.Apply(ctx, documents.Durable, documents.Write{Collection: installations, Key: theOne, Value: value, Expect: doc.Version})
		if !errors.Is(err, documents.ErrConflict) { // another process was first
			return err
		}
	}
}

// differs says why a process does not belong to an installation.
func (n *node) differs(ctx context.Context, theirs, mine installation) error {
	switch {
	case theirs.Secret != mine.Secret:
		return errors.New("the secret is not the installation's: give every process the same HEED_SECRET, or a copy of the first one's " + secretFile)
	case theirs.Partitions != mine.Partitions:
		return fmt.Errorf("the topics have %d partitions, and users were dealt to %d: their number cannot change", mine.Partitions, theirs.Partitions)
	case theirs.Topics != mine.Topics:
		return fmt.Errorf("kafka.prefix is %q here, and the installation in this database keeps its log under %q: give every process the same, or another mongo.database to another installation", mine.Topics, theirs.Topics)
	case theirs.Keys != mine.Keys:
		return fmt.Errorf("redis.prefix is %q here, and the installation in this database keeps its state under %q: give every process the same, or another mongo.database to another installation", mine.Keys, theirs.Keys)
	case theirs == mine:
		return nil
	}
	n.log.Info("dedup is not as the installation had it: looking whether another process lives")
	p, err := peer.Living(ctx, n.db.documents)
	if err != nil || p == nil {
		return err
	}
	return fmt.Errorf("dedup.ids is %d here and %d in the process at %s (%s), dedup.horizon %s and %s: processes would disagree about what is a repeat. "+
		"Give this one what the others have; to change it, stop all of them and start them with the same",
		mine.IDs, theirs.IDs, p.URL, strings.Join(p.Roles, ", "), mine.Horizon, theirs.Horizon)
}

// common are the settings, by role ("": all processes), that should be equal
// wherever they count: where they are not, it depends on the process that happens to
// do the work what comes of it.
func common() map[string][]string {
	return map[string][]string{
		"":          {"retention.log", "zone", "week_start", "public_url"},
		RoleGateway: {"gateway.query_parameters"},
		RoleEngager: {
			"engager.expires", "engager.give_up", "engager.hold_for", "engager.ledger_keep", "engager.max_attempts", "engager.on_unknown", "engager.schedule_grace",
		},
		RoleConsole: {"console.session_idle", "console.session_max"},
	}
}

// settings are those of common that count in this process.
func (c *Config) settings() map[string]string {
	out := map[string]string{}
	for role, names := range common() {
		if role != "" && !c.has(role) {
			continue
		}
		for _, name := range names {
			out[name] = fmt.Sprint(get(reflect.ValueOf(c).Elem(), name))
		}
	}
	return out
}

// disagree says which settings differ between processes, and where.
func disagree(all []peer.Peer) (notes []string) {
	byName := map[string]map[string][]string{} // setting, value, addresses
	var names []string
	for _, p := range all {
		for name, value := range p.Settings {
			if byName[name] == nil {
				byName[name] = map[string][]string{}
				names = append(names, name)
			}
			byName[name][value] = append(byName[name][value], p.URL)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if len(byName[name]) < 2 {
			continue
		}
		var parts []string
		for value, at := range byName[name] {
			slices.Sort(at)
			parts = append(parts, fmt.Sprintf("%q at %s", value, strings.Join(at, ", ")))
		}
		slices.Sort(parts)
		notes = append(notes, fmt.Sprintf("The setting %s differs: %s. Give all of them the same and restart those that are changed.", name, strings.Join(parts, "; ")))
	}
	analysts := 0
	for _, p := range all {
		if slices.Contains(p.Roles, RoleAnalytics) {
			analysts++
		}
	}
	if analysts > 1 {
		notes = append(notes, fmt.Sprintf("%d processes have the role analytics: each would keep audiences and write events out. Let one have it.", analysts))
	}
	return notes
}

// agreement tells in the health of the installation what disagree does.
func (n *node) agreement(out *api.Health, all []peer.Peer) {
	if notes := disagree(all); len(notes) > 0 {
		out.Status, out.Notes = api.HealthDegraded, append(out.Notes, notes...)
	}
}
