package audiences

import (
	"context"
	"fmt"
	"maps"

	"heed/internal/definition"
	"heed/internal/documents"
)

// Begin has an audience that is about to be defined, by one of the definitions
// given, begin with users who are in it already: it is as if they had been counted
// first, so whoever else the first look finds enters. Without it the first look is
// silent. It is called in any process, before the definitions are in force; one
// whose definition does not come is forgotten at the next start.
func (k *Keeper) Begin(ctx context.Context, name string, defs []*definition.Audience, users []string) error {
	set := *k.deps.Definitions.Current()
	set.Audiences = maps.Clone(set.Audiences)
	for _, d := range defs {
		set.Audiences[d.Name] = d
	}
	_, print, err := meaning(&set, name)
	if err != nil {
		return fmt.Errorf("begin audience %q: %w", name, err)
	}
	_, version, err := k.readHead(ctx, name) // an earlier try may have left one
	if err != nil {
		return err
	}
	write := func(w documents.Write) error {
		if err := k.deps.Documents.Apply(ctx, documents.Durable, w); err != nil {
			return fmt.Errorf("begin audience %q: %w", name, err)
		}
		return nil
	}
	now := k.now()
	h := &head{Born: now, Kind: kindOf(set.Audiences[name]), AsOf: now}
	put := func(expect int64) error {
		w, err := h.writeOf(name, expect)
		if err != nil {
			return err
		}
		return write(w)
	}
	// The head comes first, so that a start finds what is left of half of it.
	if err := put(version); err != nil {
		return err
	}
	if err := k.forget(ctx, name); err != nil {
		return err
	}
	for i, e := range split(now, true, &change{added: users}, k.entryBytes) {
		w := documents.Write{Collection: collJournal, Key: journalKey(name, uint64(i+1)), Value: e.append(nil), Expect: documents.Absent}
		if err := write(w); err != nil {
			return err
		}
	}
	h.Print, h.Filled = print, true
	return put(version + 1)
}

// forget removes all that is stored of an audience but its head.
func (k *Keeper) forget(ctx context.Context, name string) error {
	for _, collection := range []string{collJournal, collMembers, collSizes} {
		if err := k.remove(ctx, collection, name+"/", every); err != nil {
			return err
		}
	}
	return nil
}
