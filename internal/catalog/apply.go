package catalog

import (
	"bytes"
	"context"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/webpush"
)

// Change says what an Apply does to one definition.
type Change struct {
	Kind    definition.Kind `json:"kind"`
	Name    string          `json:"name"`
	Action  string          `json:"action"` // created | updated | unchanged | deleted
	Version int64           `json:"version"`
}

// Options of an Apply.
type Options struct {
	Author string
	DryRun bool // check only
	// Expect maps refs to the version that must be the newest (0: none yet).
	Expect map[string]int64
	// Delete removes these definitions in the same transaction.
	Delete []string
	// ReadOnly marks the documents as coming from a folder.
	ReadOnly bool
}

// Result of an Apply.
type Result struct {
	Revision int64    `json:"revision"`
	Changes  []Change `json:"changes"`
}

// Apply makes all changes as one transaction, or none. It fails with
// definition.Problems if the whole would not hold together, with ErrConflict
// if an expectation does not hold.
func (c *Catalog) Apply(ctx context.Context, docs []definition.Document, o Options) (Result, error) {
	c.applying.Lock()
	defer c.applying.Unlock()
	for {
		res, err := c.apply(ctx, docs, o)
		if errors.Is(err, documents.ErrConflict) && ctx.Err() == nil && len(o.Expect) == 0 {
			continue // another process applied something: start over from that
		}
		if errors.Is(err, documents.ErrConflict) {
			err = ErrConflict
		}
		return res, err
	}
}

func (c *Catalog) apply(ctx context.Context, docs []definition.Document, o Options) (Result, error) {
	head, headVersion, err := c.head(ctx)
	if err != nil {
		return Result{}, err
	}
	rev, err := c.revision(ctx, head)
	if err != nil {
		return Result{}, err
	}
	if err := c.refuse(docs, o, rev); err != nil {
		return Result{}, err
	}

	plan := plan{c: c, o: o, rev: rev, head: head + 1}
	for _, d := range docs {
		if err := plan.put(ctx, d); err != nil {
			return Result{}, err
		}
	}
	for _, ref := range o.Delete {
		if err := plan.delete(ctx, ref); err != nil {
			return Result{}, err
		}
	}
	set, err := plan.check(ctx, docs)
	if err != nil {
		return Result{}, err
	}
	if o.DryRun || len(plan.writes) == 0 {
		if !o.DryRun {
			c.markReadOnly(docs, o)
		}
		return Result{Revision: head, Changes: plan.changes}, nil
	}
	if err := plan.commit(ctx, headVersion); err != nil {
		return Result{}, err
	}
	c.markReadOnly(docs, o)
	c.publish(set)
	if c.cfg.OnRevision != nil {
		if err := c.cfg.OnRevision(ctx, set.Revision); err != nil {
			return Result{}, fmt.Errorf("revision %d is stored but could not be announced; it will be at the next start: %w", set.Revision, err)
		}
	}
	return Result{Revision: set.Revision, Changes: plan.changes}, nil
}

