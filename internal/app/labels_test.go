package app

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"heed/internal/definition"
	"heed/internal/trigger"
)

// A trigger has as many labels as a row of it can have steps.
func TestStepLabels(t *testing.T) {
	docs, problems := definition.Parse("t.yaml", []byte(`kind: trigger
name: t
pattern:
  - {event: win, times: 2}
  - all: [search, view]
  - {event: view, distinct: properties.id, times: 2}
  - event: cart
  - {absent: purchase, for: 30m}
within: 1h
`))
	if problems != nil {
		t.Fatal(problems)
	}
	set, problems := definition.NewSet(1, docs)
	if problems != nil {
		t.Fatal(problems)
	}
	got := stepLabels(set, "t")
	want := []string{
		"win 1 of 2", "win 2 of 2", "search, view in any order: 1 of 2", "search, view in any order: 2 of 2",
		"different view 1 of 2", "different view 2 of 2", "cart", "no purchase for 30m",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if p, err := trigger.Compile(set.Triggers["t"]); err != nil || p.Len() != len(got) {
		t.Errorf("%d steps, %d labels, %v", p.Len(), len(got), err)
	}
}