// refuse checks what needs no look at the contents.
func (c *Catalog) refuse(docs []definition.Document, o Options, rev revisionDoc) error {
	refs := slices.Clone(o.Delete)
	var problems definition.Problems
	for _, d := range docs {
		if slices.Contains(refs, d.Ref()) {
			problems = append(problems, d.Problem("name", "is defined twice", ""))
		}
		refs = append(refs, d.Ref())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ref := range refs {
		if file, ok := c.readOnly[ref]; ok && !o.ReadOnly {
			kind, name, _ := strings.Cut(ref, "/")
			problems = append(problems, definition.Problem{
				Kind: definition.Kind(kind), Name: name,
				Message: "is read-only here: it is loaded from a folder at start", Hint: "change " + file,
			})
		}
		if want, ok := o.Expect[ref]; ok && want != rev.Versions[ref] {
			return fmt.Errorf("%s: you changed version %d, the newest is %d: %w", ref, want, rev.Versions[ref], ErrConflict)
		}
	}
	return problems.Err()
}

func (c *Catalog) markReadOnly(docs []definition.Document, o Options) {
	if !o.ReadOnly {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range docs {
		c.readOnly[d.Ref()] = o.Author
	}
}

// plan collects the writes of one Apply.
type plan struct {
	c       *Catalog
	o       Options
	rev     revisionDoc // becomes the new revision
	head    int64
	writes  []documents.Write
	changes []Change
}

func (p *plan) put(ctx context.Context, d definition.Document) error {
	ref := d.Ref()
	var old any
	var oldSpec []byte
	v, exists := p.rev.Versions[ref]
	last := v
	if exists {
		r, err := p.c.version(ctx, ref, v)
		if err != nil {
			return err
		}
		if old, err = definition.DecodeSpec(d.Kind, r.Spec); err != nil {
			return err
		}
		oldSpec = r.Spec
	} else {
		// A definition that was deleted goes on counting.
		past, err := p.c.cfg.Store.List(ctx, documents.Query{Collection: collVersions, Prefix: ref + "/", Reverse: true, Limit: 1})
		if err != nil {
			return fmt.Errorf("read the versions of %s: %w", ref, err)
		}
		if len(past) == 1 {
			var r Record
			if err := json.Unmarshal(past[0].Value, &r); err != nil {
				return fmt.Errorf("read the versions of %s: %w", ref, err)
			}
			last = r.Version
		}
	}

	// The caller keeps its document: work on a copy.
	b, err := definition.MarshalSpec(d.Spec)
	if err != nil {
		return fmt.Errorf("%s: %w", ref, err)
	}
	spec, err := definition.DecodeSpec(d.Kind, b)
	if err != nil {
		return err
	}
	p.makeKeys(spec, old)
	if err := p.c.sealSecrets(spec, old); err != nil {
		return definition.Problems{{Kind: d.Kind, Name: d.Name, Message: err.Error()}}
	}
	if b, err = definition.MarshalSpec(spec); err != nil {
		return fmt.Errorf("%s: %w", ref, err)
	}
	if exists && bytes.Equal(b, oldSpec) {
		p.changes = append(p.changes, Change{d.Kind, d.Name, "unchanged", v})
		return nil
	}
	action := "created"
	if exists {
		action = "updated"
	}
	return p.write(ref, Record{Kind: d.Kind, Name: d.Name, Version: last + 1, Spec: b}, action)
}

// makeKeys puts the keys in that a spec leaves out: those that it had, or new
// ones.
func (p *plan) makeKeys(spec, old any) {
	switch s := spec.(type) {
	case *definition.Source:
		if was, ok := old.(*definition.Source); ok && s.WriteKey == "" {
			s.WriteKey = was.WriteKey
		}
		if s.WriteKey == "" {
			s.WriteKey = p.newKey()
		}
	case *definition.Channel:
		if s.Push == nil {
			return
		}
		if was, ok := old.(*definition.Channel); ok && was.Push != nil && s.Push.PrivateKey == "" {
			s.Push.PrivateKey = was.Push.PrivateKey
		}
		if s.Push.PrivateKey == "" {
			s.Push.PrivateKey = webpush.NewKey(p.c.cfg.Random)
		}
	}
}

func (p *plan) delete(ctx context.Context, ref string) error {
	v, exists := p.rev.Versions[ref]
	if !exists {
		return fmt.Errorf("%s: %w", ref, ErrNotFound)
	}
	r, err := p.c.version(ctx, ref, v)
	if err != nil {
		return err
	}
	return p.write(ref, Record{Kind: r.Kind, Name: r.Name, Version: v + 1, Deleted: true}, "deleted")
}

func (p *plan) write(ref string, r Record, action string) error {
	r.Author, r.At = p.o.Author, p.c.cfg.Now().UTC()
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("%s: %w", ref, err)
	}
	p.writes = append(p.writes, documents.Write{
		Collection: collVersions, Key: ref + "/" + number(r.Version), Value: b, Expect: documents.Absent,
	})
	if r.Deleted {
		delete(p.rev.Versions, ref)
		b = nil
	} else {
		p.rev.Versions[ref] = r.Version
	}
	p.writes = append(p.writes, documents.Write{Collection: collCurrent, Key: ref, Value: b, Expect: documents.Any})
	p.changes = append(p.changes, Change{r.Kind, r.Name, action, r.Version})
	return nil
}

// check makes the set that the plan would put in force. The documents that were
// given carry the places of their problems; the others come from the store.
func (p *plan) check(ctx context.Context, given []definition.Document) (*definition.Set, error) {
	fresh := map[string][]byte{}
	for _, w := range p.writes {
		if w.Collection == collCurrent && w.Value != nil {
			fresh[w.Key] = w.Value
		}
	}
	rest := revisionDoc{Versions: map[string]int64{}}
	for ref, v := range p.rev.Versions {
		if fresh[ref] == nil && !slices.ContainsFunc(given, func(d definition.Document) bool { return d.Ref() == ref }) {
			rest.Versions[ref] = v
		}
	}
	all, err := p.c.load(ctx, rest)
	if err != nil {
		return nil, err
	}
	docs := slices.Clone(given)
	if _, problems := definition.NewSet(p.head, append(docs, all...)); problems != nil {
		return nil, p.inUse(problems)
	}
	// The set in force holds what is stored: made keys and resolved secrets.
	for ref, value := range fresh {
		var r Record
		if err := json.Unmarshal(value, &r); err != nil {
			return nil, fmt.Errorf("%s: %w", ref, err)
		}
		spec, err := definition.DecodeSpec(r.Kind, r.Spec)
		if err != nil {
			return nil, err
		}
		if err := p.c.openSecrets(spec); err != nil {
			return nil, definition.Problems{{Kind: r.Kind, Name: r.Name, Message: err.Error()}}
		}
		all = append(all, definition.NewDocument(r.Kind, r.Name, spec))
	}
	unchanged := revisionDoc{Versions: map[string]int64{}}
	for _, d := range given {
		if fresh[d.Ref()] == nil {
			unchanged.Versions[d.Ref()] = p.rev.Versions[d.Ref()]
		}
	}
	same, err := p.c.load(ctx, unchanged)
	if err != nil {
		return nil, err
	}
	set, problems := definition.NewSet(p.head, append(all, same...))
	if problems != nil {
		return nil, problems
	}
	return set, p.c.previous(ctx, set, p.rev.Versions)
}

// inUse says of what would be deleted who still needs it.
func (p *plan) inUse(problems definition.Problems) definition.Problems {
	for i, found := range problems {
		for _, ref := range p.o.Delete {
			kind, name, _ := strings.Cut(ref, "/")
			if found.Message == fmt.Sprintf("%s %q does not exist", kind, name) {
				problems[i] = definition.Problem{
					Kind: definition.Kind(kind), Name: name,
					Message: fmt.Sprintf("is used by %s %s", found.Kind, found.Name), Hint: "change or delete that first",
				}
			}
		}
	}
	return problems
}

func (p *plan) commit(ctx context.Context, headVersion int64) error {
	p.rev.Revision, p.rev.Author, p.rev.At = p.head, p.o.Author, p.c.cfg.Now().UTC()
	rev, err := json.Marshal(p.rev)
	if err != nil {
		return fmt.Errorf("write revision %d: %w", p.head, err)
	}
	head, err := json.Marshal(headDoc{p.head})
	if err != nil {
		return fmt.Errorf("write revision %d: %w", p.head, err)
	}
	writes := append(p.writes,
		documents.Write{Collection: collRevisions, Key: number(p.head), Value: rev, Expect: documents.Absent},
		documents.Write{Collection: collRevisions, Key: headKey, Value: head, Expect: headVersion})
	if old := p.head - keepRevisions; old > 0 {
		writes = append(writes, documents.Write{Collection: collRevisions, Key: number(old), Expect: documents.Any})
	}
	return p.c.cfg.Store.Apply(ctx, documents.Durable, writes...)
}

// newKey makes a public write key.
func (p *plan) newKey() string {
	b := make([]byte, 15)
	p.c.cfg.Random(b)
	return "wk_" + strings.ToLower(base32.StdEncoding.EncodeToString(b))
}
